"""The API on a hot standby of PostgreSQL: its lag, and conflicts with what it replays."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from api.settings import Settings
from tests.support.api.asking import Json
from tests.support.api.server import CLIENT, code, post, serving
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.index.indexing import Indexer, engine_of
from tests.support.postgres import plain_url
from tests.support.postgres_pair import Pair, running_pair

DEVICES = "{ devices { totalCount nodes { tokenId } } }"
EVENTS = "{ lifecycleEvents(first: 100) { nodes { kind block { hash } } } devices(first: 50) { nodes { tokenId } } }"
META = "{ _meta { replica { replayedAt lagSeconds } chains { indexed { number } } } }"
CHANGES = "query ($after: String) { changes(after: $after, first: 100) { endCursor hasMore } }"
BUNDLE = f"/devices/did:erc721:{{}}:0x{CERTIFICATE.hex()}:3/bundle.json"
REQUESTS = 48


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair("max_standby_streaming_delay=0") as pair:
        yield pair


@pytest.fixture(scope="module")
def indexer(pair: Pair) -> Iterator[Indexer]:
    with engine_of(pair.url_of(pair.first)) as engine:
        indexer = Indexer(engine, FakeNode(finality=64))
        for number in range(1, 40):
            mine(indexer.node, number)
        index(indexer)
        pair.second.wait_for(pair.first)
        yield indexer


@pytest.fixture(scope="module")
def primary(pair: Pair, indexer: Indexer) -> Iterator[str]:
    with serving(Settings(database_url=pair.url_of(pair.first), cache_bytes=0)) as address:
        yield address


@pytest.fixture(scope="module")
def replica(pair: Pair, indexer: Indexer) -> Iterator[str]:
    with serving(Settings(database_url=pair.url_of(pair.second), cache_bytes=0)) as address:
        yield address


def test_a_replica_says_that_it_is_one_and_how_old_its_newest_commit_is(primary: str, replica: str) -> None:
    assert post(f"{primary}/graphql", {"query": META}).json()["data"]["_meta"]["replica"] is None
    state = post(f"{replica}/graphql", {"query": META}).json()["data"]["_meta"]["replica"]
    assert state["lagSeconds"] < 60
    assert state["replayedAt"].endswith("Z")
    assert CLIENT.get(f"{primary}/readyz").json()["replica"] is None
    assert CLIENT.get(f"{replica}/readyz").json()["replica"]["lagSeconds"] < 60


def test_a_session_that_sends_its_last_block_does_not_go_back_in_time(
    pair: Pair, indexer: Indexer, primary: str, replica: str
) -> None:
    before = count(primary)
    with paused(pair):
        mine(indexer.node, 50)
        index(indexer)
        assert (count(primary), count(replica)) == (before + 1, before), "the replica lags"
        newest = {"X-Min-Block": str(indexer.node.head.number)}
        answer = post(f"{replica}/graphql", {"query": DEVICES}, **newest)
        assert (answer.status_code, code(answer)) == (503, "NOT_READY")
        cursor = end_of_feed(primary)
        assert changes(replica, cursor) == {"endCursor": cursor, "hasMore": False}
    assert (
        post(f"{replica}/graphql", {"query": DEVICES}, **newest).json()
        == post(f"{primary}/graphql", {"query": DEVICES}, **newest).json()
    )


def test_a_block_that_a_replica_does_not_know_yet_is_not_refused_as_wrong(
    pair: Pair, indexer: Indexer, primary: str, replica: str
) -> None:
    with paused(pair):
        indexer.node.reorg(1, [emitted("Transfer", to=b"\x0b" * 20, tokenId=1)])
        index(indexer)
        cursor = end_of_feed(primary)  # of a branch that the replica does not have
        answer = post(f"{replica}/graphql", {"query": CHANGES, "variables": {"after": cursor}})
        assert code(answer) == "NOT_READY"
        far = {"X-Min-Block": str(indexer.node.head.number + 1_000)}
        assert code(post(f"{replica}/graphql", {"query": DEVICES}, **far)) == "NOT_READY"
        assert code(post(f"{primary}/graphql", {"query": DEVICES}, **far)) == "BAD_USER_INPUT"
    assert changes(replica, cursor) == {"endCursor": cursor, "hasMore": False}


def test_a_conflict_with_what_a_standby_replays_is_retried_and_never_a_defect(
    pair: Pair, indexer: Indexer, replica: str, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = BUNDLE.format(indexer.node.chain_id)
    requests = [*[("POST", "/graphql")] * 3, ("GET", "/export/events.csv"), ("GET", bundle), ("GET", "/readyz")]

    def request(number: int) -> tuple[int, str]:
        method, path = requests[number % len(requests)]
        body = {"query": EVENTS} if method == "POST" else None
        response = CLIENT.request(method, f"{replica}{path}", json=body)
        return response.status_code, response.text

    with locking(pair), ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(request, range(REQUESTS)))
    assert conflicts(pair) > 0
    statuses = Counter(status for status, _ in answers)
    assert set(statuses) <= {200, 503}, statuses
    assert statuses[200] > 0
    assert not any("INTERNAL_SERVER_ERROR" in text for _, text in answers)
    assert "Traceback" not in caplog.text


def conflicts(pair: Pair) -> int:
    with psycopg.connect(plain_url(pair.url_of(pair.second))) as connection:
        row = connection.execute("SELECT sum(confl_lock) FROM pg_stat_database_conflicts").fetchone()
    return int(row[0]) if row else 0


@contextmanager
def locking(pair: Pair) -> Iterator[None]:
    """Locks a table of the primary exclusively, again and again: the standby ends the statements that use it."""
    ended = threading.Event()

    def lock() -> None:
        with psycopg.connect(plain_url(pair.url_of(pair.first)), autocommit=True) as connection:
            while not ended.wait(0.05):
                connection.execute("BEGIN; LOCK TABLE event IN ACCESS EXCLUSIVE MODE; COMMIT")

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def paused(pair: Pair) -> Iterator[None]:
    """Lets the standby replay nothing for the block, then everything."""
    with psycopg.connect(plain_url(pair.second.url), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        while connection.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
            time.sleep(0.01)
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")
    pair.second.wait_for(pair.first)


def mine(node: FakeNode, number: int) -> None:
    node.mine(
        emitted("Transfer", to=b"\x0a" * 20, tokenId=number),
        emitted("CertificateMinted", tokenId=number, manufacturerId=1, serialNumber=f"SN-{number}"),
    )


def index(indexer: Indexer) -> None:
    asyncio.run(indexer.catch_up())


def count(address: str) -> int:
    return int(post(f"{address}/graphql", {"query": DEVICES}).json()["data"]["devices"]["totalCount"])


def changes(address: str, after: str | None) -> Json:
    answer = post(f"{address}/graphql", {"query": CHANGES, "variables": {"after": after}}).json()
    page: Json = answer["data"]["changes"]
    return page


def end_of_feed(address: str) -> str:
    page = changes(address, None)
    while page["hasMore"]:
        page = changes(address, page["endCursor"])
    return str(page["endCursor"])
