"""Behind PgBouncer in transaction mode the indexer indexes, and the API answers as without it."""

import asyncio
from contextlib import ExitStack
from functools import partial

import httpx
import psycopg
import pytest
from sqlalchemy.exc import InternalError

from api.settings import Settings
from indexer.errors import failure_text
from schema.tables.database import connect
from schema.tables.postgresql import is_pooled
from tests.support.api.live import BLOCKS, acknowledged
from tests.support.api.server import serving
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.databases import NewDatabase
from tests.support.index.indexing import engine_of, index_afresh, read_tables
from tests.support.pgbouncer import Pooler
from tests.support.postgres import has_ended
from tests.support.processes import caught_up, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

QUERIES = [
    *(f'{{ device(by: {{tokenId: "{number}"}}) {{ tokenId serialNumber }} }}' for number in range(1, 9)),
    *(f"{{ devices(first: {number}) {{ totalCount nodes {{ tokenId serialNumber }} }} }}" for number in range(1, 9)),
    *(f"{{ lifecycleEvents(first: {number}) {{ nodes {{ kind logIndex }} }} }}" for number in range(1, 9)),
    "{ _meta { chains { chainId contracts { address role } } } }",
    "{ manufacturers { totalCount } }",
]


@pytest.fixture
def pooled_url(postgres_url: str, pooler: Pooler) -> str:
    return pooler.through(postgres_url)


def test_prepared_statements_of_the_server_return_other_rows_behind_a_pooler(pooled_url: str) -> None:
    """Shows what is prevented: as psycopg connects by default, statements fail or return rows of others.

    Three clients take turns in four sessions, so that each meets the statements of others.
    """
    wrong = 0
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(pooled_url, prepare_threshold=0)) for _ in range(3)]
        for turn in range(20):
            for number, connection in enumerate(connections):
                try:
                    row = connection.execute(f"SELECT {number}, %s::int".encode(), (turn,)).fetchone()
                    wrong += row != (number, turn)
                    connection.commit()
                except psycopg.Error:
                    wrong += 1
                    connection.rollback()
    assert wrong > 0


def test_a_pooler_is_detected_or_declared_and_no_statement_is_prepared_in_the_server(
    postgres_url: str, pooled_url: str
) -> None:
    for url, declared, pooled in (
        (postgres_url, "detected", False),
        (pooled_url, "detected", True),
        (postgres_url, "transaction", True),
    ):
        engine = connect(url, read_only=True, pooler=declared)
        with engine.connect() as connection:
            assert is_pooled(connection.connection.driver_connection) is pooled
            for number in range(20):
                connection.exec_driver_sql("SELECT %s::int", (number,))
            prepared = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one()
            assert (prepared == 0) is pooled
        engine.dispose()


def test_a_commit_names_why_the_server_ended_its_transaction(postgres_url: str, pooled_url: str) -> None:
    """The pooler adds that the server closed the connection."""
    engine = connect(pooled_url)

    def commit_after_silence() -> None:
        with engine.begin() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
            until(lambda: has_ended(postgres_url, pid), "the end of the session")

    with pytest.raises(InternalError) as failure:
        commit_after_silence()
    assert failure.value.connection_invalidated
    assert failure_text(failure.value) == (
        "the database failed: terminating connection due to idle-in-transaction timeout"
    )
    engine.dispose()


def test_an_index_behind_a_pooler_grows_and_is_read_as_one_without(
    postgres_url: str, pooled_url: str, new_postgres_database: NewDatabase
) -> None:
    node = FakeNode(finality=2)
    mine(node, 1)
    with (
        Provider(of_fake(node)) as provider,
        indexers(pooled_url, RPC_URLS=provider.url) as start,
        serving(Settings(database_url=pooled_url, cache_bytes=0)) as pooled,
        serving(Settings(database_url=postgres_url, cache_bytes=0)) as direct,
    ):
        indexer = start()
        until(lambda: caught_up(postgres_url, node), "the first index", indexer)

        async def mine_empty_block() -> None:
            provider.do(node.mine)

        async def grow() -> None:
            async with acknowledged(pooled) as client:
                await client.subscribe("1", BLOCKS)
                await client.begun("1", mine_empty_block)
                for number in range(2, 9):
                    provider.do(partial(change, node, number))
                    await asyncio.to_thread(until, lambda: caught_up(postgres_url, node), "the block", indexer)
                    while (await client.next("1", "blockIndexed"))["number"] != str(node.head.number):
                        pass
                    await assert_equal_answers(pooled, direct)

        asyncio.run(grow())
        assert "step failed" not in indexer.last_output
        assert "Traceback" not in indexer.last_output
    with engine_of(postgres_url) as live, engine_of(new_postgres_database()) as fresh:
        assert read_tables(live, node.chain_id) == index_afresh(fresh, node)


def change(node: FakeNode, number: int) -> None:
    """Adds a block with a device; every third time, a reorg replaces the one before."""
    if number % 3 == 0:
        node.reorg(1, [emitted("Transfer", to=b"\x0b" * 20, tokenId=50)])
    mine(node, number)


def mine(node: FakeNode, number: int) -> None:
    serial = f"SN-{number}"
    node.mine(
        emitted("Transfer", to=b"\x0a" * 20, tokenId=number),
        emitted("CertificateMinted", tokenId=number, manufacturerId=1, serialNumber=serial, firmwareVersion="1"),
    )


async def assert_equal_answers(pooled: str, direct: str) -> None:
    """Sends all queries at once, some times, through the pooler and without it."""
    async with httpx.AsyncClient(timeout=60) as http:

        async def answers(address: str) -> list[str]:
            sent = [http.post(f"{address}/graphql", json={"query": query}) for query in QUERIES * 3]
            return [answer.text for answer in await asyncio.gather(*sent)]

        expected = await answers(direct)
        assert await answers(pooled) == expected
        assert not any("errors" in answer for answer in expected)
