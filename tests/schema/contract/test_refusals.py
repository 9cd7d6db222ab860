"""Every refusal of the certificate contract, with its error."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.chain.factory import (
    DAY,
    HASH,
    ZERO_ADDRESS,
    Factory,
    Refused,
    certificate_abi,
    end_of_life_step,
    mint_request,
    report,
)

DISPOSED = 3
OTHER_DEVICE = mint_request(number=2)[0]


def license_of(factory: Factory, **changes: Any) -> tuple[Any, ...]:
    fields = {"id": 2, "account": factory.stranger, "name": "Bolt", "uri": "", "hash": HASH, "expires_at": 0}
    return tuple((fields | changes).values())


def hardware_of(**changes: Any) -> tuple[Any, ...]:
    fields = {"id": 11, "manufacturer": 1, "model": "Hub", "revision": "C", "uri": "", "hash": HASH, "expires_at": 0}
    return tuple((fields | changes).values())


# name of the error -> what leads to it
REFUSALS: dict[str, list[Callable[[Factory], object]]] = {
    "NotRegistrar": [
        lambda f: f.send("licenseManufacturer", *license_of(f), sender=f.maker),
        lambda f: f.send("revokeManufacturerLicense", 1, "", sender=f.maker),
        lambda f: f.send("licenseHardware", *hardware_of(), sender=f.maker),
        lambda f: f.send("revokeHardwareLicense", 10, "", sender=f.maker),
    ],
    "ZeroId": [
        lambda f: f.send("licenseManufacturer", *license_of(f, id=0), sender=f.registrar),
        lambda f: f.send("licenseHardware", *hardware_of(id=0), sender=f.registrar),
    ],
    "ZeroAddress": [
        lambda f: f.send("licenseManufacturer", *license_of(f, account=ZERO_ADDRESS), sender=f.registrar),
        lambda f: f.send("mint", 1, ZERO_ADDRESS, mint_request(), sender=f.maker),
        lambda f: f.mint(device=ZERO_ADDRESS),
        lambda f: f.send("resetDeviceAddress", f.mint(), ZERO_ADDRESS, sender=f.maker),
        lambda f: f.send("authorizeUser", f.mint(), ZERO_ADDRESS, "", 0, 0),
        lambda f: f.send("setApprovalForAll", ZERO_ADDRESS, True),
        lambda f: f.send("transferFrom", f.owner, ZERO_ADDRESS, f.mint()),
        lambda f: f.call("balanceOf", ZERO_ADDRESS),
    ],
    "AccountOfOtherManufacturer": [
        lambda f: f.send("licenseManufacturer", *license_of(f, account=f.maker), sender=f.registrar),
    ],
    "NoManufacturerLicense": [
        lambda f: f.send("revokeManufacturerLicense", 99, "", sender=f.registrar),
        lambda f: f.send("licenseHardware", *hardware_of(manufacturer=99), sender=f.registrar),
        lambda f: f.send("mint", 99, f.owner, mint_request(), sender=f.maker),
        lambda f: f.send("mintBatch", 99, f.owner, [mint_request()], sender=f.maker),
    ],
    "ManufacturerLicenseRevokedBefore": [
        lambda f: [f.send("revokeManufacturerLicense", 1, "", sender=f.registrar) for _ in range(2)],
        lambda f: [f.send("revokeManufacturerLicense", 1, "", sender=f.registrar), f.mint()],
    ],
    "ManufacturerLicenseExpired": [lambda f: [expire_manufacturer(f), f.mint()]],
    "NotManufacturer": [
        lambda f: f.send("mint", 1, f.owner, mint_request(), sender=f.stranger),
        lambda f: f.send("mintBatch", 1, f.owner, [mint_request()], sender=f.registrar),
        lambda f: f.send("correct", f.mint(), "imei", ""),
        lambda f: f.send("resetDeviceAddress", f.mint(), OTHER_DEVICE),
        lambda f: f.send("recordInCircuitTest", f.mint(), report()),
        lambda f: f.send("recordMechanicalTest", f.mint(), report()),
        lambda f: f.send("recordQualityInspection", f.mint(), report()),
        lambda f: f.send("provision", f.mint(), 1),
    ],
    "NoHardwareLicense": [
        lambda f: f.mint(hardware_license_id=99),
        lambda f: f.send("revokeHardwareLicense", 99, "", sender=f.registrar),
    ],
    "HardwareLicenseOfOtherManufacturer": [
        lambda f: [
            f.send("licenseManufacturer", *license_of(f), sender=f.registrar),
            f.send("licenseHardware", *hardware_of(id=10, manufacturer=2), sender=f.registrar),
        ],
        lambda f: [
            f.send("licenseManufacturer", *license_of(f), sender=f.registrar),
            f.send("mint", 2, f.owner, mint_request(), sender=f.stranger),
        ],
    ],
    "HardwareLicenseRevokedBefore": [
        lambda f: [f.send("revokeHardwareLicense", 10, "", sender=f.registrar) for _ in range(2)],
        lambda f: [f.send("revokeHardwareLicense", 10, "", sender=f.registrar), f.mint()],
    ],
    "HardwareLicenseExpired": [lambda f: [expire_hardware(f), f.mint()]],
    "NoDevicesToMint": [lambda f: f.send("mintBatch", 1, f.owner, [], sender=f.maker)],
    "DeviceAddressTaken": [
        lambda f: [f.mint(serial_number=serial) for serial in "AB"],
        lambda f: [f.mint(), f.mint(number=2), f.send("resetDeviceAddress", 1, OTHER_DEVICE, sender=f.maker)],
        lambda f: f.send("resetDeviceAddress", f.mint(), mint_request()[0], sender=f.maker),
    ],
    "SerialNumberTaken": [
        lambda f: [f.mint(number=number, serial_number="SAME") for number in (1, 2)],
        lambda f: [f.mint(), f.mint(number=2), f.send("correct", 1, "serialNumber", "SN-000002", sender=f.maker)],
        lambda f: [f.send("burn", f.mint()), f.mint()],
    ],
    "NotUnixSeconds": [
        lambda f: f.send("correct", f.mint(), "manufacturedAt", "", sender=f.maker),
        lambda f: f.send("correct", f.mint(), "manufacturedAt", "2024-01-01", sender=f.maker),
        lambda f: f.send("correct", f.mint(), "manufacturedAt", "1" * 20, sender=f.maker),
        lambda f: f.send("correct", f.mint(), "manufacturedAt", "-1", sender=f.maker),
    ],
    "NoSuchToken": [
        lambda f: f.call("ownerOf", 1),
        lambda f: f.call("certificate", 1),
        lambda f: f.call("tokenURI", 1),
        lambda f: f.call("getApproved", 1),
        lambda f: f.send("correct", 1, "imei", "", sender=f.maker),
        lambda f: f.send("authorizeUser", 1, f.user, "", 0, 0),
        lambda f: f.send("revokeUser", 1, f.owner),
        lambda f: f.send("recordEndOfLife", 1, end_of_life_step(1)),
        lambda f: f.send("approve", f.user, 1),
        lambda f: f.send("transferFrom", f.owner, f.user, 1),
        lambda f: [f.send("burn", f.mint()), f.send("burn", 1)],
        lambda f: [f.send("burn", f.mint()), f.send("provision", 1, 1, sender=f.maker)],
    ],
    "Disposed": [
        lambda f: f.send("resetDeviceAddress", disposed(f), OTHER_DEVICE, sender=f.maker),
        lambda f: f.send("recordInCircuitTest", disposed(f), report(), sender=f.maker),
        lambda f: f.send("recordMechanicalTest", disposed(f), report(), sender=f.maker),
        lambda f: f.send("recordQualityInspection", disposed(f), report(), sender=f.maker),
        lambda f: f.send("provision", disposed(f), 1, sender=f.maker),
        lambda f: f.send("authorizeUser", disposed(f), f.user, "", 0, 0),
        lambda f: f.send("factoryReset", disposed(f), 1, 0),
        lambda f: f.send("updateFirmware", disposed(f), "2.0.0", HASH, 0, 1),
        lambda f: f.send("recordEndOfLife", disposed(f), end_of_life_step(1)),
        lambda f: f.send("transferFrom", f.owner, f.user, disposed(f)),
    ],
    "NotPermitted": [
        lambda f: f.send("authorizeUser", f.mint(), f.user, "", 0, 0, sender=f.stranger),
        lambda f: f.send("authorizeUser", granted(f, 7), f.stranger, "", 0, 0, sender=f.user),
        lambda f: f.send("revokeUser", granted(f, 7), f.user, sender=f.stranger),
        lambda f: f.send("factoryReset", granted(f, 3), 1, 0, sender=f.user),
        lambda f: f.send("factoryReset", granted(f, 4, expires_at=1), 1, 0, sender=f.user),
        lambda f: f.send("updateFirmware", granted(f, 5), "2.0.0", HASH, 0, 1, sender=f.user),
        lambda f: f.send("updateFirmware", f.mint(), "2.0.0", HASH, 0, 1, sender=f.maker),
        lambda f: f.send("recordEndOfLife", granted(f, 15), end_of_life_step(1), sender=f.user),
    ],
    "NoSuchGrant": [
        lambda f: f.send("revokeUser", f.mint(), f.user),
        lambda f: f.send("revokeUser", f.mint(), f.user, sender=f.user),
        lambda f: [f.send("revokeUser", granted(f, 1), f.user), f.send("revokeUser", 1, f.user)],
    ],
    "NotOwner": [lambda f: f.send("transferFrom", f.user, f.stranger, f.mint())],
    "NotApproved": [
        lambda f: f.send("transferFrom", f.owner, f.user, f.mint(), sender=f.user),
        lambda f: f.send("approve", f.user, f.mint(), sender=f.user),
        lambda f: f.send("burn", f.mint(), sender=f.maker),
        lambda f: f.send("burn", granted(f, 15), sender=f.user),
    ],
}
ELSEWHERE = {"UnsafeRecipient"}  # tests/schema/contract/test_token.py: it needs contracts to receive


@pytest.mark.parametrize(
    ("error", "attempt"),
    [
        pytest.param(error, attempt, id=f"{error}-{number}")
        for error, attempts in REFUSALS.items()
        for number, attempt in enumerate(attempts, start=1)
    ],
)
def test_the_contract_refuses(factory: Factory, error: str, attempt: Callable[[Factory], object]) -> None:
    with pytest.raises(Refused) as refused:
        attempt(factory)
    assert refused.value.name == error


def test_a_refusal_names_what_it_is_about(factory: Factory) -> None:
    factory.mint()
    with pytest.raises(Refused) as refused:
        factory.mint(serial_number="OTHER")
    assert refused.value.arguments == (mint_request()[0], 1)


def test_a_pallet_with_one_bad_device_mints_none(factory: Factory) -> None:
    pallet = [mint_request(number=number) for number in (1, 2, 2, 3)]
    with pytest.raises(Refused):
        factory.send("mintBatch", 1, factory.owner, pallet, sender=factory.maker)
    assert factory.call("totalMinted") == 0


def test_every_error_of_the_contract_is_tried() -> None:
    declared = {entry["name"] for entry in certificate_abi() if entry["type"] == "error"}
    assert declared == set(REFUSALS) | ELSEWHERE


def disposed(factory: Factory) -> int:
    token = factory.mint()
    factory.send("recordEndOfLife", token, end_of_life_step(DISPOSED))
    return token


def granted(factory: Factory, permissions: int, expires_at: int = 0) -> int:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.user, "Fleet AG", permissions, expires_at)
    return token


def expire_manufacturer(factory: Factory) -> int:
    expiry = factory.chain.timestamp() + DAY
    renewal = license_of(factory, id=1, account=factory.maker, expires_at=expiry)
    factory.send("licenseManufacturer", *renewal, sender=factory.registrar)
    factory.chain.mine(timestamp=expiry)
    return expiry


def expire_hardware(factory: Factory) -> int:
    expiry = factory.chain.timestamp() + DAY
    factory.send("licenseHardware", *hardware_of(id=10, expires_at=expiry), sender=factory.registrar)
    factory.chain.mine(timestamp=expiry)
    return expiry
