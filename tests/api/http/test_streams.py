"""Subscriptions as server-sent events, and how a change of the database wakes them."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.answering.operations import AnsweredBatch, Operations
from api.graphql.execution import Prepared
from api.settings import Settings
from indexer.sync.step import Pace
from tests.support.api.feeding import Copy, Moving, minted, sold, updated
from tests.support.api.live import EVENTS, PATIENCE, acknowledged, cut_off, streamed
from tests.support.api.server import serving
from tests.support.databases import NewDatabase

END = "{ changes(first: 100) { endCursor hasMore } }"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
)


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Moving, str]]:
    """These requests do not depend on the database: one server suffices."""
    moving = Moving(f"sqlite:///{tmp_path_factory.mktemp('streams') / 'a.db'}")
    with serving(Settings(database_url=moving.url, max_connections=5)) as address:
        yield moving, address
    moving.close()


@pytest.fixture
def moving(shared: tuple[Moving, str]) -> Moving:
    shared[0].indexer.pace = Pace()
    shared[0].indexer.restart()
    return shared[0]


@pytest.fixture
def address(shared: tuple[Moving, str]) -> str:
    return shared[1]


async def end_of_feed(address: str) -> str:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        page = (await client.post(f"{address}/graphql", json={"query": END})).json()["data"]["changes"]
        assert not page["hasMore"]
        return str(page["endCursor"])


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
async def test_events_and_reorgs_are_streamed_and_a_dropped_client_resumes(
    moving: Moving, address: str, path: str
) -> None:
    await moving.mine(*minted(1))
    copy = Copy(cursor=await end_of_feed(address))
    async with streamed(address, EVENTS, path, after=copy.cursor) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["cache-control"] == "no-cache"
        assert "content-encoding" not in stream.response.headers
        await moving.mine(updated(1, "2.0.0"), updated(1, "3.0.0"))
        copy.apply([await stream.next() for _ in range(2)])
        await moving.reorg(1, [sold(1)])
        copy.apply([await stream.next() for _ in range(3)])
    await moving.reorg(1, [updated(1)])
    async with streamed(address, EVENTS, path, after=copy.cursor) as stream:
        copy.apply([await stream.next() for _ in range(2)])
    assert copy.ids == moving.ids()[-1:]


@pytest.mark.parametrize("silence", [60.0, 0.1], ids=["", "silent"])
async def test_what_is_indexed_after_a_stream_has_opened_is_sent_even_if_the_server_is_slow(
    moving: Moving, address: str, monkeypatch: pytest.MonkeyPatch, silence: float
) -> None:
    read = Operations._next

    async def read_slowly(operations: Operations, prepared: Prepared, place: Any) -> AnsweredBatch:
        await asyncio.sleep(1.0)
        return await read(operations, prepared, place)

    monkeypatch.setattr(Operations, "_next", read_slowly)
    monkeypatch.setattr("api.http.streams.SILENCE_SECONDS", silence)
    async with streamed(address, EVENTS) as stream:
        await moving.mine(*minted(1))
        assert not (await stream.next())["retracted"]


async def test_an_operation_that_ends_completes_its_stream(moving: Moving, address: str) -> None:
    async with streamed(address, "{ _meta { version } }") as stream:
        assert (await stream.next("_meta"))["version"]
        assert await stream.event() == ("complete", None)
        with pytest.raises(StopAsyncIteration):
            await stream.event()


async def test_an_error_in_a_query_is_sent_in_the_stream(moving: Moving, address: str) -> None:
    for query, code in (
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ('subscription { lifecycleEvents(after: "x") { cursor } }', "BAD_USER_INPUT"),
    ):
        async with streamed(address, query) as stream:
            name, answer = await stream.event()
            assert answer is not None
            assert (name, answer["errors"][0]["extensions"]["code"]) == ("next", code)
            assert await stream.event() == ("complete", None)


async def test_lines_end_as_every_client_can_read_them(moving: Moving, address: str) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        parameters = {"query": "{ _meta { version } }"}
        headers = {"accept": "text/event-stream"}
        body = (await client.get(f"{address}/graphql/stream", params=parameters, headers=headers)).content
    comment, event, complete, nothing = body.split(b"\n\n")
    assert (comment, nothing) == (b":", b"")
    assert event.startswith(b'event: next\ndata: {"data":')
    assert complete == b"event: complete\ndata:"
    assert b"\r" not in body


async def test_a_stream_is_sent_only_if_accept_prefers_it(moving: Moving, address: str) -> None:
    body = {"query": "{ _meta { version } }"}
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for accept, expected in (
            (URQL, "application/graphql-response+json"),
            ("application/json, text/event-stream", "application/json"),
            ("*/*", "application/json"),
            ("text/event-stream, application/json;q=0.9", "text/event-stream"),
            ("text/event-stream, multipart/mixed", "text/event-stream"),
        ):
            answer = await client.post(f"{address}/graphql", json=body, headers={"accept": accept})
            assert answer.headers["content-type"].split(";")[0] == expected, accept


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*", "text/*", None])
async def test_the_endpoint_of_streams_needs_no_accept(moving: Moving, address: str, accept: str | None) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        request = client.build_request("POST", f"{address}/graphql/stream", json={"query": "{ _meta { version } }"})
        del request.headers["accept"]
        if accept is not None:
            request.headers["accept"] = accept
        answer = await client.send(request)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


async def test_an_invalid_request_is_refused_with_its_status(moving: Moving, address: str) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        url, headers = f"{address}/graphql/stream", {"accept": "text/event-stream"}
        assert (await client.put(url, headers=headers)).status_code == 405
        assert (await client.post(url, json={}, headers={"accept": "text/html"})).status_code == 406
        assert (await client.post(url, content="x", headers=headers)).status_code == 415
        for endpoint in (url, f"{address}/graphql"):
            refused = await client.post(endpoint, json={"query": 5}, headers=headers)
            assert (refused.status_code, refused.headers["content-type"]) == (400, "application/json; charset=utf-8")
        hash = {"query": "{ _meta { version } }", "extensions": {"persistedQuery": {"version": 2}}}
        refused = await client.post(url, json=hash, headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT")
        subscription = {"query": "subscription { blockIndexed { number } }"}
        plain = await client.post(f"{address}/graphql", json=subscription, headers={"accept": "application/json"})
        assert "text/event-stream" in plain.json()["errors"][0]["message"]


async def test_too_many_connections_are_refused_until_one_ends(moving: Moving, address: str) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        body, headers = {"query": EVENTS}, {"accept": "text/event-stream"}
        streams: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while len(streams) < 5:  # the server may not have noticed yet that those of other tests have ended
                stream = client.stream("POST", f"{address}/graphql", json=body, headers=headers)
                if (await stream.__aenter__()).status_code == 200:
                    streams.append(stream)
                else:
                    await stream.__aexit__(None, None, None)
        refused = await client.post(f"{address}/graphql", json=body, headers=headers)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        for stream in streams:
            await stream.__aexit__(None, None, None)
    async with asyncio.timeout(PATIENCE):
        while not await is_taken(address):  # noqa: ASYNC110  # the server notices by itself
            await asyncio.sleep(0.05)


async def is_taken(address: str) -> bool:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        headers = {"accept": "text/event-stream"}
        async with client.stream("POST", f"{address}/graphql", json={"query": EVENTS}, headers=headers) as response:
            return response.status_code == 200


async def test_silence_is_broken_by_comments(moving: Moving, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.http.streams.SILENCE_SECONDS", 0.1)
    async with streamed(address, EVENTS) as stream:
        chunks = stream.response.aiter_bytes()
        assert [await anext(chunks) for _ in range(3)] == [b":\n\n"] * 3


async def test_a_stream_that_the_client_does_not_read_ends_without_complete(
    moving: Moving, caplog: pytest.LogCaptureFixture
) -> None:
    await moving.mine(*[updated(1, "1" * 60_000)] * 100)
    await moving.mine(*[updated(1, "1" * 60_000)] * 100)
    with serving(Settings(database_url=moving.url, send_seconds=1)) as address:
        query = "subscription ($after: String) { lifecycleEvents(after: $after) { cursor event { raw { data } } } }"
        page = "{ changes(first: 1) { endCursor } }"
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            first = (await client.post(f"{address}/graphql", json={"query": page})).json()["data"]["changes"]
            body = {"query": query, "variables": {"after": first["endCursor"]}}
            headers = {"accept": "text/event-stream"}
            async with client.stream("POST", f"{address}/graphql", json=body, headers=headers) as response:
                await cut_off(caplog)
                with pytest.raises(httpx.RemoteProtocolError):
                    await read_to_the_end(response)


async def read_to_the_end(response: httpx.Response) -> None:
    async for _ in response.aiter_bytes():
        pass


# What wakes them


@pytest.mark.direct
async def test_postgresql_wakes_subscriptions_at_the_commit(
    new_postgres_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reading.change_watch.LISTENING_POLL_SECONDS", 60.0)
    monkeypatch.setattr("api.reading.change_watch.POLL_SECONDS", 60.0)
    moving = Moving(new_postgres_database())
    with serving(Settings(database_url=moving.url)) as address:
        async with acknowledged(address) as socket:
            await socket.begin("a")
            await asyncio.sleep(1.0)
            for _ in range(3):
                await moving.mine(updated(1))
                began = time.monotonic()
                await socket.next("a")
                assert time.monotonic() - began < 15
    moving.close()
