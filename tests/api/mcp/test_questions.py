"""Questions about the demo fleet, answered by calls of tools alone, have the answers that the fleet's generator has."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from api.mcp.tools import TOOLS
from api.settings import Settings
from tests.support.api.agent import LEGACY, MODERN, Agent
from tests.support.api.server import serving
from tests.support.databases import KINDS, Kind
from tests.support.fleet import Fleet
from tests.support.fleet.names import QUALITY
from tests.support.fleet.records import Device
from tests.support.index.fleet import NOW, did, iso

CALLED: set[str] = set()


@pytest.fixture(scope="module", params=KINDS)
def agent(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> Iterator[Agent]:
    """An agent of each revision of the protocol, on one of the databases each."""
    mode = {"sqlite": MODERN, "postgresql": LEGACY}[request.param]
    with serving(Settings(database_url=fleet_database(request.param))) as address:
        agent = Agent(address, mode)
        yield agent
        CALLED.update(agent.calls)


def chosen(fleet: Fleet, condition: Callable[[Device], object]) -> Device:
    """Returns a device of the fleet with a unique serial number that meets a condition."""
    serials = Counter(device.serial_number for device in fleet.world.devices.values())
    return next(
        device
        for device in fleet.world.devices.values()
        if device.serial_number and serials[device.serial_number] == 1 and condition(device)
    )


def token_of(did: str) -> int:
    return int(did.rpartition(":")[2])


def test_who_owns_the_device_with_this_serial_number(agent: Agent, fleet: Fleet) -> None:
    device = chosen(fleet, lambda device: device.owner)
    (row,) = agent.call("find_device", key=device.serial_number)["devices"]
    assert (row["tokenDID"], row["owner"].lower()) == (did(fleet, device.token), str(device.owner).lower())


def test_which_firmware_runs_on_the_device_at_this_address_and_how_often_was_it_updated(
    agent: Agent, fleet: Fleet
) -> None:
    device = chosen(fleet, lambda device: device.firmware_updated_at and not device.burned)
    (row,) = agent.call("find_device", key=device.address)["devices"]
    answer = agent.call("get_device", did=row["tokenDID"])
    assert answer["firmware"]["version"] == device.firmware
    assert answer["firmwareUpdates"]["totalCount"] == len(device.updates)
    assert answer["asOf"][0]["number"]


def test_how_many_devices_are_in_service_and_how_many_were_disposed_of(agent: Agent, fleet: Fleet) -> None:
    report = agent.call("fleet_report")
    counts = {group["END_OF_LIFE_STATUS"]: group["count"] for group in report["groups"]}
    assert counts == Counter(device.end_of_life for device in fleet.world.devices.values())
    assert report["devices"] == len(fleet.world.devices)


def test_how_many_devices_of_each_model_does_each_manufacturer_have(agent: Agent, fleet: Fleet) -> None:
    rows = agent.all_rows("fleet_report", "groups", groupBy=["MANUFACTURER", "MODEL"])
    assert {(row["MANUFACTURER"], row["MODEL"]): row["count"] for row in rows} == Counter(
        (str(device.manufacturer), fleet.world.models[device.model].name) for device in fleet.world.devices.values()
    )


def test_which_devices_failed_their_last_quality_inspection(agent: Agent, fleet: Fleet) -> None:
    rows = agent.all_rows("list_devices", "devices", filter={"qualityInspection": {"eq": "FAIL"}}, first=3)
    failed = {
        token for token in fleet.world.devices if fleet.world.provenance(token)["qualityInspectionPassed"] == "FAIL"
    }
    assert failed
    assert {token_of(row["tokenDID"]) for row in rows} == failed


def test_which_devices_may_this_user_access(agent: Agent, fleet: Fleet) -> None:
    users = Counter(grant.user for device in fleet.world.devices.values() for grant in device.users(NOW))
    ((user, count),) = users.most_common(1)
    rows = agent.all_rows("list_devices", "devices", filter={"authorizedUser": {"user": {"eq": user}}})
    assert count > 1
    assert {token_of(row["tokenDID"]) for row in rows} == {
        device.token for device in fleet.world.devices.values() if user in [grant.user for grant in device.users(NOW)]
    }


def test_who_owned_this_device_when_it_was_minted(agent: Agent, fleet: Fleet) -> None:
    device = chosen(fleet, lambda device: len(set(device.owners)) > 1)
    answer = agent.call("get_device", did=did(fleet, device.token), asOf=iso(device.minted_at))
    assert answer["owner"].lower() == device.owners[0].lower()
    assert answer["asOf"][0]["timestamp"] == iso(device.minted_at)


def test_what_happened_to_this_device(agent: Agent, fleet: Fleet) -> None:
    device = max(fleet.world.devices.values(), key=lambda device: len(device.history))
    rows = agent.all_rows("device_history", "events", did=did(fleet, device.token), first=7, oldestFirst=True)
    assert [(row["kind"], row["recordTime"]) for row in rows] == [
        (entry.kind, iso(entry.record_time)) for entry in device.history
    ]
    updates = agent.call("device_history", did=did(fleet, device.token), kinds=["FIRMWARE_UPDATED"], first=50)
    assert updates["totalCount"] == len(device.updates)


@pytest.mark.parametrize("verdict", ["PASS", "FAIL"])
def test_can_this_device_be_trusted(agent: Agent, fleet: Fleet, verdict: str) -> None:
    device = chosen(fleet, lambda device: verdict in fleet.world.provenance(device.token).values())
    answer = agent.call("verify_device", did=did(fleet, device.token))
    verdicts = {name: check["verdict"] for name, check in answer["provenance"].items()}
    assert verdicts == fleet.world.provenance(device.token)
    assert answer["events"] == len(device.history)
    assert answer["bundle"]["url"].endswith(f"/devices/{answer['tokenDID']}/bundle.json")


def test_how_often_do_quality_inspections_fail(agent: Agent, fleet: Fleet) -> None:
    failures = agent.call("fleet_report", failures=True)["failures"]
    (inspections,) = (row for row in failures if row["activity"] == "QUALITY_INSPECTION")
    tests = [test for device in fleet.world.devices.values() for test in device.tests if test.kind == QUALITY]
    assert (inspections["count"], inspections["failed"]) == (len(tests), sum(not test.passed for test in tests))


def test_which_manufacturers_may_mint_today(agent: Agent, fleet: Fleet) -> None:
    query = "query Licensed($filter: ManufacturerFilter) { manufacturers(filterBy: $filter) { nodes { name } } }"
    answer = agent.call("run_query", query=query, variables={"filter": {"licenseStatus": {"eq": "VALID"}}})
    assert {row["name"] for row in answer["data"]["manufacturers"]["nodes"]} == {
        maker.name for maker in fleet.world.manufacturers.values() if maker.license.status(NOW) == "VALID"
    }
    assert answer["extensions"]["asOf"]


def test_how_far_is_the_register(agent: Agent) -> None:
    answer = agent.call("explain_status")
    (network,) = answer["networks"]
    assert f"Answers are of block {answer['asOf'][0]['number']}, which is of" in " ".join(network["explanation"])
    assert network["explanation"][0] == "No indexer is running."


def test_the_questions_use_every_tool() -> None:
    assert set(TOOLS) == CALLED
