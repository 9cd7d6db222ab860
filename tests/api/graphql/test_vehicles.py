"""Vehicles, synthetic devices and grants on any subject, over GraphQL."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from schema.events import Kind
from tests.support.api.asking import Api
from tests.support.dimo.logs import ALICE, BOB, ZERO, index
from tests.support.dimo.vehicles import (
    CAROL,
    CHAIN_ID,
    LINK,
    RUPTELA,
    SYNTHETICS,
    VEHICLES,
    mint_vehicle,
    vehicle_chain,
)
from tests.support.index.indexing import engine_of


def hex_of(value: bytes) -> str:
    return "0x" + value.hex()


def did(contract: bytes, token: int) -> str:
    return f"did:erc721:{CHAIN_ID}:{hex_of(contract)}:{token}"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    url = f"sqlite:///{tmp_path_factory.mktemp('vehicles') / 'api.db'}"
    with engine_of(url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
    opened = Api(url)
    yield opened
    opened.engine.dispose()


VEHICLE = """
query ($by: VehicleBy!, $asOf: AsOf) {
  vehicle(by: $by, asOf: $asOf) {
    tokenId owner definitionId burnedAt attributes { name value }
    manufacturer { tokenId } device { serialNumber } syntheticDevice { tokenId connection integrationId }
    mint { definitionId manufacturerId }
    authorizedUsers(first: 10) {
      nodes { user source permissionIds subject { ... on Vehicle { tokenId } } device { tokenId } }
    }
    transfers(first: 10) { totalCount } history(first: 20) { nodes { kind } }
  }
}
"""


async def test_a_vehicle_has_its_parts_its_grants_and_its_history(api: Api) -> None:
    vehicle = (await api.ask(VEHICLE, by={"tokenId": "1"}))["vehicle"]
    grants = vehicle.pop("authorizedUsers")["nodes"]
    history = [node["kind"] for node in vehicle.pop("history")["nodes"]]
    assert vehicle == {
        "tokenId": "1",
        "owner": vehicle["owner"],
        "definitionId": "ford_focus_2020",
        "burnedAt": None,
        "attributes": [{"name": "Make", "value": "Ford"}],
        "manufacturer": {"tokenId": "1"},
        "device": {"serialNumber": "SN-9"},
        "syntheticDevice": {"tokenId": "2", "connection": "Ruptela", "integrationId": None},
        "mint": {"definitionId": "ford_focus_2020", "manufacturerId": "1"},
        "transfers": {"totalCount": 1},
    }
    assert vehicle["owner"].lower() == hex_of(ALICE)
    assert [(grant["user"].lower(), grant["source"], grant["permissionIds"]) for grant in grants] == [
        (hex_of(BOB), "privilege:3", [3]),
        (hex_of(CAROL), "sacd", [1]),
    ]
    assert all(grant["subject"] == {"tokenId": "1"} and grant["device"] is None for grant in grants)
    assert history == [
        "VEHICLE_TRANSFERRED",
        "VEHICLE_MINTED",
        "VEHICLE_ATTRIBUTE_SET",
        "VEHICLE_ATTRIBUTE_SET",
        "DEVICE_PAIRED",
        "SYNTHETIC_DEVICE_MINTED",
        "ACCESS_GRANTED",
        "ACCESS_GRANTED",
        "VEHICLE_ATTRIBUTE_SET",
    ]


async def test_a_transfer_voids_the_grants_on_a_vehicle_and_the_past_keeps_them(api: Api) -> None:
    query = """
    query ($asOf: AsOf) {
      vehicle(by: {tokenId: "2"}, asOf: $asOf) {
        owner definitionId asOf { number }
        authorizedUsers(first: 10) { totalCount }
        all: authorizedUsers(first: 10, scope: ALL) { nodes { endReason revocation { kind } } }
      }
    }
    """
    now = (await api.ask(query))["vehicle"]
    assert (now["definitionId"], now["authorizedUsers"]["totalCount"]) == ("kia_ev6_2022", 0)
    assert now["all"]["nodes"] == [{"endReason": "TRANSFERRED", "revocation": {"kind": "VEHICLE_TRANSFERRED"}}] * 2
    before = (await api.ask(query, asOf={"block": "10"}))["vehicle"]
    assert (before["definitionId"], before["authorizedUsers"]["totalCount"]) == ("kia_niro_2021", 2)
    assert before["owner"].lower() == hex_of(ALICE)


@pytest.mark.parametrize(
    ("filter", "tokens"),
    [
        ({"owner": {"eq": hex_of(ALICE)}}, ["1"]),
        ({"burned": True}, ["3"]),
        ({"burned": False}, ["2", "1"]),
        ({"burnedAt": {"isNull": False}}, ["3"]),
        ({"manufacturerId": {"eq": "2"}}, ["3", "2"]),
        ({"definitionId": {"startsWith": "kia_"}}, ["3", "2"]),
        ({"definitionId": {"eq": "ford_focus_2020"}}, ["1"]),
        ({"attribute": {"name": "Make", "value": {"in": ["Kia", "Opel"]}}}, ["2"]),
        ({"attribute": {"name": "Make", "value": {"startsWith": "F"}}}, ["1"]),
        ({"attribute": {"name": "Model", "value": {"eq": "Focus"}}}, []),
        ({"deviceId": {"eq": "9"}}, ["1"]),
        ({"deviceId": {"isNull": True}}, ["3", "2"]),
        ({"syntheticDevice": {"connectionId": {"eq": str(RUPTELA)}}}, ["1"]),
        ({"syntheticDevice": {"burned": True}}, ["2"]),
        ({"authorizedUser": {"user": {"eq": hex_of(CAROL)}}}, ["1"]),
        ({"authorizedUser": {}}, ["1"]),
        ({"not": {"authorizedUser": {}}}, ["3", "2"]),
        ({"or": [{"tokenId": {"eq": "2"}}, {"owner": {"eq": hex_of(ALICE)}}]}, ["2", "1"]),
        ({"contract": {"eq": hex_of(VEHICLES)}, "chainId": {"eq": "137"}, "tokenId": {"lt": "2"}}, ["1"]),
    ],
)
async def test_vehicles_are_filtered(api: Api, filter: dict[str, Any], tokens: list[str]) -> None:
    query = """
    query ($filter: VehicleFilter) {
      vehicles(filterBy: $filter, orderBy: {field: TOKEN_ID, direction: DESC}) { nodes { tokenId } totalCount }
    }
    """
    page = (await api.ask(query, filter=filter))["vehicles"]
    assert [node["tokenId"] for node in page["nodes"]] == tokens
    assert page["totalCount"] == len(tokens)


@pytest.mark.parametrize(
    ("filter", "tokens"),
    [
        ({"address": {"eq": hex_of(LINK)}}, ["2"]),
        ({"burned": True}, ["1"]),
        ({"connectionId": {"eq": "2"}}, ["1"]),
        ({"vehicle": {"owner": {"eq": hex_of(ALICE)}}}, ["2"]),
        ({"owner": {"eq": hex_of(ALICE)}}, ["2"]),
    ],
)
async def test_synthetic_devices_are_filtered(api: Api, filter: dict[str, Any], tokens: list[str]) -> None:
    query = "query ($filter: SyntheticDeviceFilter) { syntheticDevices(filterBy: $filter) { nodes { tokenId } } }"
    nodes = (await api.ask(query, filter=filter))["syntheticDevices"]["nodes"]
    assert [node["tokenId"] for node in nodes] == tokens


async def test_devices_are_found_by_the_vehicle_that_they_are_paired_with(api: Api) -> None:
    query = """
    query ($filter: DeviceFilter) { devices(filterBy: $filter) { nodes { tokenId pairedVehicle { tokenId } } } }
    """
    nodes = (await api.ask(query, filter={"pairedVehicle": {"owner": {"eq": hex_of(ALICE)}}}))["devices"]["nodes"]
    assert [(node["tokenId"], node["pairedVehicle"]["tokenId"]) for node in nodes] == [("9", "1")]
    unpaired = {"not": {"pairedVehicle": {"burned": False}}}
    nodes = (await api.ask(query, filter=unpaired))["devices"]["nodes"]
    assert [node["tokenId"] for node in nodes] == ["8"]


@pytest.mark.parametrize(
    "vehicle", [{"owner": {"eq": hex_of(ALICE)}}, {"definitionId": {"isNull": False}}, {"burned": False}]
)
async def test_the_feed_has_the_events_of_devices_as_their_vehicle_was_at_the_events_block(
    api: Api, vehicle: dict[str, Any]
) -> None:
    feed = """
    query ($filter: LifecycleEventFilter) {
      changes(first: 100, filterBy: $filter) { messages { event { id block { number } device { tokenId } } } }
    }
    """
    at_block = """
    query ($filter: DeviceFilter, $block: BigInt!) {
      devices(filterBy: $filter, asOf: {block: $block}) { nodes { tokenId } }
    }
    """
    condition = {"pairedVehicle": vehicle}
    fitting = []
    for message in (await api.ask(feed))["changes"]["messages"]:
        devices = await api.ask(at_block, filter=condition, block=message["event"]["block"]["number"])
        if message["event"]["device"] in devices["devices"]["nodes"]:
            fitting.append(message)
    assert fitting
    assert (await api.ask(feed, filter={"device": condition}))["changes"]["messages"] == fitting


async def test_one_list_has_the_grants_of_a_user_on_every_kind_of_subject(api: Api) -> None:
    query = """
    query ($filter: AuthorizationFilter) {
      authorizations(filterBy: $filter) {
        nodes { id source subject { __typename id ... on Vehicle { tokenId } ... on Account { address } } }
      }
    }
    """
    nodes = (await api.ask(query, filter={"user": {"eq": hex_of(BOB)}}))["authorizations"]["nodes"]
    assert [(node["subject"]["__typename"], node["source"]) for node in nodes] == [
        ("Vehicle", "privilege:3"),
        ("SyntheticDevice", "privilege:1"),
        ("Manufacturer", "privilege:1"),
        ("Account", "sacd"),
        ("Device", "privilege:2"),
    ]
    for node in nodes:
        for id in (node["id"], node["subject"]["id"]):
            assert (await api.ask("query ($id: ID!) { node(id: $id) { id } }", id=id))["node"] == {"id": id}
    on_vehicle = {"vehicle": {"tokenId": {"eq": "1"}}, "user": {"eq": hex_of(BOB)}}
    assert len((await api.ask(query, filter=on_vehicle))["authorizations"]["nodes"]) == 1
    on_maker = {"manufacturerId": {"eq": "1"}}
    assert len((await api.ask(query, filter=on_maker))["authorizations"]["nodes"]) == 1


async def test_look_ups_by_every_key(api: Api) -> None:
    by_did = (await api.ask(VEHICLE, by={"tokenDID": did(VEHICLES, 3)}))["vehicle"]
    assert (by_did["tokenId"], by_did["owner"], by_did["burnedAt"] is None) == ("3", None, False)
    assert (await api.ask(VEHICLE, by={"tokenId": "99"}))["vehicle"] is None
    assert (await api.ask(VEHICLE, by={"tokenId": "3"}, asOf={"block": "3"}))["vehicle"] is None
    query = """
    query ($by: SyntheticDeviceBy!) {
      syntheticDevice(by: $by) { tokenId vehicle { tokenId } attributes { value } }
    }
    """
    for by in ({"address": hex_of(LINK)}, {"tokenId": "2"}, {"tokenDID": did(SYNTHETICS, 2)}):
        device = (await api.ask(query, by=by))["syntheticDevice"]
        assert device == {"tokenId": "2", "vehicle": {"tokenId": "1"}, "attributes": [{"value": "x-1"}]}
    account = """
    query ($by: AccountBy!) {
      account(by: $by) { authorizedUsers { nodes { user } } history { nodes { kind } } }
    }
    """
    shared = (await api.ask(account, by={"address": hex_of(ALICE)}))["account"]
    assert [node["user"].lower() for node in shared["authorizedUsers"]["nodes"]] == [hex_of(BOB)]
    ended = (await api.ask(account, by={"address": hex_of(BOB)}))["account"]
    assert ended["authorizedUsers"]["nodes"] == []
    assert [node["kind"] for node in ended["history"]["nodes"]] == ["ACCESS_GRANTED", "ACCESS_REVOKED"]
    assert (await api.ask(account, by={"address": hex_of(ZERO)}))["account"] is None


async def test_vehicles_are_counted_in_groups(api: Api) -> None:
    query = """
    query ($by: [VehicleDimension!]!, $filter: VehicleFilter) {
      vehicleStatistics(groupBy: $by, filterBy: $filter) { keys { dimension value } count }
    }
    """
    groups = (await api.ask(query, by=["MANUFACTURER", "CHAIN"]))["vehicleStatistics"]
    assert [([key["value"] for key in group["keys"]], group["count"]) for group in groups] == [
        (["2", "137"], 2),
        (["1", "137"], 1),
    ]
    groups = (await api.ask(query, by=["DEFINITION"], filter={"burned": False}))["vehicleStatistics"]
    assert {group["keys"][0]["value"]: group["count"] for group in groups} == {"kia_ev6_2022": 1, "ford_focus_2020": 1}
    error = await api.refusal(query, by=["OWNER", "OWNER"])
    assert error["message"] == "groupBy holds OWNER twice: give each dimension once."


HISTORY = """
{
  lifecycleEvents(first: 100, filterBy: {kind: {in: [%s]}}) {
    nodes {
      kind
      ... on VehicleAttributeSet { attribute value vehicle { tokenId } }
      ... on VehicleDefinitionSet { definitionId vehicle { tokenId } }
      ... on SyntheticDeviceMinted { address connectionId owner syntheticDevice { tokenId } vehicle { tokenId } }
      ... on SyntheticDeviceTransferred { sender recipient syntheticDevice { tokenId } }
      ... on SyntheticDeviceBurned { formerOwner syntheticDevice { tokenId } vehicle { tokenId } }
      ... on SyntheticDeviceAttributeSet { attribute value syntheticDevice { tokenId } }
      ... on AccessGranted {
        user permissions expiresAt agreementURI source
        vehicle { tokenId } syntheticDevice { tokenId } grantedManufacturer { tokenId } account { address }
      }
      ... on AccessRevoked { user source vehicle { tokenId } account { address } }
    }
  }
}
"""


async def test_every_kind_of_event_is_returned_with_its_subject(api: Api) -> None:
    kinds = [kind.name for kind in Kind if kind >= Kind.VEHICLE_ATTRIBUTE_SET]
    nodes = (await api.ask(HISTORY % ", ".join(kinds)))["lifecycleEvents"]["nodes"]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        by_kind.setdefault(node.pop("kind"), []).append(node)
    assert by_kind.keys() == set(kinds)
    assert by_kind["VEHICLE_DEFINITION_SET"] == [{"definitionId": "kia_ev6_2022", "vehicle": {"tokenId": "2"}}]
    assert by_kind["SYNTHETIC_DEVICE_MINTED"][1]["vehicle"] == {"tokenId": "1"}
    assert by_kind["SYNTHETIC_DEVICE_BURNED"][0]["syntheticDevice"] == {"tokenId": "1"}
    subjects = [
        [name for name in ("vehicle", "syntheticDevice", "grantedManufacturer", "account") if node[name]]
        for node in by_kind["ACCESS_GRANTED"]
    ]
    assert all(len(named) == 1 for named in subjects)
    assert {named[0] for named in subjects} == {"vehicle", "syntheticDevice", "grantedManufacturer", "account"}
    assert by_kind["ACCESS_REVOKED"][0]["account"]["address"].lower() == hex_of(BOB)


async def test_events_are_found_by_the_vehicle_or_synthetic_device_that_they_name(api: Api) -> None:
    query = "query ($filter: LifecycleEventFilter) { lifecycleEvents(filterBy: $filter) { nodes { kind } } }"
    named = (await api.ask(query, filter={"vehicleId": {"eq": "3"}}))["lifecycleEvents"]["nodes"]
    assert [node["kind"] for node in named] == [
        "VEHICLE_TRANSFERRED",
        "VEHICLE_MINTED",
        "VEHICLE_TRANSFERRED",
        "VEHICLE_BURNED",
    ]
    named = (await api.ask(query, filter={"syntheticDeviceId": {"eq": "1"}}))["lifecycleEvents"]["nodes"]
    assert [node["kind"] for node in named][-1] == "SYNTHETIC_DEVICE_BURNED"


async def test_a_reorg_takes_a_vehicle_back_and_keeps_its_events_as_orphaned(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'reorg.db'}"
    node = vehicle_chain()
    node.mine(*mint_vehicle(7, ALICE, "ford_focus_2020"))
    with engine_of(url) as engine:
        indexer = await index(engine, node)
        api = Api(url)
        assert (await api.ask(VEHICLE, by={"tokenId": "7"}))["vehicle"]["tokenId"] == "7"
        node.reorg(1, [], [])
        await indexer.catch_up()
        assert (await api.ask(VEHICLE, by={"tokenId": "7"}))["vehicle"] is None
        query = """
        { orphanedEvents(filterBy: {vehicleId: {eq: "7"}}) {
            nodes { event { kind ... on VehicleMinted { vehicle { tokenId owner } } } } } }
        """
        nodes = (await api.ask(query))["orphanedEvents"]["nodes"]
        assert [node["event"]["kind"] for node in nodes] == ["VEHICLE_MINTED", "VEHICLE_TRANSFERRED"]
        assert nodes[0]["event"]["vehicle"] == {"tokenId": "7", "owner": None}
        api.engine.dispose()
