"""The compiled executor returns byte for byte what graphql-core returns, and leaves to it what it does not support."""

import asyncio
import gc
import logging
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from graphql import GraphQLSchema, parse, validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

import api.graphql.types.identity
from api.graphql import execution
from api.graphql.context import Context
from api.graphql.execution import execute_compiled, prepare
from api.graphql.limits import Limits
from api.graphql.plan import operations
from api.graphql.plan.documents import MAX_DOCUMENT_TOKENS, DocumentCache, ValidDocument
from api.graphql.plan.fields import RULE, Rule
from api.graphql.request import GraphQLRequest
from api.graphql.schema import build_schema
from api.queries.sql import pages
from api.reading.snapshot import open_snapshot
from schema.tables.database import connect
from tests.support.api.asking import answer_compiled, answer_ordinary, execute
from tests.support.api.random_queries import Query, Values, random_query
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import random_block
from tests.support.index.indexing import Indexer, engine_of

SCHEMA = build_schema(limits=Limits(cost=10**12, depth=50, aliases=1000))
GRAPHQL: GraphQLSchema = SCHEMA._schema
NOW = 1_700_000_000.0
BLOCKS = 30


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A random history of few devices, of which everything is told."""
    url = f"sqlite:///{tmp_path_factory.mktemp('compiled') / 'history.db'}"
    node = FakeNode()
    for seed in range(BLOCKS):
        random_block(seed).mine(node)
    with engine_of(url) as writer:
        asyncio.run(Indexer(writer, node).catch_up())
    engine = connect(url, read_only=True)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def values(database: Engine) -> Values:
    """What the database holds, for the arguments of queries."""
    data = asyncio.run(both(database, Query(SAMPLES, {})))[0]["data"]
    devices, events = data["devices"]["nodes"], data["lifecycleEvents"]["nodes"]
    things = [*devices, *events, *data["manufacturers"]["nodes"], *data["authorizations"]["nodes"]]
    ids = [thing["id"] for thing in things]
    numbers = [device["tokenId"] for device in devices]
    return {
        "id": [devices[0]["id"], *ids, "nonsense"],
        "ids": [devices[0]["id"], *ids],
        "tokenId": numbers,
        "tokenDID": [device["tokenDID"] for device in devices],
        "manufacturerId": ["1", "2"],
        "hardwareLicenseId": ["10", "11"],
        "hash": [event["transactionHash"] for event in events],
        "block": [event["block"]["number"] for event in events],
        "blockHash": [event["block"]["hash"] for event in events],
        "timestamp": [event["block"]["timestamp"] for event in events],
        "chainId": [devices[0]["chainId"], "7"],
        "after": ["nonsense"],
        "before": ["nonsense"],
        "first": [2, 0, 1, 5],
        "last": [2, 1],
        "ID": ids,
        "Int": [0, 1, 2],
        "Float": [0.5],
        "Boolean": [True, False],
        "String": ["a", "SN-1", "1.0.0", ""],
        "BigInt": [*numbers, 1, "0"],
        "Address": ["0x" + "a1" * 20, "0x" + "B0" * 20],
        "Bytes": ["0x", "0x01"],
        "Bytes32": [event["transactionHash"] for event in events],
        "DateTime": [event["block"]["timestamp"] for event in events],
    }


SAMPLES = """{
  devices(orderBy: {field: TOKEN_ID, direction: ASC}) { nodes { id tokenId tokenDID chainId } }
  lifecycleEvents(first: 100) { nodes { id transactionHash block { number hash timestamp } } }
  manufacturers { nodes { id } }
  authorizations(scope: ALL) { nodes { id } }
}"""


async def both(engine: Engine, query: Query, operation: str | None = None) -> tuple[dict[str, Any], Any]:
    """Returns the ordinary response and the compiled one; None if it cannot be compiled."""
    request = GraphQLRequest(query.text, query.variables, operation)
    async with open_snapshot(engine) as snapshot:
        ordinary = await answer_ordinary(SCHEMA, request, snapshot, now=lambda: NOW)
        compiled = answer_compiled(SCHEMA, request, snapshot, now=lambda: NOW)
    return ordinary, compiled


def same(ordinary: Any, compiled: Any) -> bool:
    return msgspec.json.encode(ordinary) == (compiled if isinstance(compiled, bytes) else msgspec.json.encode(compiled))


class Random(NamedTuple):
    """A query by its seed, beside what it is made of."""

    database: Engine
    values: Values

    def query(self, seed: int) -> Query:
        return random_query(GRAPHQL, self.values, seed)

    def __repr__(self) -> str:
        return "Random()"  # hypothesis prints its arguments


@pytest.fixture(scope="module")
def random(database: Engine, values: Values) -> Random:
    return Random(database, values)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
async def test_any_query_is_answered_alike(random: Random, seed: int) -> None:
    query = random.query(seed)
    assume(validate(GRAPHQL, parse(query.text)) == [])
    ordinary, compiled = await both(random.database, query)
    if compiled is None:
        assert "errors" in ordinary, query
    else:
        assert same(ordinary, compiled), query


EVERYTHING = """query Q($id: BigInt!, $yes: Boolean!, $no: Boolean = false, $first: Int, $at: AsOf) {
  a: device(by: {tokenId: $id}, asOf: $at) { ...D } b: device(by: {tokenId: $id}) { ...D ever: history { totalCount } }
  missing: device(by: {imei: "no such"}) { id }
}
fragment D on Device {
  __typename tokenId ... on Node { id } ... @include(if: $yes) { owner } serialNumber @skip(if: $yes)
  history(first: $first) { nodes { kind ...E ... on FactoryReset { initiator reasonCode } } }
  history(first: $first) { nodes { kind block { number } flags } edges @include(if: $no) { cursor } }
  authorizedUsers(scope: ALL) { nodes { user permissions device { tokenDID } } pageInfo { endCursor } }
}
fragment E on LifecycleEvent { kind logIndex ... on DeviceMinted { serialNumber imei { value valid } } }
"""


@pytest.mark.parametrize("yes", [True, False])
@pytest.mark.parametrize(
    "variables", [{}, {"no": True}, {"no": False, "first": None}, {"first": 1}, {"at": None}, {"at": {"block": "9"}}]
)
async def test_fragments_aliases_directives_and_variables_are_compiled(
    database: Engine, yes: bool, variables: dict[str, Any]
) -> None:
    ordinary, compiled = await both(database, Query(EVERYTHING, {"id": "1", "yes": yes, **variables}))
    assert ordinary["data"]["a"] is not None
    assert same(ordinary, compiled)


@pytest.mark.parametrize(
    ("document", "operation"),
    [("query A { a: __typename } query B { b: __typename }", "B"), ("query A { __typename }", None)],
)
async def test_the_operation_that_is_named_is_executed(database: Engine, document: str, operation: str | None) -> None:
    ordinary, compiled = await both(database, Query(document, {}), operation)
    assert "data" in ordinary
    assert same(ordinary, compiled)


@pytest.mark.parametrize(
    ("text", "variables", "operation"),
    [
        ("{ __schema { queryType { name } } }", {}, None),
        ('{ __type(name: "Device") { name } devices { nodes { id } } }', {}, None),
        ("query Q($n: Int!) { devices(first: $n) { nodes { id } } }", {}, None),
        ("query Q($n: Int!) { devices(first: $n) { nodes { id } } }", {"n": "2"}, None),
        ("query Q($yes: Boolean = true) { __typename @include(if: $yes) }", {"yes": None}, None),
        ("{ devices(first: 101) { nodes { id } } ok: __typename }", {}, None),
        ("query A { __typename } query B { __typename }", {}, None),
        ("query A { __typename }", {}, "C"),
        ("{ nothing }", {}, None),
        ("{", {}, None),
        ("", {}, None),
        ("subscription { blockIndexed { number } }", {}, None),
    ],
)
async def test_what_is_out_of_the_ordinary_is_left_to_the_ordinary_executor(
    database: Engine, text: str, variables: dict[str, Any], operation: str | None
) -> None:
    ordinary, compiled = await both(database, Query(text, variables), operation)
    assert compiled is None
    answer = await execute(SCHEMA, GraphQLRequest(text, variables, operation), database, now=lambda: NOW)
    assert same(answer, ordinary)


async def test_a_resolver_that_fails_is_reported_as_ever_and_its_rows_are_counted_once(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Query("{ devices(first: 3) { nodes { tokenId serialNumber history { nodes { kind } } } } }", {})
    ordinary, compiled = await both(database, query)
    assert same(ordinary, compiled)

    def fails(token_id: int) -> None:
        if token_id == 2:
            raise RuntimeError("a defect")

    device: Any = GRAPHQL.type_map["Device"]
    field = device.fields["serialNumber"].extensions["strawberry-definition"]
    monkeypatch.setattr(field, "metadata", {RULE: Rule(("token_id",), fails)})
    schema = build_schema()
    request = GraphQLRequest(query.text)
    answers = []
    for _ in range(3):
        answers.append(await execute(schema, request, database))
    assert [error["path"][-1] for error in answers[0]["errors"]] == ["serialNumber"]
    assert "a defect" not in str(answers[0])
    assert answers[0]["data"]["devices"]["nodes"] == [
        {**node, "serialNumber": None} for node in ordinary["data"]["devices"]["nodes"]
    ]
    assert answers[0] == answers[1] == answers[2]


async def test_a_document_is_validated_and_compiled_once(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = build_schema()
    calls: Counter[str] = Counter()
    count_calls(monkeypatch, calls, execution, "validate_document")
    count_calls(monkeypatch, calls, execution, "parse")
    count_calls(monkeypatch, calls, operations, "compile_plan")
    for block in range(5):
        request = GraphQLRequest(EVERYTHING, {"id": "1", "yes": True, "at": {"block": block}})
        assert "errors" not in await execute(schema, request, database)
    assert calls == {"parse": 1, "validate_document": 1, "compile_plan": 1}


async def test_what_was_read_is_let_go_with_the_answer(database: Engine) -> None:
    request = GraphQLRequest(EVERYTHING, {"id": "1", "yes": True})
    schema = build_schema()
    async with open_snapshot(database) as snapshot:
        prepared = prepare(schema, request)
        context = Context(snapshot)
        read = weakref.ref(context.read)
        gc.disable()  # what lies in a cycle stays until it is collected
        try:
            answer = execute_compiled(schema, prepared, context)
            del context
            assert answer is not None
            assert read() is None
        finally:
            gc.enable()


async def test_a_value_is_made_for_who_selects_it_alone(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()
    count_calls(monkeypatch, calls, api.graphql.types.identity, "imei_valid")
    devices = "devices(first: 2, filterBy: {imei: {isNull: false}})"
    await both(database, Query(f"{{ {devices} {{ nodes {{ tokenId imei {{ value }} }} }} }}", {}))
    assert calls["imei_valid"] == 0
    await both(database, Query(f"{{ {devices} {{ nodes {{ tokenId imei {{ tac }} }} }} }}", {}))
    assert calls["imei_valid"] == 2 * 2


async def test_the_ordinary_executor_alone_validates_once_as_well(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = build_schema(compiled=False)
    calls: Counter[str] = Counter()
    count_calls(monkeypatch, calls, execution, "validate_document")
    count_calls(monkeypatch, calls, operations, "compile_plan")
    for _ in range(3):
        await execute(schema, GraphQLRequest("{ devices { totalCount } }"), database)
    assert calls == {"validate_document": 1}


def count_calls(monkeypatch: pytest.MonkeyPatch, calls: Counter[str], module: Any, name: str) -> None:
    original = getattr(module, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[name] += 1
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, counted)


def test_what_is_cached_is_bounded() -> None:
    documents = DocumentCache()
    document = ValidDocument(SCHEMA, "", parse("{" + " __typename" * 1000 + "}"))
    for number in range(300):
        documents.keep(str(number), document)
    assert (documents.find("0"), documents.find("299")) == (None, document)
    documents.keep("long", ValidDocument(SCHEMA, "", parse("{" + " __typename" * MAX_DOCUMENT_TOKENS + "}")))
    assert documents.find("long") is None


async def test_a_statement_is_made_once_for_any_selection(database: Engine, values: Values) -> None:
    text = """query Q($id: BigInt!, $owner: Address!, $first: Int!) {
      device(by: {tokenId: $id}) { tokenId history(first: $first) { totalCount nodes { id } } }
      devices(first: $first, filterBy: {owner: {eq: $owner}}) { nodes { tokenId owner } }
    }"""
    pages._statement.cache_clear()
    made: list[int] = []
    for number, id in enumerate(values["tokenId"]):
        owner = values["Address"][number % 2]
        ordinary, compiled = await both(database, Query(text, {"id": id, "owner": owner, "first": 100}))
        assert same(ordinary, compiled)
        assert ordinary["data"]["device"]["tokenId"] == id
        assert {node["owner"].lower() for node in ordinary["data"]["devices"]["nodes"]} <= {owner.lower()}
        made.append(pages._statement.cache_info().misses)
    assert len(made) > 1
    assert len(set(made)) == 1


@pytest.mark.parametrize(
    ("text", "variables", "reason", "level"),
    [
        ("{ devices(first: 2) { nodes { id } } }", {}, None, None),
        ("{ __schema { queryType { name } } }", {}, "unsupported", "DEBUG"),
        ("query Q($n: Int!) { devices(first: $n) { nodes { id } } }", {"n": "2"}, None, None),
        ("{ devices(first: 101) { nodes { id } } }", {}, "refused", "DEBUG"),
    ],
)
async def test_a_fallback_is_counted_by_reason_and_logged_once_a_document(
    database: Engine,
    caplog: pytest.LogCaptureFixture,
    text: str,
    variables: dict[str, Any],
    reason: str | None,
    level: str | None,
) -> None:
    schema = build_schema()
    with caplog.at_level(logging.DEBUG, "api.graphql.execution"):
        for _ in range(4):
            await execute(schema, GraphQLRequest(text, variables), database)
    assert schema.fallbacks == ({} if reason is None else {reason: 4})
    assert [record.levelname for record in caplog.records] == ([] if level is None else [level])


async def test_a_level_without_rows_is_not_run(database: Engine) -> None:
    text = (
        "{ devices(filterBy: {or: []}) { nodes { history { totalCount nodes { id } } } edges { cursor } totalCount } }"
    )
    ordinary, compiled = await both(database, Query(text, {}))
    assert ordinary["data"]["devices"] == {"nodes": [], "edges": [], "totalCount": 0}
    assert same(ordinary, compiled)
