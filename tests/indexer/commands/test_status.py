"""`certindex status` reports a rebuild that is due."""

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from indexer.observe.counters import Counters
from indexer.observe.metrics import ChainCollector
from indexer.rpc.pool import Pool
from tests.support.certindex import Certindex
from tests.support.dimo.logs import index
from tests.support.dimo.vehicles import CHAIN_ID, vehicle_chain
from tests.support.index.indexing import engine_of
from tests.support.profile import store_earlier_text


def rebuild_due_metric(url: str) -> float | None:
    with engine_of(url) as engine:
        registry = CollectorRegistry()
        registry.register(ChainCollector(engine, CHAIN_ID, Pool(["https://rpc.example"]), Counters()))
        return registry.get_sample_value("certindex_rebuild_due", {"chain": str(CHAIN_ID)})


def test_an_earlier_text_of_the_profile_makes_a_rebuild_due(
    sqlite_url: str, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_of(sqlite_url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
        assert "certindex rebuild" not in certindex("status", database_url=sqlite_url).out
        with engine.begin() as connection:
            store_earlier_text(connection, monkeypatch)
    assert "  rebuild    due" in certindex("status", database_url=sqlite_url).out
    assert "certindex rebuild --profile dimo\n" in certindex("status", database_url=sqlite_url).out
    assert rebuild_due_metric(sqlite_url) == 1
    [status] = json.loads(certindex("status", "--json", database_url=sqlite_url).out)
    assert status["rebuild_due"] is True


def test_a_profile_of_ones_own_with_the_name_of_a_shipped_one_makes_no_rebuild_due(
    sqlite_url: str, certindex: Certindex
) -> None:
    with engine_of(sqlite_url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
        with engine.begin() as connection:
            connection.execute(text("UPDATE profile SET text = text || '\n# my own rules'"))
    assert "certindex rebuild" not in certindex("status", database_url=sqlite_url).out
    assert rebuild_due_metric(sqlite_url) == 0
    [status] = json.loads(certindex("status", "--json", database_url=sqlite_url).out)
    assert status["rebuild_due"] is False
