"""Rate limits, and how clients are told apart."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.http.rates import RateLimited, Rates
from api.settings import Settings
from tests.support.api.live import acknowledged, streamed
from tests.support.api.server import CLIENT, JSON, code, post, serving, with_one_device
from tests.support.certindex import certindex_api

QUERY = "{ devices(first: 5) { nodes { serialNumber } } }"  # costs 6
TYPENAME = "{ __typename }"


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return with_one_device(f"sqlite:///{tmp_path_factory.mktemp('rates') / 'a.db'}")


@pytest.fixture
def five_requests(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url, request_rate="5/hour")) as address:
        yield address


@pytest.fixture
def fifteen_rows(database_url: str) -> Iterator[str]:
    settings = Settings(database_url=database_url, cost_rate="15/hour", max_cost=10, cache_bytes=0)
    with serving(settings) as address:
        yield address


def test_a_client_that_exceeds_its_rate_gets_retry_after(five_requests: str) -> None:
    url = f"{five_requests}/graphql"
    for _ in range(5):
        assert post(url, {"query": QUERY}).status_code == 200
    for accept in ("application/graphql-response+json", JSON, "*/*"):
        refused = post(url, {"query": QUERY}, accept=accept)
        assert (refused.status_code, code(refused)) == (429, "RATE_LIMITED")
        assert "data" not in refused.json()
        assert refused.headers["cache-control"] == "no-store"
        wait = int(refused.headers["retry-after"])
        assert 0 < wait <= 3600
        assert refused.json()["errors"][0]["extensions"]["retryAfter"] == wait
        assert "5 requests in 3600 s" in refused.json()["errors"][0]["message"]


def test_bundles_count_and_health_checks_do_not(five_requests: str) -> None:
    bundle = f"{five_requests}/devices/did:erc721:1:0x{'ab' * 20}:1/bundle.json"
    assert [CLIENT.get(bundle).status_code for _ in range(6)] == [404] * 5 + [429]
    assert "retry-after" in CLIENT.get(bundle).headers
    assert CLIENT.get(f"{five_requests}/graphql", params={"query": TYPENAME}).status_code == 429
    assert {CLIENT.get(f"{five_requests}{path}").status_code for path in ("/healthz", "/readyz")} <= {200, 503}


async def test_operations_over_websockets_and_streams_count_as_requests(five_requests: str) -> None:
    async with acknowledged(five_requests) as socket:
        for id in "abcd":
            await socket.subscribe(id, TYPENAME)
            assert (await socket.receive(id))["type"] == "next"
    async with streamed(five_requests, TYPENAME) as stream:
        assert (await stream.event())[0] == "next"
    async with acknowledged(five_requests) as socket:
        await socket.subscribe("f", TYPENAME)
        error = await socket.receive("f")
        assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
        # the connection goes on
        await socket.send(type="ping")
        assert (await socket.receive())["type"] == "pong"
    for path in ("/graphql", "/graphql/stream"):
        refused = await asyncio.to_thread(_stream, five_requests + path)
        assert (refused.status_code, code(refused)) == (429, "RATE_LIMITED")
        assert "retry-after" in refused.headers


def _stream(url: str) -> httpx.Response:
    return CLIENT.post(url, json={"query": TYPENAME}, headers={"accept": "text/event-stream"})


def test_cost_counts_against_the_rate_and_a_cheaper_request_still_passes(fifteen_rows: str) -> None:
    url = f"{fifteen_rows}/graphql"
    assert [post(url, {"query": QUERY}).status_code for _ in range(2)] == [200, 200]
    refused = post(url, {"query": QUERY})
    assert (refused.status_code, code(refused)) == (429, "RATE_LIMITED")
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert "15 rows in 3600 s" in refused.json()["errors"][0]["message"]
    assert post(url, {"query": TYPENAME}).status_code == 200
    assert post(url, {"query": "{ devices(first: 2) { nodes { id } } }"}).status_code == 200
    assert post(url, {"query": "{ device(by: {tokenId: 7}) { id } }"}).status_code == 429


async def test_subscriptions_count_with_their_cost(fifteen_rows: str) -> None:
    events = "subscription { lifecycleEvents { event { id device { id manufacturer { id } } } } }"
    async with acknowledged(fifteen_rows) as socket:
        for id in "abc":
            await socket.subscribe(id, events)  # costs 4
            assert not await socket.has_message(id)
        await socket.subscribe("d", events)
        error = await socket.receive("d")
        assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")


def test_answers_that_are_kept_cost_nothing(database_url: str) -> None:
    settings = Settings(database_url=database_url, cost_rate="10/hour", max_cost=10)
    with serving(settings) as address:
        assert [post(f"{address}/graphql", {"query": QUERY}).status_code for _ in range(5)] == [200] * 5
        assert post(f"{address}/graphql", {"query": QUERY + " "}).status_code == 429


# Who a client is


@pytest.mark.parametrize(
    ("forwarded", "statuses"),
    [
        (["1.1.1.1", "2.2.2.2", "3.3.3.3"], [200, 200, 200]),
        (["9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1", "1.1.1.1, 10.0.0.7"], [200, 200, 429]),
        ([None, "127.0.0.1", None], [200, 200, 429]),
    ],
)
def test_a_trusted_proxy_names_the_client_and_addresses_the_client_wrote_are_ignored(
    database_url: str, forwarded: list[str | None], statuses: list[int]
) -> None:
    settings = Settings(database_url=database_url, request_rate="2/hour", trusted_proxies="127.0.0.1, 10.0.0.0/8")
    with serving(settings) as address:
        assert [_post_for(address, by).status_code for by in forwarded] == statuses


def test_without_a_trusted_proxy_the_header_is_ignored(database_url: str) -> None:
    with serving(Settings(database_url=database_url, request_rate="2/hour")) as address:
        assert [_post_for(address, by).status_code for by in ("1.1.1.1", "2.2.2.2", "3.3.3.3")] == [200, 200, 429]


def _post_for(address: str, forwarded_for: str | None) -> httpx.Response:
    headers = {"x-forwarded-for": forwarded_for} if forwarded_for else {}
    return post(f"{address}/graphql", {"query": TYPENAME}, **headers)


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:1.2.3.4", "1.2.3.4", True),
        ("1.2.3.4", "1.2.3.5", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unknown", "", False),
    ],
)
def test_addresses_of_one_owner_are_one_client(address: str, other: str, same: bool) -> None:
    rates = Rates(Settings(request_rate="1/hour"))
    rates.client({"client": (address, 1)}).take_request()
    other_client = rates.client({"client": (other, 2)} if other else {})
    if same:
        with pytest.raises(RateLimited):
            other_client.take_request()
    else:
        other_client.take_request()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"REQUEST_RATE": "many"}, 'REQUEST_RATE is "many": not a rate for one second, minute, hour or day'),
        ({"REQUEST_RATE": "5/second;9/day"}, "Example: REQUEST_RATE=600/minute"),
        ({"COST_RATE": "9999/minute"}, "MAX_COST allows one request 10000"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES is"),
        ({"TRUSTED_PROXIES": "*"}, "Example: TRUSTED_PROXIES=10.0.0.0/8,127.0.0.1"),
    ],
)
def test_a_wrong_rate_is_refused_at_the_start(environ: dict[str, Any], words: str) -> None:
    ended = certindex_api(**environ)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
