"""Statistics of devices equal counts computed from the acts on the demo fleet."""
# fixtures are imported, and arguments bear their names

from collections import Counter
from collections.abc import Callable, Iterable
from operator import eq, gt, lt, ne
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from tests.support.api.asking import Api, Json, asking
from tests.support.fleet import Fleet, World
from tests.support.fleet.names import DAY
from tests.support.fleet.records import Device
from tests.support.index.fleet import NOW, iso
from tests.support.index.history import History, log

STATISTICS = """query ($by: [DeviceDimension!]!, $filter: DeviceFilter, $asOf: AsOf) {
  deviceStatistics(groupBy: $by, filterBy: $filter, asOf: $asOf) { keys { dimension value } count } }"""

VALUES: dict[str, Callable[[Fleet, World, Device], str | None]] = {
    "CHAIN": lambda fleet, world, device: str(fleet.chain.chain_id),
    "CONTRACT": lambda fleet, world, device: str(to_checksum_address(fleet.contract.address)),
    "MANUFACTURER": lambda fleet, world, device: str(device.manufacturer),
    "HARDWARE_LICENSE": lambda fleet, world, device: str(device.model),
    "MODEL": lambda fleet, world, device: world.models[device.model].name,
    "FIRMWARE": lambda fleet, world, device: device.firmware or None,
    "OWNER": lambda fleet, world, device: str(to_checksum_address(device.owner)) if device.owner else None,
    "END_OF_LIFE_STATUS": lambda fleet, world, device: device.end_of_life,
    "MINTED_MONTH": lambda fleet, world, device: (iso(device.minted_at) or "")[:7],
    "QUALITY_INSPECTION": lambda fleet, world, device: world.provenance(device.token)["qualityInspectionPassed"],
}


def expected(
    fleet: Fleet, world: World, dimensions: list[str], fits: Callable[[Device], bool] = lambda device: True
) -> list[Json]:
    """Returns the groups in the form of the API."""
    counts = Counter(
        tuple(VALUES[dimension](fleet, world, device) for dimension in dimensions)
        for device in world.devices.values()
        if fits(device)
    )
    ranked = sorted(counts, key=lambda group: (-counts[group], [(value is None, value or "") for value in group]))
    return [
        {
            "keys": [{"dimension": name, "value": value} for name, value in zip(dimensions, group, strict=True)],
            "count": counts[group],
        }
        for group in ranked
    ]


async def statistics(api: Api, by: list[str], **variables: Any) -> list[Json]:
    groups: list[Json] = (await api.ask(STATISTICS, by=by, **variables))["deviceStatistics"]
    return groups


@pytest.mark.parametrize("dimension", VALUES)
async def test_devices_are_counted_by_each_dimension_now_and_then(api: Api, fleet: Fleet, dimension: str) -> None:
    now = await statistics(api, [dimension])
    assert now == expected(fleet, fleet.world, [dimension])
    assert sum(group["count"] for group in now) == len(fleet.world.devices)
    then = sorted(device.minted_at for device in fleet.world.devices.values())[100]
    past = await statistics(api, [dimension], asOf={"timestamp": iso(then)})
    assert past == expected(fleet, fleet.world_at(then), [dimension])
    assert past != now


@pytest.mark.parametrize(
    "dimensions",
    [
        ["MODEL", "FIRMWARE"],
        ["FIRMWARE", "MODEL", "END_OF_LIFE_STATUS"],
        ["MANUFACTURER", "MODEL", "HARDWARE_LICENSE"],
        ["OWNER", "CONTRACT", "CHAIN"],
        ["MINTED_MONTH", "QUALITY_INSPECTION"],
    ],
    ids=" ".join,
)
async def test_devices_are_counted_by_combinations_in_the_requested_order(
    api: Api, fleet: Fleet, dimensions: list[str]
) -> None:
    assert await statistics(api, dimensions) == expected(fleet, fleet.world, dimensions)


async def test_only_devices_that_fit_are_counted(api: Api, fleet: Fleet) -> None:
    in_service = {"endOfLifeStatus": {"eq": "IN_SERVICE"}, "firmware": {"version": {"startsWith": "2."}}}
    assert await statistics(api, ["MODEL"], filter=in_service) == expected(
        fleet,
        fleet.world,
        ["MODEL"],
        lambda device: device.end_of_life == "IN_SERVICE" and device.firmware.startswith("2."),
    )
    maker = next(iter(fleet.world.manufacturers))
    filter = {"manufacturerId": {"eq": str(maker)}, "hardwareLicenseId": {"isNull": False}}
    assert await statistics(api, ["HARDWARE_LICENSE", "MANUFACTURER"], filter=filter) == expected(
        fleet, fleet.world, ["HARDWARE_LICENSE", "MANUFACTURER"], lambda device: device.manufacturer == maker
    )
    assert await statistics(api, ["MODEL"], filter={"tokenId": {"in": []}}) == []


@pytest.mark.parametrize("count", [{"gt": 2}, {"in": [1, 3]}, {"ne": 0}, {"eq": 0}, {"lt": 2}, {"notIn": [1]}], ids=str)
async def test_devices_are_counted_by_their_resets_since_an_instant(api: Api, fleet: Fleet, count: Json) -> None:
    compare: dict[str, Callable[[int, Any], bool]] = {
        "gt": gt,
        "ne": ne,
        "eq": eq,
        "lt": lt,
        "in": lambda resets, numbers: resets in numbers,
        "notIn": lambda resets, numbers: resets not in numbers,
    }
    since = NOW - 30 * DAY
    groups = await statistics(api, ["MODEL"], filter={"factoryResetsSince": {"since": iso(since), "count": count}})
    assert groups == expected(
        fleet,
        fleet.world,
        ["MODEL"],
        lambda device: all(compare[name](device.resets_since(since), number) for name, number in count.items()),
    )
    assert groups
    later = {"factoryResetsSince": {"since": "2999-01-01T00:00:00Z", "count": {"gt": 0}}}
    assert await statistics(api, ["MODEL"], filter=later) == []


@pytest.mark.parametrize("days", [0, 200, 10_000])
async def test_devices_are_counted_by_their_users_at_an_instant(api: Api, fleet: Fleet, days: int) -> None:
    then = NOW - days * DAY
    past = fleet.world_at(then).devices
    filter = {"authorizedUser": {"activeAt": iso(then)}}
    assert await statistics(api, ["MODEL"], filter=filter) == expected(
        fleet, fleet.world, ["MODEL"], lambda device: device.token in past and bool(past[device.token].users(then))
    )


FAILURES = """query ($filter: DeviceFilter, $asOf: AsOf) {
  failureStatistics(filterBy: $filter, asOf: $asOf) { activity month count failed } }"""
ACTIVITIES = {"IN_CIRCUIT": "IN_CIRCUIT_TEST", "MECHANICAL": "MECHANICAL_TEST", "QUALITY": "QUALITY_INSPECTION"}


def expected_failures(devices: Iterable[Device]) -> list[Json]:
    """Returns the failures of devices in the form of the API."""
    outcomes = [
        outcome
        for device in devices
        for outcome in (
            *((ACTIVITIES[test.kind], test.record_time, not test.passed) for test in device.tests),
            *(("FIRMWARE_UPDATE", update.record_time, update.result in (1, 2)) for update in device.updates),
        )
    ]
    months = [(activity, (iso(seconds) or "")[:7], failed) for activity, seconds, failed in outcomes]
    order = [*ACTIVITIES.values(), "FIRMWARE_UPDATE"]
    return [
        {
            "activity": activity,
            "month": month,
            "count": sum(row[:2] == (activity, month) for row in months),
            "failed": sum(row == (activity, month, True) for row in months),
        }
        for activity, month in sorted({row[:2] for row in months}, key=lambda row: (order.index(row[0]), row[1]))
    ]


async def test_failures_are_counted_by_activity_and_month_now_and_then(api: Api, fleet: Fleet) -> None:
    now = (await api.ask(FAILURES))["failureStatistics"]
    assert now == expected_failures(fleet.world.devices.values())
    assert sum(row["failed"] for row in now) > 0
    then = sorted(device.minted_at for device in fleet.world.devices.values())[100]
    past = (await api.ask(FAILURES, asOf={"timestamp": iso(then)}))["failureStatistics"]
    assert past == expected_failures(fleet.world_at(then).devices.values())
    assert past != now


async def test_failures_are_those_of_the_devices_that_fit(api: Api, fleet: Fleet) -> None:
    model = next(iter(fleet.world.models))
    filter = {"hardwareLicenseId": {"eq": str(model)}}
    devices = [device for device in fleet.world.devices.values() if device.model == model]
    assert (await api.ask(FAILURES, filter=filter))["failureStatistics"] == expected_failures(devices)
    assert (await api.ask(FAILURES, filter={"tokenId": {"in": []}}))["failureStatistics"] == []


async def test_an_update_failed_if_it_was_not_installed(database_url: str) -> None:
    history = History(database_url)
    nobody = "0x" + "00" * 20
    history.block(
        log("CertificateMinted", 1, nobody, 1, 1, "", "", 0, "1.0.0"),
        *(log("FirmwareUpdated", 1, "1.0.0", "1.1.0", bytes(32), result, 0) for result in (0, 1, 2, 3, 255)),
    )
    with asking(database_url) as api:
        (row,) = (await api.ask(FAILURES))["failureStatistics"]
    history.close()
    assert (row["activity"], row["count"], row["failed"]) == ("FIRMWARE_UPDATE", 5, 2)


async def test_failures_are_priced_by_the_groups_they_may_have(api: Api) -> None:
    answer = await api.answer("{ failureStatistics { count } }")
    assert answer["extensions"]["cost"]["requestedQueryCost"] == 1_000


async def test_many_groups_take_as_many_statements_as_one(api: Api) -> None:
    await statistics(api, ["CHAIN"])
    few = len(api.statements)
    assert len(await statistics(api, ["OWNER", "FIRMWARE", "MINTED_MONTH"])) > 50
    assert len(api.statements) == few


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ([], "0 dimensions"),
        (["CHAIN", "MODEL", "OWNER", "FIRMWARE"], "4 dimensions"),
        (["MODEL", "MODEL"], "MODEL twice"),
    ],
)
async def test_what_cannot_be_grouped_is_refused(api: Api, by: list[str], message: str) -> None:
    error = await api.refusal(STATISTICS, by=by)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert message in error["message"]


async def test_statistics_are_priced_by_the_groups_they_may_have(api: Api) -> None:
    answer = await api.answer("{ deviceStatistics(groupBy: [CHAIN]) { keys { value } count } }")
    assert answer["extensions"]["cost"]["requestedQueryCost"] == 2_000
    assert answer["extensions"]["cost"]["actualQueryCost"] == 1
    six = " ".join(f"a{index}: deviceStatistics(groupBy: [CHAIN]) {{ keys {{ value }} }}" for index in range(6))
    error = await api.refusal(f"{{ {six} }}")
    assert error["extensions"]["code"] == "MAX_COST_EXCEEDED"


async def test_a_thousand_groups_are_returned_and_one_more_is_refused(database_url: str) -> None:
    history = History(database_url)
    nobody, nothing = "0x" + "00" * 20, ("", "", 0)
    history.block(*(log("CertificateMinted", n, nobody, 1, 1, *nothing, f"{n}.0.0") for n in range(1000)))
    with asking(database_url) as api:
        groups = await statistics(api, ["FIRMWARE"])
        assert len(groups) == 1000
        history.block(log("CertificateMinted", 1000, nobody, 1, 1, *nothing, ""))
        error = await api.refusal(STATISTICS, by=["FIRMWARE"])
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "more than 1000 groups" in error["message"]
        assert await statistics(api, ["FIRMWARE"], filter={"tokenId": {"gte": 999}}) == [
            {"keys": [{"dimension": "FIRMWARE", "value": "999.0.0"}], "count": 1},
            {"keys": [{"dimension": "FIRMWARE", "value": None}], "count": 1},
        ]
    history.close()
