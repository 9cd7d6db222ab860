"""SQLite finds what a step reads and changes by keys, also in a first backfill, when no secondary index exists."""

import asyncio
from typing import Any

from sqlalchemy import Engine

from indexer.store.open_row_cache import OpenRowCache
from indexer.store.refolding import scratch_database
from indexer.sync.step import Pace
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.index.indexing import Indexer

ALICE, BOB = b"\xa1" * 20, b"\xb0" * 20
BLOCKS = (
    (
        emitted("ManufacturerLicensed", manufacturerId=1, account=ALICE, name="Acme"),
        emitted("HardwareLicensed", hardwareLicenseId=7, manufacturerId=1, model="Tracker"),
    ),
    (
        *(emitted("Transfer", to=ALICE, tokenId=number) for number in range(1, 100)),
        emitted("UserAuthorized", tokenId=1, user=BOB, permissions=3),
        emitted("CertificateCorrected", tokenId=1, attribute="colour", value="black"),
    ),
    (
        *(emitted("FactoryReset", tokenId=number, reason=2) for number in range(1, 100)),
        emitted("UserRevoked", tokenId=1, user=BOB),
        emitted("CertificateCorrected", tokenId=1, attribute="colour", value="red"),
    ),
)
FEW_ROWS = ("SEARCH chain ", "SEARCH disagreement ")


def test_a_step_of_a_first_backfill_reads_and_changes_rows_by_their_keys(sqlite_engine: Engine) -> None:
    node = FakeNode(finality=0)
    for block in BLOCKS:
        node.mine(*block)
    indexer = Indexer(sqlite_engine, node, pace=Pace(1, most=1, side_by_side=1))
    indexer.store.open_row_cache = OpenRowCache(0)
    statements: list[str] = []
    with sqlite_engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(statements.append)
    while indexer.store.checkpoint().number < len(BLOCKS):
        asyncio.run(indexer.step())
    assert not indexer.store.checkpoint().backfilled
    driver.set_trace_callback(None)
    looking = {each for each in statements if each.startswith(("SELECT", "UPDATE", "DELETE"))}
    plans = {row[3] for each in looking for row in driver.execute(f"EXPLAIN QUERY PLAN {each}")}
    assert any("SEARCH device_version " in plan for plan in plans)
    whole = [plan for plan in plans if plan.startswith("SCAN") or plan.endswith("(chain_id=?)")]
    assert [plan for plan in whole if not plan.startswith(FEW_ROWS)] == []


def test_the_scratch_database_of_a_check_finds_devices_by_their_tokens() -> None:
    tokens = ", ".join(f"X'{number:064x}'" for number in range(100))
    statement = (
        f"SELECT id FROM device WHERE chain_id = 1 AND contract = X'{CERTIFICATE.hex()}' AND token_id IN ({tokens})"
    )
    with scratch_database() as connection:
        [plan] = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    assert plan[3].endswith("(chain_id=? AND contract=? AND token_id=?)")
