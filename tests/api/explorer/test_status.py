"""The page of the status: each state that an index can be in, in words, and the provider's own words."""

import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from api.queries.sql import tables
from api.settings import Settings
from schema.tables.database import connect
from tests.support.api.pages import Page, get_page
from tests.support.api.server import serving, with_one_device
from tests.support.index.history import CHAIN_ID, History, log

HOSTILE = "<script>window.ran=1</script> eth_getLogs: limit is 10 \u202e blocks"


def status_of(url: str, **columns: Any) -> Page:
    """Returns the page after columns of the chain were changed."""
    engine = connect(url)
    with engine.begin() as connection:
        if columns:
            connection.execute(update(tables.chain).values(**columns))
    engine.dispose()
    with serving(Settings(database_url=url)) as site:
        return get_page(f"{site}/status")


def test_an_index_that_follows_its_chain_is_up_to_date(database_url: str) -> None:
    page = status_of(with_one_device(database_url), writer="indexer-1", polled_at=int(time.time()))
    assert page.status == 200
    assert "Up to date" in page.text
    assert "indexer-1" in page.text
    assert "device-certificate" in page.text


def test_a_backfill_says_how_far_it_is(database_url: str) -> None:
    history = History(database_url)
    history.block(log("Transfer", "0x" + "00" * 20, "0x" + "11" * 20, 1))
    history.engine.dispose()
    page = status_of(database_url, head_number=4, writer="indexer-1")
    assert "Reading the past" in page.text
    assert "25.0 % of the blocks are read" in page.text


@pytest.mark.parametrize(("stopped", "words"), [(False, "Failing, and trying again"), (True, "an operator must act")])
def test_what_fails_is_told_in_the_words_of_the_provider(database_url: str, stopped: bool, words: str) -> None:
    failing = {"failing_since": int(time.time()) - 90, "last_error": HOSTILE, "stopped": stopped}
    page = status_of(with_one_device(database_url), **failing)
    assert words in page.text
    assert "Block 2 cannot be indexed" in page.text
    assert "eth_getLogs: limit is 10 [U+202E] blocks" in page.text
    assert "<script>window" not in page.response.text


def test_without_an_indexer_the_page_says_so_and_who_stands_by(database_url: str) -> None:
    url = with_one_device(database_url)
    engine = connect(url)
    with engine.begin() as connection:
        now = int(time.time())
        rows = [
            {"chain_id": CHAIN_ID, "name": "standby-1", "since": now - 60, "seen_at": now},
            {"chain_id": CHAIN_ID, "name": "gone", "since": now - 6000, "seen_at": now - 5000},
        ]
        connection.execute(insert(tables.standby), rows)
    engine.dispose()
    page = status_of(url, writer=None)
    assert "No indexer is running" in page.text
    assert "standby-1 stands by" in page.text
    assert "gone" not in page.text


def test_a_disagreement_names_both_providers(database_url: str) -> None:
    url = with_one_device(database_url)
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(
            insert(tables.disagreement).values(
                chain_id=CHAIN_ID,
                disagreement_no=1,
                first_block=5,
                last_block=9,
                host="one.example:443",
                other_host="two.example:443",
                logs="[]",
                other_logs="[]",
                log_count=3,
                other_log_count=2,
                digest=bytes(32),
                other_digest=bytes(32),
                first_seen_at=1_700_000_000,
                last_seen_at=1_700_000_000,
            )
        )
    engine.dispose()
    page = status_of(url)
    assert "one.example:443: 3 logs" in page.text
    assert "two.example:443: 2 logs" in page.text
    assert "5 to 9" in page.text


def test_an_empty_index_says_how_to_begin(database_url: str) -> None:
    page = status_of(database_url)
    assert page.status == 200
    assert "certindex run" in page.text


def test_a_database_that_is_away_is_said(tmp_path: Path) -> None:
    with serving(Settings(database_url=f"sqlite:///{tmp_path}/none.db")) as site:
        page = get_page(f"{site}/status")
    assert page.status == 503
    assert "Not available right now" in page.text
