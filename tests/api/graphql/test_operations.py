"""The operations of operations.graphql: all are valid, and the answers equal those computed from the acts on the fleet.

Answers while the chain moves are tested in test_moving_chain.py; HTTP and subscriptions in tests/api/http.
"""

from collections.abc import Callable
from typing import Any

from graphql import parse, validate

from tests.support.api.asking import SCHEMA, Api, Json
from tests.support.api.operations import FILE, OPERATIONS, REFUSED, samples
from tests.support.fleet import Fleet
from tests.support.fleet.acts import MintPallet
from tests.support.fleet.names import DAY
from tests.support.fleet.records import Device
from tests.support.index.fleet import NOW, did, iso, semver

Fits = Callable[[Device], bool]


async def ask(api: Api, operation: str, **variables: Any) -> Json:
    return await api.ask(OPERATIONS[operation], **variables)


def those(fleet: Fleet, fits: Fits) -> list[str]:
    """Returns the DIDs of the devices that fit, newest mint first."""
    devices = [device for device in fleet.world.devices.values() if fits(device)]
    return [did(fleet, device.token) for device in sorted(devices, key=newest_first)]


def newest_first(device: Device) -> tuple[int, int]:
    return -device.minted_at, -device.token


def dids(connection: Json) -> list[str]:
    return [node["tokenDID"] for node in connection["nodes"]]


def verdict(fleet: Fleet, device: Device, check: str) -> str:
    return fleet.world.provenance(device.token)[check]


def richest(fleet: Fleet) -> Device:
    return max(fleet.world.devices.values(), key=lambda device: (len(device.history), device.token))


def test_the_operations_are_of_the_schema() -> None:
    assert validate(SCHEMA._schema, parse(FILE.read_text())) == []
    assert len(OPERATIONS) == 30


async def test_every_operation_is_answered(api: Api) -> None:
    variables = await samples(api.ask)
    assert variables.keys() == OPERATIONS.keys()
    for name in OPERATIONS.keys() - {"Q29Resume"}:
        for values in variables[name]:
            answer = await api.answer(OPERATIONS[name], **values)
            assert ("errors" in answer) == (name in REFUSED), (name, values, answer)


async def test_1_to_3_devices_of_an_owner_page_forward_and_backward_through_one_list(api: Api, fleet: Fleet) -> None:
    owners = [device.owner for device in fleet.world.devices.values() if device.owner]
    owner = max(sorted(set(owners)), key=owners.count)
    mine = [device for device in fleet.world.devices.values() if device.owner == owner]
    expected = [
        did(fleet, device.token) for device in sorted(mine, key=lambda device: (device.manufactured_at, device.token))
    ]
    first = (await ask(api, "Q01DevicesOfOwner", owner=owner))["devices"]
    assert (first["totalCount"], dids(first)) == (len(expected), expected[:50])
    whole = (await ask(api, "Q02NextPages", owner=owner, after=None))["devices"]
    ids = [edge["node"]["id"] for edge in whole["edges"]]
    assert ids == [node["id"] for node in first["nodes"]]
    middle = len(ids) // 2
    rest = (await ask(api, "Q02NextPages", owner=owner, after=whole["edges"][middle]["cursor"]))["devices"]
    assert [edge["node"]["id"] for edge in rest["edges"]][: len(ids) - middle - 1] == ids[middle + 1 :]
    assert rest["pageInfo"]["hasPreviousPage"]
    back = (await ask(api, "Q03LastBefore", owner=owner, before=whole["edges"][middle]["cursor"]))["devices"]
    assert [edge["node"]["id"] for edge in back["edges"]] == ids[max(0, middle - 20) : middle]
    assert (back["pageInfo"]["hasPreviousPage"], back["pageInfo"]["hasNextPage"]) == (middle > 20, True)


async def test_9_to_11_firmware_updates_and_resets_are_counted(api: Api, fleet: Fleet) -> None:
    answer = await ask(api, "Q09FirmwareBelow")
    below = those(fleet, lambda device: () < semver(device.firmware) < semver("2.10.0"))
    assert (answer["outdated"]["totalCount"], dids(answer["outdated"])) == (len(below), below[:20])
    unordered = those(fleet, lambda device: semver(device.firmware) == ())
    assert answer["cannotBeOrdered"]["totalCount"] == len(unordered) > 0
    date = NOW - 60 * DAY
    stale = those(fleet, lambda device: (device.firmware_updated_at or 0) < date)
    answer = (await ask(api, "Q10NotUpdatedSince", date=iso(date)))["devices"]
    assert (answer["totalCount"], dids(answer)) == (len(stale), stale[:20])
    since = NOW - 30 * DAY
    answer = (await ask(api, "Q11ManyResets", thirtyDaysAgo=iso(since)))["devices"]
    assert dids(answer) == those(fleet, lambda device: device.resets_since(since) > 2)
    by_did = {did(fleet, device.token): device for device in fleet.world.devices.values()}
    for node in answer["nodes"]:
        resets = by_did[node["tokenDID"]].resets
        assert node["factoryResets"]["totalCount"] == len(resets)
        assert [(reset["resetAt"], reset["recordTime"]) for reset in node["factoryResets"]["nodes"]] == [
            (iso(reset.reset_at), iso(reset.record_time)) for reset in resets[-5:]
        ]


async def test_12_and_13_who_may_manage_and_what(api: Api, fleet: Fleet) -> None:
    then = NOW - 200 * DAY
    past = fleet.world_at(then)
    device = max(past.devices.values(), key=lambda device: (len(device.users(then)), device.token))
    answer = (await ask(api, "Q12UsersNowAndThen", did=did(fleet, device.token), then=iso(then)))["device"]
    now = fleet.world.devices[device.token]
    for field, grants in (("now", now.users(NOW)), ("then", device.users(then))):
        assert [node["user"].lower() for node in answer[field]["nodes"]] == [grant.user.lower() for grant in grants]
        assert answer[field]["totalCount"] == len(grants)
    assert [(node["user"].lower(), node["revokedAt"], node["endReason"]) for node in answer["ever"]["nodes"]] == [
        (grant.user.lower(), iso(grant.ended_at), grant.end_reason) for grant in now.grants
    ]
    names = [grant.organization for device in past.devices.values() for grant in device.users(then)]
    organization = max(sorted(set(names) - {""}), key=names.count)
    managed_now = await ask(api, "Q13OrganizationManages", organization=organization, then=iso(then))
    managed = sorted(
        device.token
        for device in past.devices.values()
        if any(grant.organization == organization for grant in device.users(then))
    )
    assert dids(managed_now["devices"]) == [did(fleet, token) for token in managed][:20]
    assert managed_now["devices"]["totalCount"] == len(managed)
    assert managed_now["authorizations"]["totalCount"] == names.count(organization)


async def test_14_and_15_a_history_is_returned_whole_and_by_step_and_time(api: Api, fleet: Fleet) -> None:
    device = richest(fleet)
    history = (await ask(api, "Q14FullHistory", did=did(fleet, device.token), after=None))["device"]["history"]
    assert history["totalCount"] == len(device.history)
    assert [
        (event["kind"], event["recordTime"], event["eventTime"], "AFTER_END_OF_LIFE" in event["flags"])
        for event in history["nodes"]
    ] == [
        (entry.kind, iso(entry.record_time), iso(entry.event_time), entry.after_end_of_life) for entry in device.history
    ]
    tests = sorted(device.tests, key=lambda test: test.record_time)
    start, end = min(test.tested_at for test in tests), max(test.tested_at for test in tests)
    variables = {"did": did(fleet, device.token), "from": iso(start), "to": iso(end)}
    inspected = (await ask(api, "Q15ByStepAndTime", **variables))["device"]["history"]
    assert sorted((event["eventTime"], event["disposition"]) for event in inspected["nodes"]) == sorted(
        (iso(test.tested_at), "conformant" if test.passed else "non_conformant")
        for test in tests
        if start <= test.tested_at < end
    )


async def test_16_all_test_results_of_a_batch_are_returned_and_what_is_absent_is_null(api: Api, fleet: Fleet) -> None:
    done, mint = next(
        (done, done.act) for done in fleet.recorded if isinstance(done.act, MintPallet) and len(done.act.drafts) > 1
    )
    batch = [fleet.world.devices[mint.first_token + index] for index in range(len(mint.drafts))]
    variables = {"maker": str(batch[0].manufacturer), "mintTransaction": done.transaction_hash, "after": None}
    devices = (await ask(api, "Q16TestsOfBatch", **variables))["devices"]
    assert devices["totalCount"] == len(batch)
    nodes = {node["tokenDID"]: node for node in devices["nodes"]}
    for device in sorted(batch, key=newest_first)[:50]:
        node = nodes[did(fleet, device.token)]
        for field, kind, check in (
            ("inCircuitTests", "IN_CIRCUIT", "inCircuitTestPassed"),
            ("mechanicalTests", "MECHANICAL", "mechanicalTestPassed"),
            ("qualityInspections", "QUALITY", "qualityInspectionPassed"),
        ):
            assert [
                (test["testKind"], test["passed"], test["testedAt"], test["station"], test["reportURI"])
                for test in node[field]["nodes"]
            ] == [
                (kind, test.passed, iso(test.tested_at), test.station or None, test.report_uri or None)
                for test in device.tests_of(kind)[:3]
            ]
            assert node["provenance"][check]["verdict"] == verdict(fleet, device, check)


async def test_17_to_19_what_went_wrong_is_found_and_distinguished(api: Api, fleet: Fleet) -> None:
    shipped = await ask(api, "Q17ShippedWithoutQuality")
    for name, check, failing_verdict in (
        ("failed", "qualityInspectionPassed", "FAIL"),
        ("missing", "qualityInspectionPassed", "UNKNOWN"),
        ("notBefore", "provisionedAfterQuality", "FAIL"),
    ):
        expected = those(
            fleet,
            lambda device, check=check, failing_verdict=failing_verdict: (  # type: ignore[misc]  # a default binds the loop's value
                device.provisioned_at is not None and verdict(fleet, device, check) == failing_verdict
            ),
        )
        assert (shipped[name]["totalCount"], dids(shipped[name])) == (len(expected), expected[:20])
    lively = those(fleet, lambda device: verdict(fleet, device, "noActivityAfterEndOfLife") == "FAIL")
    assert lively
    activity = await ask(api, "Q18ActivityAfterEndOfLife", did=lively[0])
    assert dids(activity["fleet"]) == lively[:20]
    device = next(candidate for candidate in fleet.world.devices.values() if did(fleet, candidate.token) == lively[0])
    assert [(event["kind"], event["recordTime"]) for event in activity["device"]["history"]["nodes"]] == [
        (entry.kind, iso(entry.record_time)) for entry in device.history if entry.after_end_of_life
    ]
    recycled = those(
        fleet,
        lambda device: (
            device.end_of_life in ("RECYCLED", "DISPOSED")
            and verdict(fleet, device, "sanitizedBeforeDisposal") in ("FAIL", "UNKNOWN")
        ),
    )
    devices = (await ask(api, "Q19RecycledUnsanitized"))["devices"]
    assert (devices["totalCount"], dids(devices)) == (len(recycled), recycled[:20])


async def test_21_a_field_comes_from_the_transaction_and_the_log_that_set_it(api: Api, fleet: Fleet) -> None:
    done, mint = next((done, done.act) for done in fleet.recorded if isinstance(done.act, MintPallet))
    node = (await ask(api, "Q21WhereAFieldComesFrom", did=did(fleet, mint.first_token)))["device"]
    device = fleet.world.devices[mint.first_token]
    assert (node["imei"] or {"value": None})["value"] == device.imei
    origin = node["ownerFrom"]
    assert origin["origin"] == "LOG"
    assert origin["event"]["kind"] == "DEVICE_TRANSFERRED"
    assert origin["event"]["contract"].lower() == fleet.contract.address.lower()
    receipt = fleet.chain.request("eth_getTransactionReceipt", origin["event"]["transactionHash"])
    (log,) = [log for log in receipt["logs"] if int(log["logIndex"], 16) == origin["event"]["logIndex"]]
    assert origin["event"]["raw"] == {"topics": log["topics"], "data": log["data"]}
    assert int(receipt["blockNumber"], 16) == int(origin["event"]["block"]["number"])
    if len(device.owners) == 1:
        assert origin["event"]["transactionHash"] == done.transaction_hash


async def test_22_a_license_revoked_after_the_mint_is_returned_then_and_now(api: Api, fleet: Fleet) -> None:
    device = next(
        device
        for device in fleet.world.devices.values()
        if fleet.world.models[device.model].license.revoked_at is not None and device.model_license_at_mint == "VALID"
    )
    model, maker = fleet.world.models[device.model], fleet.world.manufacturers[device.manufacturer]
    answer = await ask(api, "Q22LicenseAtMintAndNow", did=did(fleet, device.token))
    node = answer["device"]
    assert node["mintedAt"] == iso(device.minted_at)
    assert node["hardwareLicense"]["license"] == {"status": "REVOKED"}
    assert node["hardwareLicenseAtMint"]["status"] == "VALID"
    assert node["hardwareLicense"]["model"] == model.name
    assert node["manufacturer"]["license"]["status"] == maker.license.status(NOW)
    assert node["manufacturerLicenseAtMint"]["status"] == device.manufacturer_license_at_mint
    assert node["provenance"]["hardwareLicensedAtMint"]["verdict"] == "PASS"
    assert answer["affected"]["totalCount"] == len(
        those(fleet, lambda device: verdict(fleet, device, "manufacturerLicensedAtMint") != "PASS")
    )


async def test_24_to_26_every_type_with_an_id_can_be_refetched_and_paged(api: Api, fleet: Fleet) -> None:
    device = richest(fleet)
    query = """query ($did: String!) { device(by: {tokenDID: $did}) { id tokenDID manufacturer { id name }
      hardwareLicense { id model } mint { id } } }"""
    fields = (await api.ask(query, did=did(fleet, device.token)))["device"]
    maker, model = fleet.world.manufacturers[device.manufacturer], fleet.world.models[device.model]
    for id, expected in (
        (fields["id"], {"__typename": "Device", "tokenDID": did(fleet, device.token)}),
        (fields["manufacturer"]["id"], {"__typename": "Manufacturer", "name": maker.name}),
        (fields["hardwareLicense"]["id"], {"__typename": "HardwareLicense", "model": model.name}),
    ):
        assert (await ask(api, "Q24Node", id=id))["node"] == {"id": id, **expected}
    assert (await ask(api, "Q24Node", id="nonsense"))["node"] is None
    ids = [fields["id"], "nonsense", fields["mint"]["id"]]
    nodes = (await ask(api, "Q25Nodes", ids=ids))["nodes"]
    assert [node and node["__typename"] for node in nodes] == ["Device", None, "DeviceMinted"]
    seen: list[str] = []
    page: Json = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        cursor = page["pageInfo"]["endCursor"]
        page = (await ask(api, "Q26Refetch", id=fields["id"], count=3, cursor=cursor))["node"]["history"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
    assert len(seen) == len(set(seen)) == len(device.history)
