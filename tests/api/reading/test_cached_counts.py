"""A count from the cache equals the count of all rows; so do pages of rows whose ids are cached."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from api.queries.devices import DEVICE_ORDERS, DEVICES, DEVICES_OF_HARDWARE_LICENSE, DEVICES_OF_MANUFACTURER
from api.queries.events import EVENTS, EVENTS_AND_UNMAPPED, HISTORY
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.intervals import Groups
from api.queries.sql.keys import Key, key_of
from api.queries.sql.listings import BY_POSITION, Listing, Order
from api.queries.sql.pages import PLACE, SORT_ID, SORT_KEY, Page, PageQuery, Place, Window, counts, pages
from api.queries.sql.relations import Cells, Columns
from api.queries.statistics import COUNTED_DEVICES, DIMENSIONS, Grouping, count_groups, failure_counts
from api.reading.cached_counts import LongReads
from api.reading.read import Read
from api.reading.snapshot import Snapshot, open_snapshot_now
from schema.events import Kind
from schema.tables.values import end_of_block
from schema.vocabulary import EndOfLifeStatus, EpcisAction, Verdict
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import BLOCKS, PEOPLE, TEXTS, Block
from tests.support.index.history import History, log
from tests.support.index.indexing import Indexer

FINALITY = 4
EXPLORED = os.environ.get("EXPLORED_EXAMPLES")
"""How many random examples to try instead of the few that are always the same."""

VALUES: dict[str, Sequence[Any]] = {
    "owner": PEOPLE,
    "serial_number": TEXTS,
    "imei": TEXTS,
    "initial_firmware": TEXTS,
    "end_of_life_status": tuple(EndOfLifeStatus),
    "imei_valid": tuple(Verdict),
    "quality_inspection": tuple(Verdict),
    "in_circuit_test": tuple(Verdict),
    "manufacturer_licensed_at_mint": tuple(Verdict),
    "no_activity_after_end_of_life": tuple(Verdict),
    "sanitized_before_disposal": tuple(Verdict),
    "manufacturer_id": (1, 2),
    "factory_reset_count": (0, 1),
    "imei_unique": tuple(Verdict),
    "serial_unique_for_manufacturer": tuple(Verdict),
}
CONDITIONS: list[Filter] = [((name, (("eq", value),)),) for name, values in VALUES.items() for value in values]
FILTERS: list[Filter] = [
    (),
    *CONDITIONS,
    (("not", CONDITIONS[0]),),
    (("or", tuple(CONDITIONS[::9])),),
    (("firmware", (("version", (("eq", "1.0.0"),)),)),),
]
EVENT_FILTERS: list[Filter] = [
    (),
    (("kind", (("eq", Kind.DEVICE_MINTED),)),),
    (("kind", (("eq", Kind.UNDECODABLE),)),),
    (("action", (("eq", EpcisAction.ADD),)),),
]
GROUPINGS = [
    *(Grouping(COUNTED_DEVICES, (name,), ()) for name in DIMENSIONS),
    Grouping(COUNTED_DEVICES, ("OWNER", "FIRMWARE", "END_OF_LIFE_STATUS"), ()),
    Grouping(COUNTED_DEVICES, ("MINTED_MONTH",), CONDITIONS[-1]),
]


class Turn(NamedTuple):
    """The chain removes blocks and grows, then what is counted now is compared, and as of a block so far back."""

    removed: int
    blocks: list[Block]
    back: int


TURNS = st.builds(Turn, st.integers(0, FINALITY), st.lists(BLOCKS, min_size=1, max_size=4), st.integers(0, 12))


@pytest.fixture(autouse=True)
def keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.reading.cached_counts.LONG_SECONDS", 0)


@pytest.mark.slow
@pytest.mark.untimed
@given(turns=st.lists(TURNS, min_size=3, max_size=5))
@settings(max_examples=int(EXPLORED or 3), derandomize=EXPLORED is None, deadline=None, print_blob=True, database=None)
def test_after_any_reorg_and_at_any_block_a_kept_count_is_right(engine: Engine, turns: list[Turn]) -> None:
    node = FakeNode(finality=FINALITY)
    indexer = Indexer(engine, node)
    for turn in turns:
        removed = min(turn.removed, node.head.number - node.finalized_number)
        if removed:
            node.reorg(removed, same_length=False)
        for block in turn.blocks:
            block.mine(node)
        asyncio.run(indexer.catch_up())
        with open_snapshot_now(engine) as snapshot:
            now = next(pin for pin in snapshot.pins if pin.chain_id == node.chain_id)
            then = now._replace(position=end_of_block(max(node.head.number - turn.back, 0)))
            for pin in (now, then):
                assert cached(snapshot, pin) == plain(snapshot, pin)
                assert pages_of(Read(snapshot).pages, pin) == pages_of(partial(plain_pages, snapshot), pin)
    indexer.lease.release()


def cached(snapshot: Snapshot, pin: Pin) -> dict[Any, Any]:
    """Returns all counts at a point as a request reads them."""
    read = Read(snapshot)
    return counted(
        snapshot,
        pin,
        read.counts,
        lambda grouping, keys: read.groups(groups_of(grouping), keys, grouping, is_settled=grouping.is_settled),
        lambda filter, keys: read.groups(failures_of(filter), keys, ("failures", filter), is_settled=True),
    )


def plain(snapshot: Snapshot, pin: Pin) -> dict[Any, Any]:
    """Returns the same counts of all rows."""
    return counted(
        snapshot,
        pin,
        lambda listing, filter, keys: snapshot.read_now(counts, listing, keys, filter),
        lambda grouping, keys: snapshot.read_now(groups_of(grouping), keys, None),
        lambda filter, keys: snapshot.read_now(failures_of(filter), keys, None),
    )


WINDOWS: Sequence[Window[Place]] = (Window(2), Window(2, backward=True), Window(0))
ORDERS = [*DEVICE_ORDERS.values()]
Pages = Callable[[PageQuery, Sequence[Key], Columns], Sequence[Page]]


def pages_of(read: Pages, pin: Pin) -> list[tuple[PageQuery, list[Cells], bool]]:
    """Returns pages of lists with some filters: from both ends, and next to a row of the first page."""
    filters = list(enumerate(FILTERS))[pin.clock % 11 :: 11]
    lists = [(DEVICES, ORDERS[number % len(ORDERS)], filter) for number, filter in filters]
    lists.append((EVENTS, BY_POSITION, EVENT_FILTERS[1]))

    def page(query: PageQuery) -> Page:
        return read(query, [key_of(pin)], query.listing.rows.columns)[0]

    queries = [query for list in lists for query in page_queries(page, pin, *list)]
    return [(query, [row[:PLACE] for row in shown.rows], shown.more) for query in queries for shown in [page(query)]]


def page_queries(
    read: Callable[[PageQuery], Page], pin: Pin, listing: Listing, order: Order, filter: Filter
) -> Iterator[PageQuery]:
    query = PageQuery(listing, order, Window(2), filter)
    yield from (query._replace(window=window) for window in WINDOWS)
    for row in read(query).rows[-1:]:
        place = Place(row[SORT_KEY], pin.chain_id, row[SORT_ID])
        for other in (pin.chain_id - 1, pin.chain_id, pin.chain_id + 1):
            yield query._replace(window=Window(2, after=place._replace(chain_id=other)))
            yield query._replace(window=Window(2, backward=True, before=place._replace(chain_id=other)))


def plain_pages(snapshot: Snapshot, query: PageQuery, keys: Sequence[Key], columns: Columns) -> Sequence[Page]:
    """Returns the same pages, as a walk finds them."""
    return snapshot.read_now(pages, query, keys, columns)


def counted(
    snapshot: Snapshot,
    pin: Pin,
    of_list: Callable[[Listing, Filter, Sequence[Key]], list[int]],
    of_groups: Callable[[Grouping, Sequence[Key]], list[Groups]],
    of_failures: Callable[[Filter, Sequence[Key]], list[Groups]],
) -> dict[Any, Any]:
    of_chain, ids = [key_of(pin)], snapshot.read_now(_ids, pin.chain_id)
    return {
        **{("devices", filter): of_list(DEVICES, filter, of_chain) for filter in FILTERS},
        **{("events", filter): of_list(EVENTS, filter, of_chain) for filter in EVENT_FILTERS},
        "unmapped": of_list(EVENTS_AND_UNMAPPED, (), of_chain),
        **{
            (listing.name, filter): of_list(listing, filter, [key_of(pin, id) for id in ids[table]])
            for table, listing in PARENTS.items()
            for filter in (() if listing is HISTORY else CONDITIONS[-9],)
        },
        **{grouping: of_groups(grouping, of_chain) for grouping in GROUPINGS},
        **{("failures", filter): of_failures(filter, of_chain) for filter in FILTERS[:3]},
    }


PARENTS = {
    "manufacturer": DEVICES_OF_MANUFACTURER,
    "hardware_license": DEVICES_OF_HARDWARE_LICENSE,
    "device": HISTORY,
}


def _ids(connection: Any, chain_id: int) -> dict[str, list[int]]:
    return {
        table: list(
            connection.scalars(text(f"SELECT id FROM {table} WHERE chain_id = :id ORDER BY id"), {"id": chain_id})
        )
        for table in PARENTS
    }


def groups_of(grouping: Grouping) -> Any:
    return lambda connection, keys, interval: count_groups(connection, grouping, keys, 1_000, interval)


def failures_of(filter: Filter) -> Any:
    return lambda connection, keys, interval: failure_counts(connection, filter, keys, 1_000, interval)


# What is cached


@pytest.fixture
def history(database_url: str) -> Iterator[History]:
    history = History(database_url)
    mint(history, 1)
    yield history
    history.engine.dispose()


def mint(history: History, token: int, finalized: int = 0) -> None:
    values = (token, b"\xaa" * 20, 1, 1, "SN", "", history.number, "1.0.0")
    history.block(log("CertificateMinted", *values), finalized=finalized)


def devices(engine: Engine) -> tuple[int, list[str]]:
    """Returns the number of devices, and the statements that counted them."""
    statements: list[str] = []
    with open_snapshot_now(engine) as snapshot:
        event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        [count] = Read(snapshot).counts(DEVICES, (), [key_of(snapshot.pins[0])])
    return count, [statement for statement in statements if "FROM k" in statement or "count(*)" in statement]


def test_a_second_count_reads_only_what_events_touched(history: History, reading_engine: Engine) -> None:
    assert devices(reading_engine)[0] == 1
    mint(history, 2, finalized=1)
    count, statements = devices(reading_engine)
    assert count == 2
    assert all("event" in statement for statement in statements), statements


def test_under_another_writer_nothing_kept_is_used(history: History, reading_engine: Engine) -> None:
    mint(history, 2, finalized=1)
    assert devices(reading_engine)[0] == 2
    with history.engine.begin() as connection:
        connection.execute(text("DELETE FROM device_version WHERE valid_from < :two"), {"two": 2 << 20})
        connection.execute(text("DELETE FROM device_key WHERE valid_from < :two"), {"two": 2 << 20})
        connection.execute(text("DELETE FROM device WHERE id < :two"), {"two": 2 << 20})
    assert devices(reading_engine)[0] == 2  # a row that no event removes
    with history.engine.begin() as connection:
        connection.execute(text("UPDATE chain SET writer_epoch = writer_epoch + 1, revision = revision + 1"))
    assert devices(reading_engine)[0] == 1


def test_a_snapshot_of_a_replica_that_lags_uses_no_later_point(history: History, reading_engine: Engine) -> None:
    with open_snapshot_now(reading_engine) as lagging:
        mint(history, 2, finalized=1)
        mint(history, 3, finalized=2)
        assert devices(reading_engine)[0] == 3  # cached as of block 2
        assert Read(lagging).counts(DEVICES, (), [key_of(lagging.pins[0])]) == [1]


def test_after_more_events_than_a_count_is_worth_all_rows_are_counted(
    history: History, reading_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reading.cached_counts.MOST_EVENTS", 1)
    assert devices(reading_engine)[0] == 1
    for token in (2, 3, 4):
        mint(history, token, finalized=token - 1)
    count, statements = devices(reading_engine)
    assert count == 4
    assert any("event" not in statement for statement in statements)


def test_a_kept_count_from_which_more_changed_than_all_rows_are_is_forgotten(
    history: History, reading_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for token in range(2, 5):
        mint(history, token, finalized=token - 1)
    assert devices(reading_engine)[0] == 4  # kept
    monkeypatch.setattr("api.reading.cached_counts.MOST_EVENTS", 0)
    monkeypatch.setattr("api.reading.cached_counts.LONG_SECONDS", 5)
    ticks = iter([0, 9, 9, 10])  # to read what changed takes 9 seconds, to count all rows 1
    monkeypatch.setattr("api.reading.cached_counts.time", SimpleNamespace(perf_counter=lambda: next(ticks, 10)))
    mint(history, 5)
    assert devices(reading_engine)[0] == 5
    count, statements = devices(reading_engine)
    assert count == 5
    assert not any("FROM event" in statement for statement in statements), statements


def test_a_read_is_long_only_if_its_last_ones_took_long_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.reading.cached_counts.LONG_SECONDS", 0.005)
    long = LongReads()
    for seconds in (0.02, 0.02, 0.001, 0.02, 0.02):
        long.note("a", seconds)
        assert not long.is_long("a")
    long.note("a", 0.02)
    assert long.is_long("a")
    assert not long.is_long("b")
    long.ignore("a")
    long.note("a", 1)
    assert not long.is_long("a")


def test_after_a_long_page_of_few_rows_the_next_one_reads_these_rows(
    history: History, reading_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first_page(reading_engine) == ([1], True)
    mint(history, 2, finalized=1)
    assert first_page(reading_engine) == ([2, 1], False)
    monkeypatch.setattr("api.reading.cached_pages.FEW_ROWS", 1)
    assert first_page(reading_engine) == ([2, 1], True)
    monkeypatch.setattr("api.reading.cached_pages.FEW_ROWS", 200)
    assert first_page(reading_engine) == ([2, 1], True)  # it is known to have many


def first_page(engine: Engine) -> tuple[list[int], bool]:
    """Returns the token ids of the newest devices, and whether a walk found them."""
    statements: list[str] = []
    query = PageQuery(DEVICES, DEVICE_ORDERS["MINTED_AT", True], Window(10), (("serial_number", (("eq", "SN"),)),))
    with open_snapshot_now(engine) as snapshot:
        event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
        [page] = Read(snapshot).pages(query, [key_of(snapshot.pins[0])], ("token_id",))
    return [row[0] for row in page.rows], any("ORDER BY" in statement for statement in statements)


def test_a_count_that_the_clock_or_a_license_changes_is_not_kept() -> None:
    for name in ("authorized_user", "factory_resets_since", "paired_vehicle"):
        assert not DEVICES.is_settled(((name, (("eq", Verdict.FAIL),)),))
        assert not DEVICES.is_settled((("or", ((("not", ((name, (("eq", Verdict.FAIL),)),)),),)),))
    assert not EVENTS.is_settled((("flag", (("any", True),)),))
    assert not Grouping(COUNTED_DEVICES, ("MODEL",), ()).is_settled
