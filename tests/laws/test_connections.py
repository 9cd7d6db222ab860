"""Every connection in every order: each page is a slice of one list, and its page info is right."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from graphql import GraphQLObjectType, build_schema, get_named_type
from sqlalchemy import Engine

from api.graphql.schema import sdl
from tests.support.api.asking import Api, Json, asking
from tests.support.chain.awkward import OWNERS, USERS, licenses, life
from tests.support.chain.fakechain import FakeNode, Log, emitted, new_transaction
from tests.support.dimo.logs import ALICE, index
from tests.support.dimo.vehicles import vehicle_chain
from tests.support.index.indexing import Indexer, engine_of

pytestmark = [pytest.mark.slow, pytest.mark.untimed]

DEVICE = 770
BURST = new_transaction()
PAGE = """totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { __typename } }
  nodes { __typename }"""
ARGUMENTS = "first: $first, after: $after, last: $last, before: $before"

PARENTS = {
    "Query": "PAGE",
    "Device": f"device(by: {{tokenId: {DEVICE}}}) {{ PAGE }}",
    "EndOfLife": f"device(by: {{tokenId: {DEVICE}}}) {{ endOfLife {{ PAGE }} }}",
    "Manufacturer": "manufacturer(by: {tokenId: 1}) { PAGE }",
    "HardwareLicense": "hardwareLicense(by: {hardwareLicenseId: 1}) { PAGE }",
    "IndexedTransaction": f'transaction(hash: "0x{BURST.hex()}") {{ PAGE }}',
}
"""How an object of a type is come by that has a connection."""

NETWORK_PARENTS = {
    "Vehicle": "vehicle(by: {tokenId: 1}) { PAGE }",
    "SyntheticDevice": "syntheticDevice(by: {tokenId: 2}) { PAGE }",
    "Account": f'account(by: {{address: "0x{ALICE.hex()}"}}) {{ PAGE }}',
}
NETWORK = {
    *(("Query", "vehicles"), ("Query", "syntheticDevices")),
    *(("Manufacturer", "vehicles"), ("Manufacturer", "authorizedUsers")),
}
"""The connections that a network of vehicles has, and a contract of devices does not."""

ORDERS = {
    ("Query", "devices"): ["MINTED_AT", "TOKEN_ID", "SERIAL_NUMBER", "MANUFACTURED_AT", "LAST_UPDATED_AT"],
    ("Query", "manufacturers"): ["TOKEN_ID", "NAME"],
    ("Query", "lifecycleEvents"): ["POSITION", "EVENT_TIME"],
    ("Device", "history"): ["POSITION", "EVENT_TIME"],
    ("Manufacturer", "devices"): ["SERIAL_NUMBER"],
    ("HardwareLicense", "devices"): ["MANUFACTURED_AT"],
}
OTHERS = {
    "authorizations": ["scope: ALL"],
    "authorizedUsers": ["scope: ALL"],
    "lifecycleEvents": ["filterBy: {kind: {in: [UNMAPPED, FACTORY_RESET]}}"],
    "devices": ["filterBy: {serialNumber: {isNull: false}}"],
}


def connections() -> list[tuple[str, str, str]]:
    """Returns (type, field, arguments) of each connection of the schema, in each order, and narrowed or widened."""
    schema = build_schema(sdl())
    cases = []
    for type in schema.type_map.values():
        for name, field in type.fields.items() if isinstance(type, GraphQLObjectType) else ():
            if not get_named_type(field.type).name.endswith("Connection"):
                continue
            orders = [
                f"orderBy: {{field: {order}, direction: {direction}}}"
                for order, direction in product(ORDERS.get((type.name, name), ()), ("ASC", "DESC"))
            ]
            cases += [(type.name, name, arguments) for arguments in ("", *orders, *OTHERS.get(name, ()))]
    return cases


def burst() -> list[Log]:
    """Returns a device's events, several of each kind, in one transaction."""
    again: list[Log] = []
    for number in range(5):
        again += [
            emitted("InCircuitTestRecorded", tokenId=DEVICE, passed=True, testedAt=number % 2),
            emitted("MechanicalTestRecorded", tokenId=DEVICE, passed=True),
            emitted("QualityInspectionRecorded", tokenId=DEVICE, passed=False),
            emitted("FirmwareUpdated", tokenId=DEVICE, toVersion=f"{number}.0.0"),
            emitted("FactoryReset", tokenId=DEVICE),
            emitted("UserAuthorized", tokenId=DEVICE, user=USERS[number % 3]),
            emitted("EndOfLifeRecorded", tokenId=DEVICE, process=1 + number % 3),
            emitted("Transfer", **{"from": OWNERS[number % 3]}, to=OWNERS[(number + 1) % 3], tokenId=DEVICE),
        ]
    mint = emitted("CertificateMinted", tokenId=DEVICE, manufacturerId=1, hardwareLicenseId=1, serialNumber="burst")
    return [replace(log, transaction=BURST) for log in (mint, *again)]


@pytest.fixture(scope="module")
def api(module_database_url: str, engine: Engine) -> Iterator[Api]:
    node = FakeNode(chain_id=1)
    indexer = Indexer(engine, node)
    again = emitted("HardwareLicensed", hardwareLicenseId=1, manufacturerId=1, model="again")
    node.mine(*licenses(), emitted("Approval", tokenId=1), emitted("Approval", tokenId=2), again)
    node.mine(*burst())
    for token in range(1, 30):
        node.mine(*life(token))
    asyncio.run(indexer.catch_up())
    node.reorg(3, life(40))
    asyncio.run(indexer.catch_up())
    with asking(module_database_url) as api:
        yield api


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    url = f"sqlite:///{tmp_path_factory.mktemp('network') / 'network.db'}"
    with engine_of(url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
    with asking(url) as network:
        yield network


def is_of_network(type: str, field: str) -> bool:
    return type in NETWORK_PARENTS or (type, field) in NETWORK


def test_every_type_with_a_connection_is_requested() -> None:
    assert {type for type, _, _ in connections()} == PARENTS.keys() | NETWORK_PARENTS.keys()


@pytest.mark.parametrize(
    ("type", "field", "arguments"), [case for case in connections() if not is_of_network(*case[:2])]
)
async def test_every_cut_is_a_slice_of_one_list(api: Api, type: str, field: str, arguments: str) -> None:
    assert await check_cuts(api, type, field, arguments) > 1


@pytest.mark.parametrize(("type", "field", "arguments"), [case for case in connections() if is_of_network(*case[:2])])
async def test_so_it_is_in_a_network_of_vehicles(network: Api, type: str, field: str, arguments: str) -> None:
    assert await check_cuts(network, type, field, arguments) > 0


async def check_cuts(api: Api, type: str, field: str, arguments: str) -> int:
    """Checks pages of a connection, and returns how many rows it has."""
    page = f"page: {field}({ARGUMENTS} {arguments}) {{ {PAGE} }}"
    query = (
        "query ($first: Int, $after: String, $last: Int, $before: String) { "
        + (PARENTS | NETWORK_PARENTS)[type].replace("PAGE", page)
        + " }"
    )
    cursors = await whole(api, query)
    ends = [None, *sorted({0, len(cursors) // 2, len(cursors) - 1} if cursors else ())]
    for number, (after, before) in enumerate(product(ends, ends)):
        await check(api, query, cursors, Cut(after, before, (1, 3, 0, 2, 100)[number % 5], number % 2 == 1))
    return len(cursors)


class Cut:
    """A page: behind the row `after`, before the row `before`, so many, from which end."""

    def __init__(self, after: int | None, before: int | None, size: int, backward: bool) -> None:
        self.after, self.before, self.size, self.backward = after, before, size, backward

    def variables(self, cursors: list[str]) -> Json:
        return {
            "after": None if self.after is None else cursors[self.after],
            "before": None if self.before is None else cursors[self.before],
            "last" if self.backward else "first": self.size,
        }

    def of(self, rows: int) -> tuple[range, bool, bool]:
        """Returns which rows the page has, and whether there are others behind and before them."""
        between = range(0 if self.after is None else self.after + 1, rows if self.before is None else self.before)
        cut = between[max(0, len(between) - self.size) :] if self.backward else between[: self.size]
        more = len(between) > self.size
        return (
            cut,
            self.before is not None or (more and not self.backward),
            self.after is not None or (more and self.backward),
        )


async def check(api: Api, query: str, cursors: list[str], cut: Cut) -> None:
    page = one_page(await api.ask(query, **cut.variables(cursors)))
    rows, has_next, has_previous = cut.of(len(cursors))
    expected = [cursors[row] for row in rows]
    assert [edge["cursor"] for edge in page["edges"]] == expected, vars(cut)
    assert len(page["nodes"]) == len(expected)
    assert page["totalCount"] == len(cursors)
    assert page["pageInfo"] == {
        "hasNextPage": has_next,
        "hasPreviousPage": has_previous,
        "startCursor": expected[0] if expected else None,
        "endCursor": expected[-1] if expected else None,
    }


async def whole(api: Api, query: str) -> list[str]:
    """Returns the cursors of all rows, read from the front, and read from the back alike."""
    forward: list[str] = []
    info: Json = {"hasNextPage": True, "endCursor": None}
    while info["hasNextPage"]:
        page = one_page(await api.ask(query, first=100, after=info["endCursor"]))
        forward += [edge["cursor"] for edge in page["edges"]]
        info = page["pageInfo"]
    backward: list[str] = []
    info = {"hasPreviousPage": True, "startCursor": None}
    while info["hasPreviousPage"]:
        page = one_page(await api.ask(query, last=60, before=info["startCursor"]))
        backward = [edge["cursor"] for edge in page["edges"]] + backward
        info = page["pageInfo"]
    assert forward == backward
    assert len(set(forward)) == len(forward)
    return forward


def one_page(data: Any) -> Json:
    """Returns the page in an answer, however deep."""
    while "page" not in data:
        (data,) = data.values()
    page: Json = data["page"]
    return page
