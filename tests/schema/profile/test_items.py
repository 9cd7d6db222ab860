"""Facts of the items of one log."""

import pytest

from schema.events import Address, DeviceMinted, FirmwareUpdated
from schema.profile import expressions
from schema.profile.errors import ProfileError
from schema.profile.model import parse_profile
from schema.profile.reader import UNMAPPED, DecodedLog, Mapped, MappedItems, Undecodable, event_of
from tests.support.chain.abi_log import abi_log

TAG = Address(b"t" * 20)
MINTED = "Minted(uint64 indexed lot, (address device, bytes32 serial)[] units, int16[] ids, string note)"
PROFILE = f"""name = "tags"

[[event]]
contract  = "tag"
signature = "{MINTED}"
fact      = "DeviceMinted"
each      = ["units", "ids"]
where     = {{ lot = 7 }}

[event.fields]
token_id = "ids"
address = "units.device"
serial_number = {{ arg = "units.serial", as = "text" }}
firmware_version = "note"

[[event]]
contract  = "tag"
signature = "Updated((string version, uint8[3] devices) batch, string[] remarks)"
fact      = "FirmwareUpdated"
each      = "batch.devices"
fields    = {{ token_id = "batch.devices", to_version = "batch.version" }}
"""
READER = parse_profile(PROFILE, "tags.toml").compile({"tag": [TAG]})


def minted(*ids: int, units: int | None = None, lot: int = 7) -> DecodedLog:
    devices = [(bytes([id % 256] * 20), f"SN{id}".encode().ljust(32, b"\0")) for id in ids][:units]
    reading = READER.read(TAG, *abi_log(MINTED, lot, devices, list(ids), "1.0"), 5)
    assert isinstance(reading, Mapped | MappedItems | Undecodable | type(UNMAPPED))
    return reading


def facts(reading: DecodedLog) -> list[tuple[int, str | None, str | None]]:
    assert isinstance(reading, MappedItems)
    return [
        (fact.token_id, fact.serial_number, fact.firmware_version)
        for fact in reading.facts
        if isinstance(fact, DeviceMinted)
    ]


def test_each_item_is_a_fact_and_other_arguments_are_the_same_in_all() -> None:
    assert facts(minted(2, 1, 2)) == [(2, "SN2", "1.0"), (1, "SN1", "1.0"), (2, "SN2", "1.0")]
    topics, data = abi_log("Updated((string,uint8[3]),string[])", ("2.0", [7, 8, 9]), [])
    reading = READER.read(TAG, topics, data, 5)
    assert isinstance(reading, MappedItems)
    assert reading.facts == [FirmwareUpdated(token_id=id, to_version="2.0") for id in (7, 8, 9)]


def test_one_item_is_one_fact_and_no_item_is_none() -> None:
    one = minted(1)
    assert isinstance(one, Mapped)
    assert minted() == UNMAPPED
    assert minted(1, 2, lot=8) == UNMAPPED
    assert event_of(one, 0) == one
    assert event_of(one, 1) == UNMAPPED
    assert event_of(minted(1, 2), 2) == UNMAPPED


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (lambda: minted(1, 2, units=1), "Minted: the arrays differ in length: units has 1, ids has 2"),
        (lambda: minted(1, units=0), "Minted: the arrays differ in length: units has 0, ids has 1"),
        (lambda: minted(1, 2, 3, 4), "Minted: units has 4 items; a log can be at most 3 facts"),
        (lambda: minted(1, -1), "Minted: ids: -1 is negative"),
    ],
)
def test_a_log_whose_items_do_not_fit_is_undecodable_as_a_whole(
    monkeypatch: pytest.MonkeyPatch, reading: object, reason: str
) -> None:
    monkeypatch.setattr(expressions, "MOST_ITEMS", 3)
    assert callable(reading)
    assert reading() == Undecodable(reason, DeviceMinted)


EACH = 'each      = ["units", "ids"]'
REFUSALS = [
    (EACH, "each = 3", 'each: is 3, expected an array of the event, or a list of them. Example: each = "ids"'),
    (EACH, "each = []", "each: is [], expected an array of the event, or a list of them"),
    (EACH, 'each = ["units", "id"]', "each: no argument 'id' in the signature; did you mean 'ids'?"),
    (EACH, 'each = ["units", 3]', "each: arg is 3, expected the name of an argument"),
    (EACH, 'each = ["units", "ids", "note"]', "each: string note is not an array"),
    (EACH, 'each = ["units", "ids", "ids"]', 'each: "ids" is listed twice'),
    (EACH, 'each = "ids"', "field 'address': no argument 'units.device' in the signature"),
    (EACH, 'each = "units"', "field 'token_id': int16[] ids is not an id"),
    ("int16[] ids", "int16[] indexed ids", "each: int16[] ids is indexed, so the log contains only its hash"),
    ('token_id = "ids"', "token_id = { const = 1 }", 'each: no field names an item of ids. Example: token_id = "ids"'),
    ("lot = 7", "ids = 7", 'where: a rule matches a whole log, and "ids" is another one for each item'),
    ("lot = 7", '"units.device" = 7', 'where: a rule matches a whole log, and "units.device" is another one for each'),
]


@pytest.mark.parametrize(("right", "wrong", "refusal"), REFUSALS, ids=[refusal for _, _, refusal in REFUSALS])
def test_an_invalid_each_is_refused_with_the_place(right: str, wrong: str, refusal: str) -> None:
    assert right in PROFILE
    with pytest.raises(ProfileError) as error:
        parse_profile(PROFILE.replace(right, wrong, 1), "mine.toml")
    assert refusal in str(error.value)
    assert str(error.value).startswith("mine.toml: rule 1 (Minted(")
