"""The demo fleet: its own account of every device equals the contract's, and it contains every case it should show."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tests.support.chain.devchain import Contract
from tests.support.fleet import Fleet, World, start_chain
from tests.support.fleet.names import DAY, MAKERS, MODELS, YEARS_TWO, check_digit, imei_is_valid
from tests.support.fleet.plan import plan
from tests.support.fleet.records import Device
from tests.support.fleet.stories import STORIES

NOW = int(time.time())
STEPS = {"IN_SERVICE": 0, "UNKNOWN": 0, "DECOMMISSIONED": 1, "RECYCLED": 2, "DISPOSED": 3}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with start_chain(NOW) as chain:
        yield Fleet.build(chain, devices=200, now=NOW)


def test_every_certificate_is_what_the_contract_says(fleet: Fleet) -> None:
    assert len(fleet.world.devices) == fleet.contract.call("totalMinted") == 200
    for device in fleet.world.devices.values():
        assert_device(fleet.contract, device, NOW)


def test_every_certificate_a_year_ago_equals_the_contracts_state_then(fleet: Fleet) -> None:
    past = fleet.world_at(NOW - 365 * DAY)
    block = max(done.block_number for done in fleet.recorded if done.block_time <= NOW - 365 * DAY)
    assert 20 < len(past.devices) < 200
    for device in past.devices.values():
        assert_device(fleet.contract, device, fleet.chain.timestamp(block), block)


def test_every_license_is_what_the_contract_says(fleet: Fleet) -> None:
    for maker in fleet.world.manufacturers.values():
        account_, expires_at, granted, revoked, name, uri, hash_ = fleet.contract.call("manufacturer", maker.number)
        license = maker.license
        assert (account_, name, uri, hash_) == (maker.account, maker.name, license.uri, license.hash)
        assert (expires_at, granted, revoked) == (license.expires_at or 0, True, license.revoked_at is not None)
        licensed = fleet.contract.call("isManufacturerLicensed", maker.number)
        assert licensed is (license.status(NOW) == "VALID")
    for model in fleet.world.models.values():
        answer = fleet.contract.call("hardwareLicense", model.number)
        license = model.license
        assert answer[0] == model.manufacturer
        assert answer[4:] == (model.name, model.revision, license.uri, license.hash)
        assert answer[1:4] == (license.expires_at or 0, True, license.revoked_at is not None)
        assert fleet.contract.call("isHardwareLicensed", model.number) is (license.status(NOW) == "VALID")


def test_every_event_of_the_chain_is_foreseen(fleet: Fleet) -> None:
    logs = Counter(fleet.contract.event(log)[0] for log in fleet.chain.logs(fleet.contract.address))
    foreseen = fleet.world.events
    assert sum(logs.values()) == sum(foreseen.values())
    assert logs["Transfer"] == foreseen["DEVICE_TRANSFERRED"]
    tests = ("InCircuitTestRecorded", "MechanicalTestRecorded", "QualityInspectionRecorded")
    assert sum(logs[name] for name in tests) == foreseen["TEST_RECORDED"]
    histories = Counter(entry.kind for device in fleet.world.devices.values() for entry in device.history)
    licenses = {kind: count for kind, count in foreseen.items() if "LICENSE" in kind}
    assert histories + Counter(licenses) == foreseen


def test_the_story_is_spread_over_two_years_and_ends_now(fleet: Fleet) -> None:
    times = [done.block_time for done in fleet.recorded]
    assert times == sorted(times)
    assert NOW - YEARS_TWO <= times[0] < NOW - 700 * DAY
    assert times[-1] <= fleet.chain.timestamp() == NOW
    months = {(instant - times[0]) // (30 * DAY) for instant in times}
    assert len(months) > 20


def test_the_same_seed_makes_the_same_history() -> None:
    assert plan(100, seed=7, now=NOW) == plan(100, seed=7, now=NOW)
    assert plan(100, seed=7, now=NOW) != plan(100, seed=8, now=NOW)


def test_a_small_fleet_starts_as_the_large_one_does() -> None:
    with start_chain(NOW) as chain:
        fleet = Fleet.build(chain, devices=1, now=NOW)
        assert list(fleet.world.devices) == [1]


def test_the_fleet_goes_on_living_as_the_contract_allows() -> None:
    with start_chain(NOW) as chain:
        fleet = Fleet.build(chain, devices=len(STORIES), now=NOW)
        kinds = Counter(type(done.act).__name__ for done in islice(fleet.live(), 300))
        assert len(kinds) >= 9
        for device in fleet.world.devices.values():
            assert_device(fleet.contract, device, chain.timestamp())


def test_an_act_that_the_contract_refuses_is_reported() -> None:
    with start_chain(NOW) as chain:
        fleet = Fleet.build(chain, devices=3, now=NOW)
        minting = next(done.act for done in fleet.recorded if type(done.act).__name__ == "MintPallet")
        with pytest.raises(RuntimeError, match="the transaction of MintPallet"):
            fleet.record([minting])


@pytest.mark.parametrize("text", ["490154203237518", "49-015420-323751-8"])
def test_a_valid_imei_is_known(text: str) -> None:
    assert imei_is_valid(text)
    assert check_digit(text.replace("-", "")[:14]) == 8


# what a fleet shows -> how to see that a device of it does
SHOWN: dict[str, Callable[[World, Device], bool]] = {
    "license of its manufacturer revoked since": lambda w, d: maker_status(w, d) == "REVOKED",
    "license of its manufacturer expired since": lambda w, d: maker_status(w, d) == "EXPIRED",
    "license of its manufacturer valid": lambda w, d: maker_status(w, d) == "VALID",
    "hardware license revoked since": lambda w, d: w.models[d.model].license.status(NOW) == "REVOKED",
    "hardware license expired since": lambda w, d: w.models[d.model].license.status(NOW) == "EXPIRED",
    "wrong IMEI": lambda w, d: verdict(w, d, "imeiValid") == "FAIL",
    "no IMEI and no DevEUI": lambda w, d: verdict(w, d, "imeiValid") == "UNKNOWN",
    "DevEUI instead of an IMEI": lambda w, d: verdict(w, d, "imeiValid") == "NOT_APPLICABLE",
    "IMEI of another device": lambda w, d: verdict(w, d, "imeiUnique") == "FAIL",
    "serial number of another manufacturer's device": lambda w, d: shares_serial(w, d),
    "no serial number": lambda w, d: d.serial_number is None,
    "free attributes": lambda w, d: len(d.attributes) == 2,
    "corrected hardware revision": lambda w, d: d.hardware_revision == "B.2",
    "in-circuit test repeated": lambda w, d: [test.passed for test in d.tests_of("IN_CIRCUIT")] == [False, True],
    "mechanical test failed": lambda w, d: verdict(w, d, "mechanicalTestPassed") == "FAIL",
    "inspection failed": lambda w, d: verdict(w, d, "qualityInspectionPassed") == "FAIL",
    "no test": lambda w, d: not d.tests,
    "provisioned after inspection": lambda w, d: verdict(w, d, "provisionedAfterQuality") == "PASS",
    "provisioned before inspection": lambda w, d: verdict(w, d, "provisionedAfterQuality") == "FAIL",
    "provisioned without inspection": lambda w, d: verdict(w, d, "provisionedAfterQuality") == "UNKNOWN",
    "not provisioned": lambda w, d: verdict(w, d, "provisionedAfterQuality") == "NOT_APPLICABLE",
    "grant expired": lambda w, d: any(not g.is_active(NOW) and g.ended_at is None for g in d.grants),
    "grant revoked": lambda w, d: any(g.end_reason == "REVOKED" for g in d.grants),
    "grant replaced": lambda w, d: any(g.end_reason == "REPLACED" for g in d.grants),
    "grant for ever": lambda w, d: any(g.expires_at is None for g in d.users(NOW)),
    "grant that will expire": lambda w, d: any(g.expires_at is not None for g in d.users(NOW)),
    "many users": lambda w, d: len(d.users(NOW)) >= 4,
    "sold twice": lambda w, d: len(d.owners) == 3,
    "more than two resets in 30 days": lambda w, d: d.resets_since(NOW - 30 * DAY) > 2,
    "resets, but few of late": lambda w, d: len(d.resets) > 2 and d.resets_since(NOW - 30 * DAY) == 1,
    "reset by an authorized user": lambda w, d: any(r.initiator not in d.owners for r in d.resets),
    "reset for an unknown reason": lambda w, d: any(r.reason > 4 for r in d.resets),
    "firmware 2.9.0": lambda w, d: d.firmware == "2.9.0",
    "firmware 2.10.0": lambda w, d: d.firmware == "2.10.0",
    "firmware with a v": lambda w, d: d.firmware.startswith("v"),
    "firmware that is no semver": lambda w, d: d.firmware == "2.10",
    "update failed": lambda w, d: any(u.result == 1 for u in d.updates),
    "update rolled back": lambda w, d: any(u.result == 2 for u in d.updates),
    "update with an unknown result": lambda w, d: any(u.result > 2 for u in d.updates),
    "address reset": lambda w, d: len(d.addresses) == 3,
    "address of another device's past": lambda w, d: took_address(w, d),
    "decommissioned": lambda w, d: d.end_of_life == "DECOMMISSIONED" and not d.burned,
    "recycled": lambda w, d: d.end_of_life == "RECYCLED",
    "disposed of": lambda w, d: d.end_of_life == "DISPOSED",
    "ended in an unknown way": lambda w, d: d.end_of_life == "UNKNOWN",
    "burned": lambda w, d: d.burned,
    "sanitized by nobody": lambda w, d: verdict(w, d, "sanitizedBeforeDisposal") == "FAIL",
    "sanitized by an unknown method": lambda w, d: verdict(w, d, "sanitizedBeforeDisposal") == "UNKNOWN",
    "sanitized before disposal": lambda w, d: verdict(w, d, "sanitizedBeforeDisposal") == "PASS",
    "cleared": lambda w, d: d.sanitization == "CLEAR",
    "purged": lambda w, d: d.sanitization == "PURGE",
    "destroyed": lambda w, d: d.sanitization == "DESTROY",
    "updated after decommissioning": lambda w, d: verdict(w, d, "noActivityAfterEndOfLife") == "FAIL",
    "quiet after its end": lambda w, d: verdict(w, d, "noActivityAfterEndOfLife") == "PASS",
    "tested in the future": lambda w, d: any(test.tested_at > NOW for test in d.tests),
    "provisioned after the year 9999": lambda w, d: (d.provisioned_at or 0) > 253_402_300_799,
}


@pytest.mark.parametrize("shown", SHOWN)
def test_the_fleet_shows_a_device_that_is(fleet: Fleet, shown: str) -> None:
    assert any(SHOWN[shown](fleet.world, device) for device in fleet.world.devices.values())


def test_every_manufacturer_and_model_has_devices(fleet: Fleet) -> None:
    assert {device.manufacturer for device in fleet.world.devices.values()} == {maker.number for maker in MAKERS}
    assert {device.model for device in fleet.world.devices.values()} == {model.number for model in MODELS}
    assert {device.manufacturer_license_at_mint for device in fleet.world.devices.values()} == {"VALID"}


def assert_device(contract: Contract, device: Device, clock: int, block: int | str = "latest") -> None:
    """Compares a device with the contract's getters after a block whose time is `clock`."""
    token = device.token
    certificate = dict(zip(CERTIFICATE_FIELDS, contract.call("certificate", token, block=block), strict=True))
    assert certificate == {
        "device": device.address,
        "manufacturedAt": device.manufactured_at,
        "manufacturerId": device.manufacturer,
        "hardwareLicenseId": device.model,
        "serialNumber": device.serial_number or "",
        "imei": device.imei or "",
        "hardwareRevision": device.hardware_revision or "",
        "initialFirmware": device.initial_firmware,
        "firmware": device.firmware,
        "mintedAt": device.minted_at,
        "provisionedAt": device.provisioned_at or 0,
        "factoryResets": len(device.resets),
        "firmwareUpdates": len(device.updates),
        "endOfLife": 0 if device.burned and not device.steps else STEPS[device.end_of_life],
    }
    assert contract.call("tokenOf", device.address, block=block) == (0 if device.burned else token)
    assert contract.call("attributeOf", token, "devEUI", block=block) == (device.dev_eui or "")
    for name in ("enclosure", "antenna", "customs tariff"):
        assert contract.call("attributeOf", token, name, block=block) == device.attributes.get(name, "")
    if not device.burned:
        assert contract.call("ownerOf", token, block=block) == device.owner
    active = {grant.user: grant for grant in device.users(clock)}
    for user in {grant.user for grant in device.grants}:
        authorized = contract.call("isAuthorized", token, user, block=block)
        assert authorized is (user in active or user == device.owner)
        if user in active:
            grant = active[user]
            kept = (True, grant.expires_at or 0, grant.permissions, grant.organization)
            assert contract.call("grantOf", token, user, block=block) == kept


CERTIFICATE_FIELDS = (
    "device",
    "manufacturedAt",
    "manufacturerId",
    "hardwareLicenseId",
    "serialNumber",
    "imei",
    "hardwareRevision",
    "initialFirmware",
    "firmware",
    "mintedAt",
    "provisionedAt",
    "factoryResets",
    "firmwareUpdates",
    "endOfLife",
)


def verdict(world: World, device: Device, check: str) -> str:
    return world.provenance(device.token)[check]


def maker_status(world: World, device: Device) -> str:
    return world.manufacturers[device.manufacturer].license.status(NOW)


def shares_serial(world: World, device: Device) -> bool:
    return any(
        other.serial_number == device.serial_number and other.manufacturer != device.manufacturer
        for other in world.devices.values()
    )


def took_address(world: World, device: Device) -> bool:
    return any(
        held.address == device.address
        for other in world.devices.values()
        if other is not device
        for held in other.addresses
    )
