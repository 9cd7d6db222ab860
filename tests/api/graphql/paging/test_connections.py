"""Pages of devices: every page of every order is a slice of one list, which stays the same while the chain grows."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.support.api.asking import Api, Json, asking
from tests.support.chain.fakechain import FakeNode, Log, emitted
from tests.support.index.indexing import Indexer

OWNERS = ["0x" + digit * 40 for digit in "123"]
YEAR_10000 = 253_402_300_800
CHAINS = (1337, 7331)
SIZE = 40


@dataclass(frozen=True)
class ExpectedDevice:
    """What the list must know of a device. `id` is its place among the devices of its chain."""

    chain_id: int
    id: int
    token: int
    serial: str | None
    minted_at: int | None
    manufactured_at: int | None
    updated_at: int

    @property
    def name(self) -> tuple[str, str]:
        return str(self.chain_id), str(self.token)


KEYS: dict[str, Callable[[ExpectedDevice], Any]] = {
    "MINTED_AT": lambda device: device.minted_at,
    "TOKEN_ID": lambda device: device.token,
    "SERIAL_NUMBER": lambda device: device.serial,
    "MANUFACTURED_AT": lambda device: device.manufactured_at,
    "LAST_UPDATED_AT": lambda device: device.updated_at,
}


class Fleet:
    """Two networks in one database, with ties, gaps and values that nothing should have."""

    def __init__(self, engine: Engine) -> None:
        self.devices: list[ExpectedDevice] = []
        self.indexers = [Indexer(engine, self._node(chain_id)) for chain_id in CHAINS]
        for indexer in self.indexers:
            asyncio.run(indexer.catch_up())

    def _node(self, chain_id: int) -> FakeNode:
        node = FakeNode(chain_id=chain_id)
        token = SIZE
        while token > 0:
            logs: list[Log] = []
            time = node.head.timestamp + 12
            for _ in range(min(token, 1 + token % 7)):
                logs += self._life(chain_id, token, time)
                token -= 1
            node.mine(*logs)
        return node

    def _life(self, chain_id: int, number: int, time: int) -> list[Log]:
        token = number if number % 5 else 2**255 + number
        serial = ["", "B", "A", "a", "Ä", "\U0001f600"][number % 6] + ("" if number % 6 == 0 else "x" * 200)
        manufactured = [0, 1_600_000_000, 2**64 - 1, YEAR_10000][number % 4]
        seen = number % 8 != 0
        if not seen:
            # named by an event, and never minted
            logs = [emitted("DeviceProvisioned", tokenId=token, provisionedAt=5)]
        else:
            minted = emitted(
                "CertificateMinted", tokenId=token, manufacturerId=1, serialNumber=serial, manufacturedAt=manufactured
            )
            logs = [emitted("Transfer", to=OWNERS[number % 3], tokenId=token), minted]
        self.devices.append(
            ExpectedDevice(
                chain_id,
                SIZE - number,
                token,
                serial[:128] or None if seen else None,
                time if seen else None,
                manufactured if seen and manufactured < YEAR_10000 else None,
                time,
            )
        )
        return logs


@pytest.fixture(scope="module")
def networks(module_database_url: str, engine: Engine) -> Iterator["TwoNetworks"]:
    fleet = Fleet(engine)
    with asking(module_database_url) as api:
        yield TwoNetworks(fleet, api)


def in_order(devices: list[ExpectedDevice], field: str, descending: bool) -> list[tuple[str, str]]:
    key = KEYS[field]
    present = [device for device in devices if key(device) is not None]
    absent = [device for device in devices if key(device) is None]
    present.sort(key=lambda device: (key(device), device.chain_id, device.id), reverse=descending)
    absent.sort(key=lambda device: (device.chain_id, device.id), reverse=descending)
    return [device.name for device in present + absent]


PAGE = """query ($first: Int, $after: String, $last: Int, $before: String, $orderBy: DeviceOrder) {
  devices(first: $first, after: $after, last: $last, before: $before, orderBy: $orderBy) { totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { chainId tokenId } } } }"""


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("field", KEYS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_cut_of_every_order_is_a_slice_of_one_list(
    networks: "TwoNetworks", field: str, descending: bool, data: st.DataObject
) -> None:
    expected, cursors = networks.whole_list(field, descending)
    after = data.draw(st.none() | st.integers(0, len(expected) - 1), label="after")
    before = data.draw(st.none() | st.integers(0, len(expected) - 1), label="before")
    size = data.draw(st.integers(0, 30), label="size")
    backward = data.draw(st.booleans(), label="backward")
    page = asyncio.run(
        networks.api.ask(
            PAGE,
            orderBy=ordered(field, descending),
            after=None if after is None else cursors[after],
            before=None if before is None else cursors[before],
            **{"last" if backward else "first": size},
        )
    )["devices"]
    between = range(0 if after is None else after + 1, len(expected) if before is None else before)
    cut = between[max(0, len(between) - size) :] if backward else between[:size]
    assert names(page) == [expected[place] for place in cut]
    assert [edge["cursor"] for edge in page["edges"]] == [cursors[place] for place in cut]
    assert page["totalCount"] == len(expected)
    more = len(between) > size
    info = page["pageInfo"]
    assert info["hasNextPage"] == (before is not None or (more and not backward))
    assert info["hasPreviousPage"] == (after is not None or (more and backward))


class TwoNetworks:
    """A fleet on two networks, and the API over it."""

    def __init__(self, fleet: Fleet, api: Api) -> None:
        self.fleet = fleet
        self.api = api
        self.whole_list = cache(self._whole_list)

    def _whole_list(self, field: str, descending: bool) -> tuple[list[tuple[str, str]], list[str]]:
        """Returns the names of all devices in order, computed without the API, and their cursors from it."""
        expected = in_order(self.fleet.devices, field, descending)
        page = asyncio.run(self.api.ask(PAGE, orderBy=ordered(field, descending), first=100))["devices"]
        assert names(page) == expected
        return expected, [edge["cursor"] for edge in page["edges"]]


def ordered(field: str, descending: bool) -> Json:
    return {"field": field, "direction": "DESC" if descending else "ASC"}


def names(page: Json) -> list[tuple[str, str]]:
    return [(edge["node"]["chainId"], edge["node"]["tokenId"]) for edge in page["edges"]]


# Two networks in one database


async def test_a_list_that_fits_its_page_is_not_counted_by_another_statement(networks: "TwoNetworks") -> None:
    query = """query ($first: Int) { devices(first: $first, orderBy: {field: TOKEN_ID, direction: ASC}) {
      totalCount nodes { tokenId }
    } }"""
    for first in (100, 10):
        devices = (await networks.api.ask(query, first=first))["devices"]
        assert (devices["totalCount"], len(devices["nodes"])) == (2 * SIZE, min(first, 2 * SIZE))
        assert any("count(" in statement for statement in networks.api.statements) == (first == 10)


async def test_a_number_of_two_networks_is_refused_with_both_names(networks: "TwoNetworks") -> None:
    error = await networks.api.refusal("{ device(by: {tokenId: 3}) { id } }")
    assert error["extensions"]["reason"] == "AMBIGUOUS"
    names = error["extensions"]["candidates"]
    assert sorted(name.split(":")[2] for name in names) == ["1337", "7331"]
    for name in names:
        data = await networks.api.ask(
            "query ($did: String!) { device(by: {tokenDID: $did}) { tokenDID id } }", did=name
        )
        assert data["device"]["tokenDID"] == name
        node = await networks.api.ask(
            "query ($id: ID!) { node(id: $id) { ... on Device { tokenDID } } }", id=data["device"]["id"]
        )
        assert node["node"] == {"tokenDID": name}


async def test_a_height_means_nothing_where_there_are_two_networks(networks: "TwoNetworks") -> None:
    error = await networks.api.refusal("{ devices(asOf: {block: 1}) { totalCount } }")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "reason": "AMBIGUOUS"}


async def test_each_network_is_returned_and_can_be_requested_alone(networks: "TwoNetworks") -> None:
    answer = await networks.api.answer("""{ devices(filterBy: {chainId: {eq: 7331}}) { totalCount }
      _meta { chains { chainId } } one: _meta(chainId: 7331) { chains { chainId indexed { number } } } }""")
    assert answer["data"]["devices"] == {"totalCount": SIZE}
    assert answer["data"]["_meta"]["chains"] == [{"chainId": "1337"}, {"chainId": "7331"}]
    (chain,) = answer["data"]["one"]["chains"]
    assert {"chainId": "7331", "number": chain["indexed"]["number"]} == {
        key: answer["extensions"]["asOf"][1][key] for key in ("chainId", "number")
    }


async def test_an_instant_is_one_point_of_each_network(networks: "TwoNetworks") -> None:
    query = "query ($asOf: AsOf) { devices(first: 100, asOf: $asOf) { totalCount nodes { id } } }"
    times = sorted({device.updated_at for device in networks.fleet.devices})
    instant = f"{datetime.fromtimestamp(times[3], UTC):%Y-%m-%dT%H:%M:%SZ}"
    devices = (await networks.api.ask(query, asOf={"timestamp": instant}))["devices"]
    assert devices["totalCount"] == sum(device.updated_at <= times[3] for device in networks.fleet.devices)
