"""Clients keep tokens: a release writes and reads the very bytes of the releases before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.graphql.errors import BadUserInput, Reason
from api.graphql.paging.tokens import (
    AsOfPoint,
    AuthorizationId,
    DeviceId,
    EventId,
    FeedCursors,
    HardwareLicenseId,
    ListCursors,
    ManufacturerId,
    NodeId,
    digest_of,
    read_id,
    read_list_cursor,
    read_orphan_cursor,
    write_id,
    write_orphan_cursor,
)
from api.queries.devices import DEVICE_ORDERS
from api.queries.feed import LogPlace
from api.queries.orphans import OrphanPlace
from api.queries.sql.pages import Place

POINT = AsOfPoint(7, bytes(range(32)), 1700000000, 1700000001)
PIN = POINT.pin(137)
ORDER = DEVICE_ORDERS["MINTED_AT", True]

IDS: list[tuple[NodeId, str]] = [
    (
        DeviceId(137, b"\x01" * 20, (42).to_bytes(32), None),
        "laFEzInEFAEBAQEBAQEBAQEBAQEBAQEBAQEBxCAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKsA",
    ),
    (
        ManufacturerId(137, b"\x01" * 20, (2**256 - 1).to_bytes(32), POINT),
        "laFNzInEFAEBAQEBAQEBAQEBAQEBAQEBAQEBxCD__________________________________________5QHxCAAAQIDBAUGBwgJCgsMDQ4PEBES"
        "ExQVFhcYGRobHB0eH85lU_EAzmVT8QE",
    ),
    (
        HardwareLicenseId(1, b"\xff" * 20, bytes(32), None),
        "laFIAcQU___________________________EIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAwA",
    ),
    (EventId(137, b"\x02" * 32, 3, None), "laFFzInEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICA8A"),
    (
        AuthorizationId(137, b"\x02" * 32, 2**20 - 1, POINT),
        "laFBzInEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICzgAP__-UB8QgAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_OZVPx"
        "AM5lU_EB",
    ),
]


@pytest.mark.parametrize(("id", "text"), IDS)
def test_an_id_keeps_its_bytes(id: NodeId, text: str) -> None:
    assert (write_id(id), read_id(text)) == (text, id)


@given(st.text() | st.sampled_from([text[:-1] for _, text in IDS]) | st.sampled_from([f"{text}=" for _, text in IDS]))
def test_text_that_is_no_id_is_no_id(text: str) -> None:
    assert read_id(text) is None


def test_a_list_cursor_keeps_its_bytes() -> None:
    digest = digest_of("devices", None, "MINTED_AT", True, (("owner", (("eq", b"\x03" * 20),)),))
    text = "lwHECGSgnE7ccotHzmVT8QDMiQmRksyJlAfEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fzmVT8QDOZVPxAcM"
    assert ListCursors(digest, (PIN,)).write(Place(1700000000, 137, 9)) == text
    assert read_list_cursor(text, digest, ORDER, "after") == (Place(1700000000, 137, 9), (PIN,))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (
            2**256 - 1,
            "lwHECGSgnE7ccotHxCD__________________________________________8yJCZGSzImUB8QgAAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
            "GBkaGxwdHh_OZVPxAM5lU_EBww",
        ),
        (
            "SN-1",
            "lwHECGSgnE7ccotHpFNOLTHMiQmRksyJlAfEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fzmVT8QDOZVPxAcM",
        ),
        (None, "lwHECGSgnE7ccotHwMyJCZGSzImUB8QgAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_OZVPxAM5lU_EBww"),
    ],
)
def test_a_list_cursor_keeps_the_bytes_of_every_kind_of_key(key: int | str | None, text: str) -> None:
    assert ListCursors(bytes.fromhex("64a09c4edc728b47"), (PIN,)).write(Place(key, 137, 9)) == text


def test_an_orphan_cursor_keeps_its_bytes() -> None:
    digest, place, text = (
        digest_of("orphanedEvents", ()),
        OrphanPlace(1700000000, 137, 1, 8192),
        "lgHECMbQ8e4wMM7jzmVT8QDMiQHNIAA",
    )
    assert (write_orphan_cursor(place, digest), read_orphan_cursor(text, digest, "after")) == (text, place)
    with pytest.raises(BadUserInput, match="of another list"):
        read_orphan_cursor(text, bytes(8), "after")


def test_a_feed_cursor_keeps_its_bytes() -> None:
    watch_set = digest_of("profile", (("device", b"\x01" * 20, 5),))
    cursors = FeedCursors((("kind", (("eq", 3),)),), {137: watch_set, 1: b"\x05" * 8})
    position = {137: LogPlace(137, 7, b"\x02" * 32, 3)}
    text = "kwHECP3QQlinclBIkZXMiQfEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICA8QI0s01aHD6qYE"
    assert (cursors.write({**position, 1: None}), cursors.read(text)) == (text, position)


def test_a_feed_cursor_of_another_profile_is_stale() -> None:
    position = {137: LogPlace(137, 7, b"\x02" * 32, 3)}
    text = FeedCursors((), {137: b"\x05" * 8}).write(position)
    with pytest.raises(BadUserInput, match="indexed again") as refused:
        FeedCursors((), {137: b"\x06" * 8}).read(text)
    assert refused.value.reason is Reason.STALE_CURSOR
