"""Query plans of both databases on half a million events: every order and every filter of the API.

The statements are those that the API sends. None may scan a large table. An order by itself is read from its index,
without a sort. A filter has an index of its own, or is evaluated along the index of the order; the latter filters are
listed here, and the time limit of a request bounds them.
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type
from sqlalchemy import event

from api.graphql.request import GraphQLRequest
from api.reading.snapshot import open_snapshot
from tests.support.api.asking import SCHEMA, Api, answer_ordinary
from tests.support.index.big_index import build
from tests.support.postgres import plain_url

pytestmark = [pytest.mark.slow, pytest.mark.untimed]

BIG = {
    "event",
    "block",
    "device",
    "device_key",
    "device_version",
    "device_activity",
    "authorization",
    "test_result",
    "firmware_update",
    "factory_reset",
    "transfer",
    "vehicle_version",
}


class Walk(NamedTuple):
    """The big tables that a plan scans, and whether it sorts."""

    scanned: list[str]
    sorts: bool
    plan: str
    statement: str = ""


class PlanningApi(Api):
    """Plans each statement of a request with its parameters.

    A statement on a big table then returns no rows, except one that finds the block of an instant: the position of that
    block decides how the next statement is planned.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.walks: list[Walk] = []
        if self.engine.dialect.name == "sqlite":
            self._sqlite = sqlite3.connect(self.engine.url.database or "", uri=True, check_same_thread=False)
        else:
            self._postgres = psycopg.connect(plain_url(url), autocommit=True, prepare_threshold=None)
        event.listen(self.engine, "before_cursor_execute", self._explain, retval=True)

    async def walks_of(self, query: str) -> list[Walk]:
        self.walks = []
        async with open_snapshot(self.engine) as snapshot:
            answer = await answer_ordinary(self.schema, GraphQLRequest(query), snapshot)
        assert "errors" not in answer, answer["errors"]
        return self.walks

    @property
    def may_scan(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def close(self) -> None:
        (self._sqlite if self.engine.dialect.name == "sqlite" else self._postgres).close()
        self.engine.dispose()

    def _explain(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        if not statement.startswith(("SELECT", "WITH")):
            return statement, parameters
        if self.engine.dialect.name == "sqlite":
            rows = self._sqlite.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            walk = _walk_of_sqlite([row[3] for row in rows])
        else:
            rows = self._postgres.execute(f"EXPLAIN (FORMAT JSON) {statement}".encode(), parameters).fetchall()
            walk = _walk_of_postgres(rows[0][0][0]["Plan"])
        if not any(table in walk.plan for table in BIG):
            return statement, parameters
        self.walks.append(walk._replace(statement=statement))
        if statement.startswith("SELECT block.number"):
            return statement, parameters
        return f"SELECT * FROM ({statement}) AS planned LIMIT 0", parameters


def _walk_of_sqlite(lines: list[str]) -> Walk:
    scanned = [line for line in lines if line.startswith("SCAN ") and line.split()[1] in BIG]
    return Walk(scanned, any("TEMP B-TREE FOR" in line and "DISTINCT" not in line for line in lines), "\n".join(lines))


def _walk_of_postgres(plan: Any) -> Walk:
    nodes = list(_nodes(plan))
    scanned = [f"Seq Scan on {node['Relation Name']}" for node in nodes if node["Node Type"] == "Seq Scan"]
    sorts = any(node["Node Type"] == "Sort" for node in nodes)
    return Walk([line for line in scanned if line.split()[-1] in BIG], sorts, json.dumps(plan, indent=1))


def _nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@pytest.fixture(scope="module")
def api(module_database_url: str) -> Iterator[PlanningApi]:
    engine = build(module_database_url)
    planning = PlanningApi(module_database_url)
    yield planning
    planning.close()
    engine.dispose()


QUERIES: Any = SCHEMA._schema.query_type and SCHEMA._schema.query_type.fields
LISTS = ("devices", "manufacturers", "hardwareLicenses", "authorizations", "lifecycleEvents")
NUMBER = str(int.from_bytes(b"0" * 30 + b"77"))
SAMPLES = {
    "BigIntFilter": NUMBER,
    "IntFilter": 1,
    "StringFilter": "SN-00000777",
    "AddressFilter": "0x" + (b"0" * 17 + b"777").hex(),
    "Bytes32Filter": "0x" + (b"0" * 28 + b"7919").hex(),
    "DateTimeFilter": "2020-10-01T00:00:00Z",
    "VersionFilter": "2.10.0",
}
OPERATORS = ("eq", "lt", "gte", "startsWith")


def orders() -> Iterator[str]:
    for name in LISTS:
        arguments = QUERIES[name].args
        by = arguments.get("orderBy")
        order_arguments = (
            [""]
            if by is None
            else [
                f"orderBy: {{field: {field}, direction: {direction}}}, "
                for field in get_named_type(get_named_type(by.type).fields["field"].type).values
                for direction in ("ASC", "DESC")
            ]
        )
        for order in order_arguments:
            yield from (f"{name}({order}{page}: 20)" for page in ("first", "last"))


def filters() -> Iterator[str]:
    for name in LISTS:
        for comparison in comparisons(get_named_type(QUERIES[name].args["filterBy"].type)):
            yield f"{name}(filterBy: {{{comparison}}})"


def comparisons(filter: Any, operators: Sequence[str] = OPERATORS, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields a comparison for each field and operator of a filter, and one for each field of the filters in it.

    `above`: the filters around it. A vehicle's filter has that of its synthetic device, which has that of its vehicle.
    """
    for name, field in filter.fields.items():
        kind = get_named_type(field.type)
        if name in ("and", "or", "not") or kind.name in above:
            continue
        if not isinstance(kind, GraphQLInputObjectType):
            yield f"{name}: {json.dumps(PLAIN[name])}"
        elif kind.name == "FactoryResetsSince":
            # one device of a hundred
            yield f'{name}: {{since: "2020-10-11T06:00:00Z", count: {{gt: 0}}}}'
        elif kind.name == "AttributeFilter":
            yield f'{name}: {{name: "Make", value: {{eq: "Tesla"}}}}'
        elif "eq" not in kind.fields:
            inside = operators if kind.name == "FirmwareFilter" else ("eq",)
            yield from (f"{name}: {{{comparison}}}" for comparison in comparisons(kind, inside, (*above, filter.name)))
        else:
            yield from (f"{name}: {{{operator}: {value(kind)}}}" for operator in operators if operator in kind.fields)


PLAIN = {"anyKey": "SN-00000777", "activeAt": "2020-09-30T21:30:00Z", "burned": True}
"""About one device of a hundred fits: it had a user at that time, or its vehicle is burned."""


def value(kind: Any) -> str:
    operand = get_named_type(kind.fields["eq"].type)
    return list(operand.values)[-1] if isinstance(operand, GraphQLEnumType) else json.dumps(SAMPLES[kind.name])


FLEET_FILTER = get_named_type(QUERIES["deviceStatistics"].args["filterBy"].type)


@pytest.mark.parametrize("field", list(orders()))
async def test_an_order_uses_its_index_without_a_sort(api: PlanningApi, field: str) -> None:
    for walk in await api.walks_of(f"{{ {field} {{ nodes {{ __typename }} }} }}"):
        assert walk.scanned == [], walk.plan
        assert not walk.sorts or ABSENT_TIMES in walk.statement, walk.plan


@pytest.mark.parametrize("field", list(filters()))
async def test_a_filter_scans_no_big_table(api: PlanningApi, field: str) -> None:
    for walk in await api.walks_of(f"{{ {field} {{ nodes {{ __typename }} }} }}"):
        assert walk.scanned == [] or (api.may_scan and UNINDEXED.search(field)), walk.plan


@pytest.mark.parametrize("comparison", list(comparisons(FLEET_FILTER, ["eq"])))
async def test_statistics_of_some_devices_scan_no_big_table(api: PlanningApi, comparison: str) -> None:
    field = f"deviceStatistics(groupBy: [FIRMWARE, MODEL], filterBy: {{{comparison}}})"
    for walk in await api.walks_of(f"{{ {field} {{ count }} }}"):
        assert walk.scanned == [] or (api.may_scan and UNINDEXED.search(comparison)), walk.plan


READ_ONCE = {
    "devices": (
        'authorizedUser: {activeAt: "2020-10-05T00:00:00Z"}',
        'authorizedUser: {organization: {eq: "Organization 0077"}}',
        'factoryResetsSince: {since: "2020-10-11T06:00:00Z", count: {gt: 0}}',
        'pairedVehicle: {authorizedUser: {activeAt: "2020-10-05T00:00:00Z"}}',
        f'mintTransactionHash: {{eq: "{SAMPLES["Bytes32Filter"]}"}}',
        'everHadAddress: {eq: "0x' + "11" * 20 + '"}',
        'anyKey: "SN-00000777"',
    ),
    "lifecycleEvents": (
        'recordTime: {gte: "2020-10-05T00:00:00Z"}',
        f'blockHash: {{eq: "{SAMPLES["Bytes32Filter"]}"}}',
        "finality: {eq: UNSAFE}",
        'device: {authorizedUser: {activeAt: "2020-10-05T00:00:00Z"}}',
    ),
    "authorizations": ('device: {authorizedUser: {activeAt: "2020-10-05T00:00:00Z"}}',),
}
REPEATED = re.compile(r"CORRELATED (LIST|SCALAR) SUBQUERY \d+\n(?!SEARCH (later|first_item) )|\(SubPlan")
"""A subquery that is executed for each row. Those of `later` and `first_item` are columns of the rows of a page."""


@pytest.mark.parametrize(
    "field",
    [f"{name}(filterBy: {{not: {{{filter}}}}})" for name, filters in READ_ONCE.items() for filter in filters],
)
async def test_what_a_filter_selects_by_the_point_alone_is_read_once_and_not_for_each_row(
    api: PlanningApi, field: str
) -> None:
    walks = await api.walks_of(f"{{ {field} {{ totalCount nodes {{ __typename }} }} }}")
    assert walks
    assert not [walk.plan for walk in walks if REPEATED.search(walk.plan)]


ABSENT_TIMES = " + 0 "
"""In statements that sort the few rows with a time after the year 9999 by id."""

UNINDEXED = re.compile(
    r"provisionedAt|claimedAt|lastFirmwareUpdateAt|imageHash|initialFirmware|action|version: {(eq|startsWith)|"
    r"endOfLifeStatus|factoryResetCount|Test:|Inspection:|AtMint:|imeiValid|AfterQuality|AfterEndOfLife|BeforeDisposal|"
    r"source|grantedAt|expiresAt|contract|imeiUnique: {eq: NOT_APPLICABLE"
)
"""Filters without an index, whose condition is checked row by row. If few rows fit, PostgreSQL scans the table."""
