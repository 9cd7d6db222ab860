"""After a failover the programs go on by themselves, and a former primary that comes back takes no write."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from copy import copy

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from api.settings import Settings
from indexer.retry import pause_after
from indexer.store import Fenced
from indexer.store.rollback import Cause
from schema.tables import timelines
from schema.tables.database import connect
from tests.support.api.live import BLOCKS, Socket, acknowledged
from tests.support.api.server import post, serving
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.databases import NewDatabase
from tests.support.index.indexing import Indexer, engine_of, index_afresh, read_tables
from tests.support.pgbouncer import running_pooler
from tests.support.postgres import PostgresServer, plain_url
from tests.support.postgres_pair import Pair, running_pair
from tests.support.processes import caught_up, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

DEVICES = "{ devices { totalCount } _meta { chains { indexed { number } } } }"

NOTE = """INSERT INTO standby (chain_id, name, since, seen_at) VALUES (0, gen_random_uuid(), 0, 0)
    RETURNING inet_server_port()"""


@pytest.fixture
def pair() -> Iterator[Pair]:
    with running_pair() as pair:
        yield pair


def test_after_a_failover_the_indexer_and_the_api_go_on_by_themselves(
    pair: Pair, new_postgres_database: NewDatabase
) -> None:
    node = FakeNode(finality=2)
    mine(node, 1)
    with (
        Provider(of_fake(node)) as provider,
        indexers(pair.url, RPC_URLS=provider.url) as start,
        serving(Settings(database_url=pair.url, cache_bytes=0)) as address,
    ):
        indexer = start()
        until(lambda: caught_up(pair.url, node), "the first index", indexer)

        async def mine_empty_block() -> None:
            provider.do(node.mine)

        async def fail_over() -> None:
            async with acknowledged(address) as client:
                await client.subscribe("1", BLOCKS)
                await client.begun("1", mine_empty_block)
                provider.do(lambda: mine(node, 2))
                while (await client.next("1", "blockIndexed"))["number"] != str(node.head.number):
                    pass
                await asyncio.to_thread(pair.fail_over)
                provider.do(lambda: mine(node, 3))
                await next_block_after_a_while(client)
            await asyncio.to_thread(until, lambda: caught_up(pair.url_of(pair.second), node), "the block", indexer)

        asyncio.run(fail_over())
        answer = post(f"{address}/graphql", {"query": DEVICES}).json()
        assert answer["data"]["devices"]["totalCount"] == 3
    with engine_of(pair.url_of(pair.second)) as live, engine_of(new_postgres_database()) as fresh:
        assert read_tables(live, node.chain_id) == index_afresh(fresh, node)


async def test_a_pause_after_a_lost_database_ends_when_it_is_back(pair: Pair) -> None:
    engine = connect(pair.url_of(pair.first))
    pair.first.crash()
    with pytest.raises(OperationalError) as lost:
        note(engine)
    pausing = asyncio.ensure_future(pause_after(lost.value, engine)(120))
    await asyncio.to_thread(pair.first.restart)
    assert await asyncio.wait_for(pausing, 60) is True
    engine.dispose()


def test_a_former_primary_that_comes_back_takes_no_write(pair: Pair) -> None:
    engine = connect(pair.url)
    note(engine)
    pair.second.wait_for(pair.first)
    pair.fail_over()
    assert note(engine) == pair.second.port
    pair.first.restart()  # it takes writes: nothing has shut it off
    assert [note(engine) for _ in range(3)] == [pair.second.port] * 3
    engine.dispose()
    assert note(engine) == pair.second.port, "libpq would connect to the first host"
    new = connect(pair.url)
    assert note(new) == pair.second.port, "a process that has just started"
    pair.second.crash()
    for writer in (engine, new):
        with pytest.raises(OperationalError, match=r"former primary: it writes timeline 1, and timeline 2 has begun"):
            note_until_refused(writer)
        writer.dispose()
    assert notes(pair.url_of(pair.first)) == 1


def test_a_connection_that_outlives_the_suspension_of_a_former_primary_is_replaced(pair: Pair) -> None:
    engine = connect(f"{pair.url}&connect_timeout=4")
    former = engine.connect()
    former.exec_driver_sql("SELECT 1")
    pair.second.wait_for(pair.first)
    pair.first.freeze(stopped=True)
    pair.second.promote()
    assert note(engine) == pair.second.port
    pair.first.freeze(stopped=False)  # it takes writes, on connections that are still open
    former.close()
    assert [note(engine) for _ in range(3)] == [pair.second.port] * 3, "the pool has the former connection again"
    engine.dispose()
    assert notes(pair.url_of(pair.first)) == 0


def test_a_step_that_began_on_one_side_of_a_split_is_not_stored_on_the_other(pair: Pair) -> None:
    """The checkpoint is the fence: a commit names the block and the epoch that it builds on."""
    node = FakeNode(finality=2)
    mine(node, 1)
    with engine_of(pair.url_of(pair.first)) as first, engine_of(pair.url_of(pair.second)) as second:
        former = Indexer(first, node)
        asyncio.run(former.catch_up())
        former.lease.release()
        pair.second.wait_for(pair.first)
        pair.second.promote()
        mine(node, 2)
        newer = copy(former)
        newer.engine = second
        newer.begin_life()
        asyncio.run(newer.catch_up())
        before = {pair.first: former.store.checkpoint(), pair.second: newer.store.checkpoint()}
        for store, checkpoint in ((former.store, before[pair.second]), (newer.store, before[pair.first])):
            with pytest.raises(Fenced, match="nothing of this step was stored"):
                store.roll_back(checkpoint, store.origin(), Cause.FORK)
        assert (former.store.checkpoint(), newer.store.checkpoint()) == tuple(before.values())


def test_an_older_timeline_is_taken_when_no_server_is_on_the_newer_one_any_more(pair: Pair) -> None:
    engine = connect(pair.url)
    pair.second.promote()
    pair.first.crash()
    assert note(engine) == pair.second.port
    pair.second.crash()
    pair.first.restart()
    with pytest.raises(OperationalError, match="former primary"):
        note_until_refused(engine)
    third = PostgresServer(primary=pair.first, port=pair.second.port)  # the newer timeline is given up
    assert note(engine) == pair.first.port
    engine.dispose()
    third.stop()


def test_a_pooler_that_leads_back_to_a_former_primary_writes_nothing_there(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.second.promote()
    with running_pooler(pair.url_of(pair.second), sessions=2) as pooler:
        engine = connect(pooler.url)
        assert note(engine) == pair.second.port
        pooler.lead_to(pair.url_of(pair.first))
        with pytest.raises(OperationalError, match="former primary"):
            note_until_refused(engine)
        assert notes(pair.url_of(pair.first)) == 0
        pooler.lead_to(pair.url_of(pair.second))
        until(lambda: note_if_possible(engine) == pair.second.port, "the new primary")
        pooler.lead_to(pair.url_of(pair.first))
        monkeypatch.setattr(timelines, "DECIDED_SECONDS", 0.0)
        until(lambda: note_if_possible(engine) == pair.first.port, "the decision of those who run the pooler")
        engine.dispose()


def note(engine: Engine) -> int:
    """Writes one row, and returns the port of the server that has it."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO standby (chain_id, name, since, seen_at) VALUES (0, gen_random_uuid(), 0, 0)"
        )
        return int(connection.exec_driver_sql("SELECT inet_server_port()").scalar_one())


def note_if_possible(engine: Engine) -> int | None:
    try:
        return note(engine)
    except OperationalError:
        return None


def note_until_refused(engine: Engine) -> None:
    def is_refused() -> bool:
        try:
            note(engine)
        except OperationalError as error:
            if "former primary" in str(error):
                raise
        return False

    until(is_refused, "the refusal")


def notes(url: str) -> int:
    with psycopg.connect(plain_url(url)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM standby WHERE chain_id = 0").fetchone() or (-1,)
    return int(count)


async def next_block_after_a_while(client: Socket) -> None:
    """Waits for a block three times as long as for other messages: a busy machine promotes its standby slowly."""
    for _ in range(2):
        with suppress(TimeoutError):
            await client.next("1", "blockIndexed")
            return
    await client.next("1", "blockIndexed")


def mine(node: FakeNode, number: int) -> None:
    serial = f"SN-{number}"
    node.mine(
        emitted("Transfer", to=b"\x0a" * 20, tokenId=number),
        emitted("CertificateMinted", tokenId=number, manufacturerId=1, serialNumber=serial, firmwareVersion="1"),
    )
