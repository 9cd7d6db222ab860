"""Scalars, filters with hostile values, and the codes of refusals."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.support.api.asking import Api, Json, asking
from tests.support.chain.fakechain import FakeNode, Log, emitted
from tests.support.index.indexing import Indexer

OWNER, USER = "0x" + "11" * 20, "0x" + "33" * 20
YEAR_10000 = 253_402_300_800
GENESIS = "2023-11-14T22:13:20Z"

SERIALS = ["", "A", "a", "Ä", "A\0B", "A'B%_\\", "x" * 200, "x" * 201, "\U0001f600", " A"]
FIRMWARES = ["", "1.0.0", "v1.0.0", "1.0.0-rc.1", "2.9.0", "2.10.0", "nightly", "2.10"]
TIMES = [0, 1, 1_600_000_000, YEAR_10000 - 1, YEAR_10000, 2**63, 2**64 - 1]
DEVICES = 60


def lives() -> list[Log]:
    logs: list[Log] = []
    for token in range(1, DEVICES + 1):
        logs += [
            emitted("Transfer", to=OWNER, tokenId=token),
            emitted(
                "CertificateMinted",
                tokenId=token,
                serialNumber=SERIALS[token % len(SERIALS)],
                imei=["", "490154203237518", "49-015420-323751 8", "123"][token % 4],
                firmwareVersion=FIRMWARES[token % len(FIRMWARES)],
                manufacturedAt=TIMES[token % len(TIMES)],
            ),
        ]
    return logs


@pytest.fixture(scope="module")
def api(module_database_url: str, engine: Engine) -> Iterator[Api]:
    node = FakeNode(chain_id=1)
    node.mine(*lives())
    node.mine(emitted("UserAuthorized", tokenId=1, user=USER, organization="Ö", permissions=2**256 - 1))
    asyncio.run(Indexer(engine, node).catch_up())
    with asking(module_database_url) as api:
        yield api


LIST = "query ($filter: DeviceFilter) { devices(first: 100, filterBy: $filter) { totalCount nodes { tokenId } } }"


async def tokens(api: Api, filter: Json) -> set[int]:
    devices = (await api.ask(LIST, filter=filter))["devices"]
    assert devices["totalCount"] == len(devices["nodes"])
    return {int(node["tokenId"]) for node in devices["nodes"]}


# Filters


def cleaned(text: str) -> str | None:
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd") or None


def serial(token: int) -> str | None:
    return cleaned(SERIALS[token % len(SERIALS)])


def made(token: int) -> int | None:
    time = TIMES[token % len(TIMES)]
    return time if time < YEAR_10000 else None


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, expected: value is not None and value == expected,
    "ne": lambda value, expected: value is None or value != expected,
    "in": lambda value, expected: value is not None and value in expected,
    "notIn": lambda value, expected: value is None or value not in expected,
    "startsWith": lambda value, expected: value is not None and value.startswith(expected),
    "isNull": lambda value, expected: (value is None) == expected,
    "lt": lambda value, expected: value is not None and value < expected,
    "lte": lambda value, expected: value is not None and value <= expected,
    "gt": lambda value, expected: value is not None and value > expected,
    "gte": lambda value, expected: value is not None and value >= expected,
}
texts = st.sampled_from([*SERIALS[1:], "x", "x" * 130, "missing", "\ufffd", "A\ufffdB"])
whole = st.integers(-2, 2**256 + 2) | st.integers(0, DEVICES + 1)
FIELDS: dict[str, tuple[Callable[[int], Any], dict[str, st.SearchStrategy[Any]]]] = {
    "serialNumber": (
        serial,
        {
            "eq": texts,
            "ne": texts,
            "in": st.lists(texts, max_size=3),
            "notIn": st.lists(texts, max_size=3),
            "startsWith": texts,
            "isNull": st.booleans(),
        },
    ),
    "tokenId": (
        lambda token: token,
        {
            "eq": whole,
            "ne": whole,
            "in": st.lists(whole, max_size=3),
            "notIn": st.lists(whole, max_size=3),
            "lt": whole,
            "lte": whole,
            "gt": whole,
            "gte": whole,
            "isNull": st.booleans(),
        },
    ),
}


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> tuple[Json, Callable[[int], bool]]:
    """Draws a filter and what it means, in plain Python."""
    kind = draw(st.sampled_from(["field"] * 3 + (["and", "or", "not"] if depth else [])))
    if kind == "field":
        name = draw(st.sampled_from(sorted(FIELDS)))
        read, operators = FIELDS[name]
        operator = draw(st.sampled_from(sorted(operators)))
        value = draw(operators[operator])
        meaning = (
            [cleaned(text) if isinstance(text, str) else text for text in value] if isinstance(value, list) else value
        )
        meaning = cleaned(meaning) if isinstance(meaning, str) else meaning
        return {name: {operator: _json(value)}}, lambda token: OPERATORS[operator](read(token), meaning)
    if kind == "not":
        part, means = draw(conditions(depth=depth - 1))
        return {"not": part}, lambda token: not means(token)
    parts = draw(st.lists(conditions(depth=depth - 1), max_size=3))
    every = all if kind == "and" else any
    return {kind: [part for part, _ in parts]}, lambda token: every(means(token) for _, means in parts)


def _json(value: Any) -> Any:
    """Returns numbers as the decimal strings that clients send."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=120, deadline=None)
@given(condition=conditions())
def test_a_filter_finds_what_it_means_and_its_negation_all_else(
    api: Api, condition: tuple[Json, Callable[[int], bool]]
) -> None:
    filter, means = condition
    expected = {token for token in range(1, DEVICES + 1) if means(token)}
    assert asyncio.run(tokens(api, filter)) == expected


@pytest.mark.parametrize(
    ("filter", "fits"),
    [
        ({"gte": "1970-01-01T00:00:01Z"}, lambda time: time >= 1),
        ({"gt": "1970-01-01T00:00:00.5Z"}, lambda time: time >= 1),
        ({"gte": "1970-01-01T00:00:00.5Z"}, lambda time: time >= 1),
        ({"lt": "1970-01-01T00:00:00.5Z"}, lambda time: time == 0),
        ({"lte": "1970-01-01T00:00:00.999Z"}, lambda time: time == 0),
        ({"lt": "1970-01-01T00:00:01Z"}, lambda time: time == 0),
        ({"eq": "1970-01-01T01:00:01+01:00"}, lambda time: time == 1),
        ({"eq": "1970-01-01T00:00:01.5Z"}, lambda time: False),
        ({"gte": "9999-12-31T23:59:59Z"}, lambda time: time == YEAR_10000 - 1),
        ({"isNull": False}, lambda time: True),
    ],
)
async def test_times_compare_to_the_fraction_and_those_after_the_year_9999_are_absent(
    api: Api, filter: Json, fits: Callable[[int], bool]
) -> None:
    expected = {token for token in range(1, DEVICES + 1) if (time := made(token)) is not None and fits(time)}
    assert await tokens(api, {"manufacturedAt": filter}) == expected
    assert await tokens(api, {"not": {"manufacturedAt": filter}}) == set(range(1, DEVICES + 1)) - expected


async def test_an_imei_is_found_with_any_separators_between_its_digits(api: Api) -> None:
    matching = await tokens(api, {"imei": {"eq": "490154-203237518"}})
    assert matching == {token for token in range(1, DEVICES + 1) if token % 4 in (1, 2)}
    assert await tokens(api, {"imei": {"startsWith": "4901 5420"}}) == matching
    assert await tokens(api, {"imei": {"eq": "123"}}) == {token for token in range(1, DEVICES + 1) if token % 4 == 3}


@pytest.mark.parametrize(
    ("filter", "versions"),
    [
        ({"lt": "2.10.0"}, {"1.0.0", "v1.0.0", "1.0.0-rc.1", "2.9.0"}),
        ({"lte": "v2.10.0"}, {"1.0.0", "v1.0.0", "1.0.0-rc.1", "2.9.0", "2.10.0"}),
        ({"gte": "1.0.0"}, {"1.0.0", "v1.0.0", "2.9.0", "2.10.0"}),
        ({"gt": "1.0.0-rc.1", "lt": "2.0.0"}, {"1.0.0", "v1.0.0"}),
        ({"eq": "v1.0.0"}, {"v1.0.0"}),
        ({"startsWith": "2.1"}, {"2.10.0", "2.10"}),
        ({"semver": False}, {"nightly", "2.10"}),
        ({"isNull": True}, {""}),
        ({"in": ["nightly", "2.9.0"]}, {"nightly", "2.9.0"}),
    ],
)
async def test_versions_compare_as_text_or_by_semver(api: Api, filter: Json, versions: set[str]) -> None:
    expected = {token for token in range(1, DEVICES + 1) if FIRMWARES[token % len(FIRMWARES)] in versions}
    assert await tokens(api, {"initialFirmware": filter}) == expected
    assert await tokens(api, {"firmware": {"version": filter}}) == expected


# Refusals


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"serialNumber": {"eq": None}}, "filterBy.serialNumber.eq is null"),
        (
            {"firmware": {"version": {"lt": "newest"}}},
            'filterBy.firmware.version.lt is "newest", which is not a semver',
        ),
        ({"tokenId": {"in": ["1"] * 101}}, "filterBy.tokenId.in holds 101 values: at most 100"),
        ({"not": {"and": [{"or": [{"not": {"not": {"tokenId": {"eq": "1"}}}}]}]}}, "nested too deep"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused_by_its_place(api: Api, filter: Json, message: str) -> None:
    error = await api.refusal(LIST, filter=filter)
    assert message in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("type", "value", "message"),
    [
        ("BigInt", 1.0, "BigInt cannot be 1.0: write a whole number"),
        ("BigInt", True, "BigInt cannot be True"),
        ("BigInt", "0x10", 'BigInt cannot be "0x10"'),
        ("BigInt", " 1", 'BigInt cannot be " 1"'),
        ("BigInt", "9" * 5000, '(5000 characters)": write a whole number as a decimal string of at most 100 digits'),
        ("BigInt", 10**100, "(101 characters): write a whole number"),
        ("Address", "0x12", 'Address cannot be "0x12": write 0x and 40 hexadecimal digits'),
        ("Address", "11" * 20, "Address cannot be"),
        ("Address", 5, "Address cannot be 5"),
        ("Bytes32", "0x" + "11" * 31, "Bytes32 cannot be"),
        ("DateTime", "yesterday", 'DateTime cannot be "yesterday": write a time by RFC 3339'),
        ("DateTime", "2025-02-30T00:00:00Z", "DateTime cannot be"),
        ("DateTime", "2025-01-01", "DateTime cannot be"),
        ("DateTime", 1_700_000_000, "DateTime cannot be 1700000000"),
    ],
)
async def test_a_value_that_does_not_fit_is_named_with_an_example(
    api: Api, type: str, value: Any, message: str
) -> None:
    field = {
        "BigInt": "tokenId: {eq: $value}",
        "Address": "owner: {eq: $value}",
        "Bytes32": "mintTransactionHash: {eq: $value}",
        "DateTime": "mintedAt: {gte: $value}",
    }[type]
    error = await api.refusal(
        f"query ($value: {type}!) {{ devices(filterBy: {{{field}}}) {{ totalCount }} }}", value=value
    )
    assert message in error["message"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ devices", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ devices(filterBy: {tokenId: {eq: 1.5}}) { totalCount } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ devices(first: 101) { totalCount } }", "BAD_USER_INPUT"),
        ("{ devices(first: -1) { totalCount } }", "BAD_USER_INPUT"),
        ("{ devices(first: 1, last: 1) { totalCount } }", "BAD_USER_INPUT"),
        ("query ($x: Int!) { devices(first: $x) { totalCount } }", "BAD_USER_INPUT"),
        (f"{{ device(by: {{tokenId: {'9' * 5000}}}) {{ id }} }}", "GRAPHQL_VALIDATION_FAILED"),
        (f"{{ device(by: {{tokenId: {'9' * 101}}}) {{ id }} }}", "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_every_refusal_has_a_code(api: Api, query: str, code: str) -> None:
    answer = await api.answer(query)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {code}


async def test_permissions_and_addresses_are_returned_exactly(api: Api) -> None:
    answer = await api.ask(
        "{ device(by: {tokenId: 1}) { owner authorizedUsers { nodes { user permissions permissionIds } } } }"
    )
    assert answer["device"]["owner"] == OWNER
    assert answer["device"]["authorizedUsers"]["nodes"] == [
        {"user": USER, "permissions": str(2**256 - 1), "permissionIds": list(range(256))}
    ]


async def test_a_failure_of_ours_is_logged_and_returned_without_its_text(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("a secret of the server")

    monkeypatch.setattr("api.graphql.roots.lookups._by_numbers", fail)
    error = await api.refusal("{ device(by: {tokenId: 1}) { id } }")
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR"}
    assert "secret" not in str(error)
    assert "a secret of the server" in caplog.text
