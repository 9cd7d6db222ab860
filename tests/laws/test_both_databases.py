"""SQLite and PostgreSQL give byte-identical answers for texts, times and numbers that the two compare differently.

So does PostgreSQL behind PgBouncer, and the API leaves nothing in its sessions.
"""

import asyncio
from collections.abc import Iterator
from itertools import product

import msgspec
import pytest

from api.graphql.request import GraphQLRequest
from tests.support.api.asking import SCHEMA, Api, Json, asking, execute
from tests.support.api.operations import OPERATIONS, samples
from tests.support.chain.awkward import IMEIS, OWNERS, TEXTS, licenses, life
from tests.support.chain.fakechain import FakeNode, emitted
from tests.support.index.indexing import Indexer, open_engine
from tests.support.pgbouncer import Pooler

pytestmark = [pytest.mark.slow, pytest.mark.untimed]

DEVICES = 48


@pytest.fixture(scope="module")
def apis(tmp_path_factory: pytest.TempPathFactory, module_postgres_url: str, pooler: Pooler) -> Iterator[list[Api]]:
    """One chain, with a reorg, indexed in both databases. The last reads PostgreSQL through the pooler."""
    node = FakeNode(chain_id=1)
    urls = [f"sqlite:///{tmp_path_factory.mktemp('same') / 'same.db'}", module_postgres_url]
    engines = [open_engine(url) for url in urls]
    indexers = [Indexer(engine, node) for engine in engines]

    def index() -> None:
        for indexer in indexers:
            asyncio.run(indexer.catch_up())

    node.mine(*licenses())
    for first in range(1, DEVICES + 1, 6):
        node.mine(*(log for token in range(first, first + 6) for log in life(token)))
    index()
    node.reorg(2, life(41) + life(42), life(47))
    node.mine(emitted("Approval", tokenId=1))
    index()
    with asking(urls[0]) as sqlite, asking(urls[1]) as postgresql, asking(pooler.through(urls[1])) as pooled:
        yield [sqlite, postgresql, pooled]
    assert pooler.state_of_sessions(urls[1]) == set()
    for engine in engines:
        engine.dispose()


WHOLE = """fragment Whole on Device { id tokenId tokenDID owner address serialNumber imei { value valid tac } devEUI
  hardwareRevision manufacturedAt mintedAt provisionedAt initialFirmware lastUpdatedAt
  addresses { address from { number } } attributes { name value } manufacturer { name license { status } }
  hardwareLicense { model } firmware { version semver } endOfLife { status sanitization facility }
  authorizedUsers(scope: ALL) { nodes { user organization expiresAt active } } }"""
DEVICES_BY = (
    """query ($filter: DeviceFilter, $order: DeviceOrder, $first: Int, $last: Int) {
  devices(filterBy: $filter, orderBy: $order, first: $first, last: $last) { totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { ...Whole } } } """
    + WHOLE
)
EVENTS_BY = """query ($filter: LifecycleEventFilter, $order: LifecycleEventOrder, $last: Int) {
  lifecycleEvents(filterBy: $filter, orderBy: $order, last: $last) { totalCount pageInfo { endCursor }
    nodes { id kind eventTime eventTimeSeconds flags bizStep disposition action verification finality
      block { hash } } } }"""
LISTS = """{ manufacturers(orderBy: {field: NAME, direction: DESC}) { nodes { id name license { status expiresAt } } }
  hardwareLicenses { nodes { id model hardwareRevision license { status uri } } }
  authorizations(scope: ALL, first: 100) { nodes { id user organization permissions permissionIds endReason } }
  orphanedEvents { totalCount nodes { event { id kind flags device { tokenId } } replacedBy { hash } } }
  changes(first: 100) { endCursor hasMore messages { cursor event { id } } } }"""
STATISTICS = """query ($by: [DeviceDimension!]!) {
  deviceStatistics(groupBy: $by) { keys { value } count } }"""
DIMENSIONS = ["CONTRACT", "MANUFACTURER", "HARDWARE_LICENSE", "MODEL", "FIRMWARE", "OWNER", "MINTED_MONTH"]


def variations() -> Iterator[tuple[str, Json]]:
    """Yields requests: every order from both ends, each comparison with each value, each list."""
    for field, direction, end in product(
        ["MINTED_AT", "TOKEN_ID", "SERIAL_NUMBER", "MANUFACTURED_AT", "LAST_UPDATED_AT"],
        ["ASC", "DESC"],
        ["first", "last"],
    ):
        yield DEVICES_BY, {"order": {"field": field, "direction": direction}, end: 20}
    for filter in filters():
        yield DEVICES_BY, {"filter": filter, "first": 3}
    for field, direction in product(["POSITION", "EVENT_TIME"], ["ASC", "DESC"]):
        yield EVENTS_BY, {"order": {"field": field, "direction": direction}, "last": 100}
    for wish in ({"kind": {"eq": "UNMAPPED"}}, {"flag": {"any": True}}, {"bizStep": {"startsWith": "i"}},
                 {"disposition": {"isNull": True}}, {"eventTime": {"lt": "2020-09-13T12:26:40.5Z"}}):  # fmt: skip
        yield EVENTS_BY, {"filter": wish, "last": 50}
    yield LISTS, {}
    for first, second in zip(DIMENSIONS, DIMENSIONS[1:] + DIMENSIONS[:1], strict=True):
        yield STATISTICS, {"by": [first]}
        yield STATISTICS, {"by": [first, second]}


def filters() -> Iterator[Json]:
    for operator, text in product(["eq", "ne", "startsWith"], TEXTS[1:]):
        yield {"serialNumber": {operator: text}}
    for field, text in product(["devEUI", "imei"], [*TEXTS[1:5], *IMEIS[1:3]]):
        yield {field: {"startsWith": text}}
    for operator, version in product(["lt", "gte"], ["1.0.0", "1.0.0-rc.2", "2.10.0"]):
        yield {"firmware": {"version": {operator: version}}}
    for operator, time in product(["lt", "lte", "gte", "eq"], ["1970-01-01T00:00:01Z", "2020-09-13T12:26:39.999999Z"]):
        yield {"manufacturedAt": {operator: time}}
    for organization in TEXTS[1:]:
        yield {"authorizedUser": {"organization": {"eq": organization}}}
    for text in (*TEXTS[1:4], "7", OWNERS[0], "0x" + "00" * 19 + "07", "490154203237518"):
        yield {"anyKey": text}
    yield {"not": {"serialNumber": {"in": TEXTS}}}


async def test_every_operation_is_answered_alike(apis: list[Api]) -> None:
    variables, *others = [await samples(api.ask) for api in apis]
    assert others == [variables] * len(others)
    requests = [
        (OPERATIONS[name], values) for name in sorted(OPERATIONS.keys() - {"Q29Resume"}) for values in variables[name]
    ]
    assert len(requests) > 50
    await compare(apis, requests)


async def test_every_order_comparison_and_list_is_answered_alike(apis: list[Api]) -> None:
    await compare(apis, list(variations()), errors=False)


async def compare(apis: list[Api], requests: list[tuple[str, Json]], *, errors: bool = True) -> None:
    sqlite, postgresql, pooled = apis
    for query, variables in requests:
        first, *others = [msgspec.json.encode(await api.answer(query, **variables)) for api in (sqlite, postgresql)]
        # as a client gets it, by one of the two executors: a pooler does not know them
        through_the_pooler = await execute(SCHEMA, GraphQLRequest(query, variables), pooled.engine)
        others.append(msgspec.json.encode(through_the_pooler))
        assert others == [first] * len(others), (query, variables)
        assert errors or b'"errors"' not in first, first
