"""The receivers for NATS and Redis, on real servers: JetStream and Redis streams."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
import redis.asyncio

from api.delivery import delivery
from api.delivery.messages import Message
from api.delivery.nats import Nats
from api.delivery.redis import Redis
from api.delivery.subscriptions import Subscription
from schema.program.settings import SettingsError
from tests.support.api.feeding import Moving, minted, sold, updated
from tests.support.api.receiving import delivering, settings_of, write_subscriptions
from tests.support.brokers import free_ports, nats_server, redis_server, stopping

MESSAGE = Message(1, "msg_1", "certindex.event.device_minted", 0.0, b'{"id": "msg_1"}')


@pytest.fixture
def chain(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moving]:
    monkeypatch.setattr(delivery, "BROKER_SECONDS", 0.1)
    monkeypatch.setattr(delivery, "PAUSE_SECONDS", 0.05)
    moving = Moving(sqlite_url)
    yield moving
    moving.close()


async def test_jetstream_stores_each_message_once_also_over_an_outage(chain: Moving, tmp_path: Path) -> None:
    [port] = free_ports(1)
    url = f"nats://127.0.0.1:{port}"
    await chain.mine(*minted(1)[1:])
    with stopping(nats_server(port, tmp_path)) as server:
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="devices", subjects=["certindex.>"])
        await client.close()
        settings = settings_of(chain.url, write_subscriptions(tmp_path, {"url": url, "timeout": 2}))
        async with delivering(settings):
            await _until_stored(url, 1)
            server.stop()
            await chain.mine(updated(1))
            with stopping(nats_server(port, tmp_path)):
                await chain.mine(sold(1))
                bodies = await _until_stored(url, 3)
    assert [body["data"]["event"]["kind"] for body in bodies] == [
        *("DEVICE_MINTED", "FIRMWARE_UPDATED", "DEVICE_TRANSFERRED")
    ]
    assert [body["sequence"][-1] for body in bodies] == ["1", "2", "3"]


async def test_jetstream_drops_a_message_that_it_has(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url = f"nats://127.0.0.1:{port}"
    with stopping(nats_server(port, tmp_path)):
        receiver = Nats(Subscription(name="a", url=url, subject="devices.new", timeout=60))
        missing = await receiver.send(MESSAGE)
        assert (missing.delivered, missing.result) == (False, "nats")
        assert "no stream of JetStream takes the subject devices.new: create one" in missing.detail
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="devices", subjects=["devices.*"])
        assert [(await receiver.send(MESSAGE)).delivered for _ in range(3)] == [True] * 3
        assert (await client.jetstream().stream_info("devices")).state.messages == 1
        await client.close()
        await receiver.close()
    outcome = await Nats(Subscription(name="a", url=url)).send(MESSAGE)
    assert (outcome.delivered, outcome.result, outcome.detail) == (False, "nats", "NATS failed: Connection refused")


async def test_a_redis_stream_has_each_message_also_over_an_outage(chain: Moving, tmp_path: Path) -> None:
    [port] = free_ports(1)
    url = f"redis://127.0.0.1:{port}/0"
    await chain.mine(*minted(1)[1:])
    with stopping(redis_server(port, tmp_path)) as server:
        settings = settings_of(chain.url, write_subscriptions(tmp_path, {"url": url, "timeout": 2}))
        async with delivering(settings):
            await _until_appended(url, 1)
            server.stop()
            await chain.mine(updated(1))
            with stopping(redis_server(port, tmp_path)):
                await chain.mine(sold(1))
                entries = await _until_appended(url, 3)
    bodies = {entry[b"id"]: json.loads(entry[b"body"]) for entry in entries}
    assert [body["data"]["event"]["kind"] for body in bodies.values()] == [
        *("DEVICE_MINTED", "FIRMWARE_UPDATED", "DEVICE_TRANSFERRED")
    ]
    assert entries[0][b"type"] == b"certindex.event.device_minted"


async def test_a_redis_stream_is_trimmed_and_errors_are_shown(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url = f"redis://127.0.0.1:{port}"
    with stopping(redis_server(port, tmp_path)):
        client = redis.asyncio.from_url(url)
        await client.set("certindex:events", "another type")
        receiver = Redis(Subscription(name="a", url=url, timeout=60))
        assert "WRONGTYPE" in (await receiver.send(MESSAGE)).detail
        await client.delete("certindex:events")
        trimmed = Redis(Subscription(name="a", url=url, timeout=60, max_length=100))
        assert all([(await trimmed.send(MESSAGE)).delivered for _ in range(300)])
        assert 100 <= await client.xlen("certindex:events") <= 250
        for one in (receiver, trimmed):
            await one.close()
        await client.aclose()
    unreachable = Redis(Subscription(name="a", url=url, timeout=2))
    assert (await unreachable.send(MESSAGE)).result == "redis"
    await unreachable.close()


@pytest.mark.parametrize(("module", "url", "kind"), [("nats", "nats://n", Nats), ("redis", "redis://r", Redis)])
def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, module: str, url: str, kind: Any) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        SettingsError, match=rf"needs the extra certindex\[{module}\].*pip install 'certindex\[{module}\]'"
    ):
        kind(Subscription(name="a", url=url))


async def _until_stored(url: str, count: int) -> list[Any]:
    """Waits until the stream has so many messages, and returns them."""
    client = await nats.connect(url)
    subscription = await client.jetstream().subscribe("certindex.>", ordered_consumer=True)
    try:
        return [json.loads((await subscription.next_msg(60)).data) for _ in range(count)]
    finally:
        await client.close()


async def _until_appended(url: str, count: int) -> list[dict[bytes, bytes]]:
    """Waits until the stream has so many entries, and returns them."""
    client: Any = redis.asyncio.from_url(url)
    entries: list[dict[bytes, bytes]] = []
    last: Any = "0"
    while len(entries) < count:
        for _, batch in await client.xread({"certindex:events": last}, block=20_000):
            entries += [fields for _, fields in batch]
            last = batch[-1][0]
    await client.aclose()
    return entries
