"""The commands of an operator, as `certindex deliver` runs them."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.delivery.messages import Message
from api.delivery.state import State
from api.delivery.subscriptions import KEYS
from tests.support.api.receiving import SECRET, receiving, write_subscriptions
from tests.support.api.server import with_one_device
from tests.support.certindex import Certindex, Done

Deliver = Callable[..., Done]


@pytest.fixture
def deliver(certindex: Certindex, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deliver:
    """Runs `certindex deliver`, with the index of one device and the file in `tmp_path`."""
    with_one_device(sqlite_url)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("SUBSCRIPTIONS", str(tmp_path / "subscriptions.toml"))
    monkeypatch.setenv("DELIVERY_STATE", f"sqlite:///{tmp_path / 'delivery.db'}")
    return lambda *arguments: certindex("deliver", *arguments)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(f"sqlite:///{tmp_path / 'delivery.db'}")
    state.open()
    yield state
    state.close()


ACME = {
    "name": "acme",
    "url": "https://acme.example/services/T0/hidden?key=hidden",
    "secrets": [SECRET, "whsk_" + "A" * 43],
}


def test_status_shows_each_subscription(deliver: Deliver, tmp_path: Path, state: State) -> None:
    write_subscriptions(tmp_path, ACME, {"name": "off", "url": "https://off.example", "enabled": False})
    state.create("acme", {}, "cursor")
    state.create("gone", {}, "cursor")
    progress = state.positions()["acme"].progress
    state.put(
        "acme", [Message(number, f"msg_{number}", "", 1.7e9 + number, b"") for number in (8, 9)], "cursor", progress
    )
    state.save({"acme": type(progress)(7, 1.7e9, 3, 3, 1.7e9 + 60, 1.7e9 + 5, "the receiver answered 500: busy")})
    done = deliver("status")
    assert (done.status, done.err) == (0, "")
    assert (
        "acme: failing\n  receiver   https://acme.example/...\n  delivered  7, the last at 2023-11-14T22:13:20Z"
        in done.out
    )
    assert "waiting    2 read and not delivered, the oldest recorded at 2023-11-14T22:13:28Z" in done.out
    assert "since 2023-11-14T22:13:25Z: 3 attempts, next at 2023-11-14T22:14:20Z" in done.out
    assert "error      the receiver answered 500: busy" in done.out
    assert re.search(r"public key whpk_\S{44}", done.out)
    assert "off: disabled" in done.out
    assert "gone: removed" in done.out
    assert "certindex deliver forget gone" in done.out
    assert "hidden" not in done.out
    rows = {row["name"]: row for row in json.loads(deliver("status", "--json").out)}
    assert (rows["acme"]["state"], rows["acme"]["attempts"], rows["gone"]["state"]) == ("failing", 3, "removed")


def test_replay_takes_a_cursor_of_the_feed_alone(deliver: Deliver, tmp_path: Path, state: State) -> None:
    write_subscriptions(tmp_path, ACME)
    assert '"acme" has not been delivered yet' in deliver("replay", "acme", "--from", "beginning").err
    state.create("acme", {}, "cursor")
    assert deliver("replay", "acme", "--from", "beginning").status == 0
    cursor = state.requests()[0].cursor
    assert cursor
    assert deliver("replay", "acme", "--from", cursor).status == 0
    wrong = deliver("replay", "acme", "--from", "nonsense")
    assert (wrong.status, wrong.err.partition(",")[0]) == (2, 'certindex: --from: after is "nonsense"')
    unknown = deliver("replay", "other", "--from", "now")
    assert (unknown.status, 'there is no subscription "other". Subscriptions: acme.' in unknown.err) == (2, True)
    assert deliver("resume", "acme").status == 0
    assert [request.action for request in state.requests()] == ["replay", "replay", "resume"]


def test_forget_deletes_what_is_not_in_the_file(deliver: Deliver, tmp_path: Path, state: State) -> None:
    write_subscriptions(tmp_path, ACME)
    state.create("old", {}, "cursor")
    state.create("acme", {}, "cursor")
    assert "remove it from the file first" in deliver("forget", "acme").err
    assert deliver("forget", "old").status == 0
    assert 'there is no subscription "old"' in deliver("forget", "old").err
    assert list(state.positions()) == ["acme"]


def test_a_secret_is_one_that_the_file_takes(deliver: Deliver) -> None:
    shared, pair = deliver("secret").out.split(), deliver("secret", "--ed25519").out.split()
    KEYS["secrets"].parse([shared[0], pair[0]], {})
    assert [text.partition("_")[0] for text in (*shared, *pair)] == ["whsec", "whsk", "whpk"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--allow-networks", "10.0.0.1/8"), "--allow-networks is"),
        (("--delivery-state", "mysql://x"), "--delivery-state is"),
        (("status",), "There is no file"),
        (("test", "nobody"), "There is no file"),
        (("test", "ftp://x"), "ftp://x: its scheme is none of https"),
        (("test", "https://a.example", "--secret", "x"), "neither whsec_"),
    ],
)
def test_wrong_settings_and_arguments_end_with_status_2(
    deliver: Deliver, arguments: tuple[str, ...], words: str
) -> None:
    done = deliver(*arguments)
    assert (done.status, words in done.err) == (2, True), done


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"filter": {"kindd": {"eq": 1}}}, 'subscription "s0": filter: '),
        ({"filter": {"kind": {"in": ["NOPE"]}}}, "NOPE"),
        ({"filter": {"finality": {"eq": "SAFE"}}}, "use the argument finality"),
        ({"fields": "id nothing"}, "subscription \"s0\": fields: Cannot query field 'nothing'"),
        ({"fields": "id } query X { _meta { version }"}, "fields: it is more than a selection"),
        ({"fields": "id {"}, "fields: Syntax Error"),
    ],
)
def test_a_wrong_filter_and_wrong_fields_are_named(
    deliver: Deliver, tmp_path: Path, wrong: dict[str, object], words: str
) -> None:
    write_subscriptions(tmp_path, {"url": "https://a.example", **wrong}, {"url": "https://b.example"})
    done = deliver()
    assert (done.status, words in done.err) == (2, True), done


def test_the_state_is_not_the_index(deliver: Deliver, tmp_path: Path, sqlite_url: str) -> None:
    write_subscriptions(tmp_path, ACME)
    done = deliver("status", "--delivery-state", sqlite_url)
    assert (done.status, "DELIVERY_STATE names the index" in done.err) == (2, True), done


def test_the_state_of_a_newer_release_is_refused(deliver: Deliver, tmp_path: Path, state: State) -> None:
    write_subscriptions(tmp_path, ACME)
    with state._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE version SET number = 99")
    done = deliver("status")
    assert (done.status, "a newer release wrote it" in done.err) == (1, True), done


async def test_test_prints_what_the_receiver_answers(certindex: Certindex, tmp_path: Path) -> None:
    async with receiving() as receiver:
        allowed = await asyncio.to_thread(certindex, "deliver", "test", receiver.url, "--allow-networks", "127.0.0.0/8")
        refused = await asyncio.to_thread(certindex, "deliver", "test", receiver.url)
    assert (allowed.status, "the receiver answered 204" in allowed.out, "whsec_" in allowed.out) == (0, True, True)
    assert (refused.status, "is no public address" in refused.out) == (1, True)
    assert json.loads(receiver.requests[0].body)["type"] == "certindex.test"
