"""Delivery from end to end: a chain, its index, the process that delivers, and receivers of every kind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.delivery import delivery, schedule, sender
from api.delivery.operating import print_status, replay
from api.delivery.sender import deliver
from api.delivery.settings import DeliverySettings
from api.delivery.state import Progress, State, StateLost, state_url
from schema.program.settings import SettingsError
from tests.support.api.feeding import BUYER, Moving, minted, sold, updated
from tests.support.api.receiving import (
    OK,
    Receiver,
    answering,
    delivering,
    receiving,
    settings_of,
    write_subscriptions,
)
from tests.support.chain.fakechain import Log
from tests.support.databases import Databases


def born(token: int) -> list[Log]:
    """Returns the log of a mint, one event."""
    return minted(token)[1:]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within moments."""
    monkeypatch.setattr(schedule, "DELAYS", (0.01, 0.02, 0.03))
    monkeypatch.setattr(schedule, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(sender, "STANDBY_SECONDS", 0.05)
    monkeypatch.setattr(sender, "REQUEST_SECONDS", 0.05)


@pytest.fixture
def chain(sqlite_url: str) -> Iterator[Moving]:
    moving = Moving(sqlite_url, finality=4)
    yield moving
    moving.close()


@pytest.fixture
def either_chain(database_url: str, databases: Databases) -> Iterator[Moving]:
    """A chain on SQLite, then on PostgreSQL, where the state of the delivery is as well."""
    moving = Moving(database_url, state_url=databases.direct_url(database_url), finality=4)
    yield moving
    moving.close()


def state_of(chain: Moving, folder: Path) -> str:
    return f"sqlite:///{folder / 'delivery.db'}" if chain.url.startswith("sqlite") else chain.state_url


@asynccontextmanager
async def delivered(
    chain: Moving, folder: Path, *subscriptions: dict[str, Any], **settings: Any
) -> AsyncIterator[DeliverySettings]:
    path = write_subscriptions(folder, *subscriptions)
    chosen = settings_of(chain.url, path, delivery_state=state_of(chain, folder), **settings)
    async with delivering(chosen):
        yield chosen


@contextmanager
def stored(settings: DeliverySettings) -> Iterator[State]:
    state = State(state_url(settings.database_url, settings.delivery_state))
    state.open()
    try:
        yield state
    finally:
        state.close()


def progress(settings: DeliverySettings) -> Progress:
    with stored(settings) as state:
        return state.positions()["s0"].progress


def printed_status(settings: DeliverySettings, capsys: pytest.CaptureFixture[str]) -> str:
    print_status(settings, as_json=False)
    return capsys.readouterr().out


def request(settings: DeliverySettings, action: str, cursor: str | None = None) -> None:
    with stored(settings) as state:
        state.request("s0", action, cursor)


async def test_events_arrive_in_order_with_ids_of_their_own(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1), updated(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await receiver.has(2)
            await chain.mine(sold(1))
            await receiver.has(3)
        events = [request.event for request in receiver.taken]
        assert receiver.tokens == ["DEVICE_MINTED 1", "FIRMWARE_UPDATED 1", "DEVICE_TRANSFERRED 1"]
        assert [event["sequence"] for event in events] == [f"{number:016}" for number in (1, 2, 3)]
        assert [event["id"] for event in events] == [request.id for request in receiver.taken]
        assert len({event["id"] for event in events}) == 3
        assert [event["data"]["event"]["id"] for event in events] == chain.ids()


async def test_a_restart_goes_on_where_the_last_one_ended(either_chain: Moving, tmp_path: Path) -> None:
    chain = either_chain
    async with receiving() as receiver:
        for token in (1, 2, 3):
            await chain.mine(*born(token))
            async with delivered(chain, tmp_path, {"url": receiver.url}):
                await receiver.has(token)
        assert receiver.tokens == [f"DEVICE_MINTED {token}" for token in (1, 2, 3)]
        assert len(receiver.taken) == 3


async def test_a_new_subscription_starts_now(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1))
    async with receiving() as first, receiving() as second:
        subscriptions = {"url": first.url}, {"url": second.url, "start": "now"}
        async with delivered(chain, tmp_path, *subscriptions) as settings:
            await first.has(1)
            await has_begun(settings, "s1")
            await chain.mine(updated(1))
            await second.has(1)
        assert second.tokens == ["FIRMWARE_UPDATED 1"]


@pytest.mark.parametrize("status", [302, 400, 404, 500, 429, 503])
async def test_a_failed_attempt_is_repeated_with_the_same_id(chain: Moving, tmp_path: Path, status: int) -> None:
    await chain.mine(*born(1), updated(1))
    refusing = answering(status, b"busy", Location="http://127.0.0.1:1/", Retry_After="0")
    async with receiving(OK, refusing, refusing, refusing, refusing, refusing) as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}) as settings:
            await receiver.has(2)
        assert [request.id for request in receiver.requests[:6]] == [receiver.requests[0].id] * 6
        assert {request.body for request in receiver.requests[:6]} == {receiver.requests[0].body}
        assert receiver.tokens == ["DEVICE_MINTED 1", "FIRMWARE_UPDATED 1"]
        assert progress(settings) == Progress(delivered=2, delivered_at=progress(settings).delivered_at)


async def test_retry_after_is_honored(chain: Moving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "DELAYS", (3600.0,))
    await chain.mine(*born(1))
    async with receiving(OK, answering(429, Retry_After="1")) as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await receiver.was_asked(1)
            began = asyncio.get_running_loop().time()
            await receiver.has(1)
        assert asyncio.get_running_loop().time() - began > 0.8


async def test_the_schedule_survives_a_restart(chain: Moving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "DELAYS", (3600.0,))
    await chain.mine(*born(1))
    async with receiving(answering(500)) as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}) as settings:
            await receiver.was_asked(1)
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await asyncio.sleep(0.3)
            assert len(receiver.requests) == 1
            receiver.behavior = OK
            request(settings, "resume")
            await receiver.has(1)


async def test_gone_stops_the_subscription_until_it_is_resumed(
    either_chain: Moving, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = either_chain
    await chain.mine(*born(1))
    async with receiving(OK, answering(410)) as receiver, receiving() as other:
        async with delivered(chain, tmp_path, {"url": receiver.url}, {"url": other.url}) as settings:
            await other.has(1)
            await receiver.was_asked(1)
            await chain.mine(updated(1))
            await other.has(2)
            assert len(receiver.requests) == 1
        async with delivered(chain, tmp_path, {"url": receiver.url}, {"url": other.url}):
            await asyncio.sleep(0.2)
            assert len(receiver.requests) == 1
            assert "410" in str(progress(settings).stopped)
            assert "certindex deliver resume s0, or replay s0 --from CURSOR" in printed_status(settings, capsys)
            request(settings, "resume")
            await receiver.has(2)
        assert receiver.tokens == ["DEVICE_MINTED 1", "FIRMWARE_UPDATED 1"]


async def test_a_reorg_arrives_as_retractions(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1))
    await chain.mine(updated(1), sold(1))
    async with receiving() as receiver, delivered(chain, tmp_path, {"url": receiver.url}):
        await receiver.has(3)
        await chain.reorg(1, [updated(1)], [sold(1, BUYER)])
        await receiver.has(7)
        await chain.reorg(2, [updated(1, "3.0.0")], [], [])
        await receiver.has(10)
    assert receiver.tokens == [
        *("DEVICE_MINTED 1", "FIRMWARE_UPDATED 1", "DEVICE_TRANSFERRED 1"),
        *("-DEVICE_TRANSFERRED 1", "-FIRMWARE_UPDATED 1", "FIRMWARE_UPDATED 1", "DEVICE_TRANSFERRED 1"),
        *("-DEVICE_TRANSFERRED 1", "-FIRMWARE_UPDATED 1", "FIRMWARE_UPDATED 1"),
    ]
    types = [request.event["type"] for request in receiver.taken]
    assert types[2:4] == ["certindex.event.device_transferred", "certindex.retraction.device_transferred"]
    assert copy_of(receiver) == chain.ids()


async def test_what_may_have_arrived_before_a_reorg_is_retracted(either_chain: Moving, tmp_path: Path) -> None:
    """The receiver has taken the message, and the sender ends before it knows: the message comes again first."""
    chain = either_chain
    await chain.mine(*born(1))

    async def cut(received: Any, writer: asyncio.StreamWriter) -> None:
        receiver.taken.append(received)
        writer.transport.abort()

    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await receiver.has(1)
            receiver.behavior = cut
            await chain.mine(sold(1))
            await receiver.has(2)
        await chain.reorg(1, [updated(1)])
        receiver.behavior = OK
        receiver.taken.clear()
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await receiver.has(3)
        assert receiver.tokens == ["DEVICE_TRANSFERRED 1", "-DEVICE_TRANSFERRED 1", "FIRMWARE_UPDATED 1"]


async def test_a_finalized_subscription_never_retracts(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url, "finality": "FINALIZED"}):
            await chain.mine(sold(1))
            await chain.reorg(1, [updated(1)])
            for _ in range(6):
                await chain.mine()
            await receiver.has(2)
        assert receiver.tokens == ["DEVICE_MINTED 1", "FIRMWARE_UPDATED 1"]


async def test_a_filter_and_fields(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1), *born(2), updated(1), updated(2))
    chosen = {"kind": {"in": ["FIRMWARE_UPDATED"]}, "device": {"tokenId": {"eq": "2"}}}
    async with receiving() as receiver:
        subscription = {"url": receiver.url, "filter": chosen, "fields": "kind device { tokenId } when: recordTime"}
        async with delivered(chain, tmp_path, subscription):
            await receiver.has(1)
            await chain.mine(updated(2, "9"))
            await receiver.has(2)
        assert receiver.tokens == ["FIRMWARE_UPDATED 2"] * 2
        assert list(receiver.taken[0].event["data"]["event"]) == ["kind", "device", "when"]


async def test_another_filter_goes_on_at_the_same_place(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1), updated(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url, "filter": {"kind": {"in": ["DEVICE_MINTED"]}}}):
            await receiver.has(1)
            await chain.mine(*born(2))
            await receiver.has(2)
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await chain.mine(updated(2))
            await receiver.has(3)
        assert receiver.tokens == ["DEVICE_MINTED 1", "DEVICE_MINTED 2", "FIRMWARE_UPDATED 2"]


async def test_a_dead_receiver_holds_no_other(chain: Moving, tmp_path: Path) -> None:
    async def hang(received: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    await chain.mine(*born(1), updated(1))
    async with receiving(hang) as dead, receiving() as living:
        unreachable = {"url": "http://127.0.0.1:1/"}
        nowhere = {"url": "http://no-such-host.invalid/"}
        others = {"url": dead.url, "timeout": 1}, unreachable, nowhere
        async with delivered(chain, tmp_path, *others, {"url": living.url}):
            await living.has(2)
            await chain.mine(sold(1))
            await living.has(3)


async def test_a_replay_sends_everything_again_under_new_ids(either_chain: Moving, tmp_path: Path) -> None:
    chain = either_chain
    await chain.mine(*born(1), updated(1), sold(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}) as settings:
            await receiver.has(3)
            request(settings, "replay", receiver.taken[0].event["data"]["cursor"])
            await receiver.has(5)
        assert [request.token for request in receiver.taken[3:]] == ["FIRMWARE_UPDATED 1", "DEVICE_TRANSFERRED 1"]
        assert len({request.id for request in receiver.taken}) == 5


async def test_one_process_delivers_and_another_stands_by(either_chain: Moving, tmp_path: Path) -> None:
    chain = either_chain
    await chain.mine(*born(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}) as settings:
            async with delivering(settings):
                await receiver.has(1)
                await chain.mine(updated(1))
                await receiver.has(2)
            await chain.mine(sold(1))
            await receiver.has(3)
        assert len(receiver.requests) == 3


async def test_a_removed_subscription_is_refused_until_it_is_forgotten(chain: Moving, tmp_path: Path) -> None:
    await chain.mine(*born(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url, "name": "old"}) as settings:
            await receiver.has(1)
        renamed = write_subscriptions(tmp_path, {"url": receiver.url, "name": "new"})
        with pytest.raises(SettingsError, match=r'no subscription "old".*certindex deliver forget old'):
            await deliver(settings_of(chain.url, renamed), asyncio.Event())
        with stored(settings) as state:
            assert state.forget("old")
        async with delivered(chain, tmp_path, {"url": receiver.url, "name": "new"}):
            await receiver.has(2)


def copy_of(receiver: Receiver) -> list[str]:
    """Returns the ids of the events that a receiver has, which applies the messages in order."""
    ids: list[str] = []
    for request in receiver.taken:
        data = request.event["data"]
        if data["retracted"]:
            assert ids.pop() == data["event"]["id"]
        else:
            ids.append(data["event"]["id"])
    return ids


async def has_begun(settings: DeliverySettings, name: str) -> None:
    """Waits until a subscription has its place in the feed."""
    async with asyncio.timeout(60):
        with stored(settings) as state:
            while name not in state.positions():  # noqa: ASYNC110  # as if by another process
                await asyncio.sleep(0.02)


async def test_a_lost_connection_to_the_state_loses_nothing(
    postgres_url: str, databases: Databases, tmp_path: Path
) -> None:
    chain = Moving(postgres_url, state_url=databases.direct_url(postgres_url))
    await chain.mine(*born(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await receiver.has(1)
            with chain.indexer.engine.begin() as connection:
                killed = connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                    )
                )
                assert killed.scalars().all() == [True]
            await chain.mine(updated(1))
            await chain.mine(sold(1))
            await receiver._until(lambda: len(receiver.tokens) == 3)
        assert receiver.tokens == ["DEVICE_MINTED 1", "FIRMWARE_UPDATED 1", "DEVICE_TRANSFERRED 1"]
    chain.close()


async def test_nothing_is_sent_while_the_state_cannot_be_written(
    chain: Moving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: a message that is not stored is not sent, so that its retraction is never missed."""
    await chain.mine(*born(1))

    def fail(*arguments: object) -> None:
        raise StateLost("disk full")

    async with receiving() as receiver:
        with monkeypatch.context() as patch:
            patch.setattr(State, "put", fail)
            async with delivered(chain, tmp_path, {"url": receiver.url}):
                await asyncio.sleep(0.5)
        assert receiver.requests == []
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            await receiver.has(1)


async def test_a_stale_cursor_stops_the_subscription_until_it_is_replayed(
    chain: Moving, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await chain.mine(*born(1))
    async with receiving() as receiver:
        async with delivered(chain, tmp_path, {"url": receiver.url}) as settings:
            await receiver.has(1)
        with chain.indexer.engine.begin() as connection:
            connection.execute(text("UPDATE profile SET text = text || '\n# other'"))
        async with delivered(chain, tmp_path, {"url": receiver.url}):
            async with asyncio.timeout(60):
                while progress(settings).stopped is None:  # noqa: ASYNC110  # as if by another process
                    await asyncio.sleep(0.02)
            assert "indexed again" in str(progress(settings).stopped)
            assert len(receiver.requests) == 1
            way_out = "certindex deliver replay s0 --from beginning, once the receiver has dropped its copy"
            assert way_out in printed_status(settings, capsys)
            await replay(settings, "s0", "beginning")
            await receiver.has(2)
