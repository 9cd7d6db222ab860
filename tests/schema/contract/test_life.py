"""Each function of the certificate contract: the event that it emits and the state that it leaves."""

import pytest

from tests.support.chain.factory import DAY, HASH, ZERO_ADDRESS, Factory, end_of_life_step, mint_request, report

UPDATE_FIRMWARE, RESET, MANAGE_USERS = 2, 4, 8
DECOMMISSIONED, RECYCLED, DISPOSED = 1, 2, 3


def test_the_registrar_licenses_a_manufacturer(factory: Factory) -> None:
    receipt = factory.send(
        "licenseManufacturer", 2, factory.stranger, "Bolt", "ipfs://bolt", HASH, 2_000_000_000, sender=factory.registrar
    )
    assert factory.events(receipt) == [
        (
            "ManufacturerLicensed",
            {
                "manufacturerId": 2,
                "account": factory.stranger,
                "name": "Bolt",
                "licenseURI": "ipfs://bolt",
                "licenseHash": HASH,
                "expiresAt": 2_000_000_000,
            },
        )
    ]
    assert factory.read("manufacturer", 2) == {
        "account": factory.stranger,
        "expiresAt": 2_000_000_000,
        "granted": True,
        "revoked": False,
        "name": "Bolt",
        "licenseURI": "ipfs://bolt",
        "licenseHash": HASH,
    }
    assert factory.call("manufacturerOf", factory.stranger) == 2
    assert factory.call("registrar") == factory.registrar


def test_a_manufacturer_license_is_revoked_and_renewed_to_another_account(factory: Factory) -> None:
    receipt = factory.send("revokeManufacturerLicense", 1, "fraud", sender=factory.registrar)
    assert factory.events(receipt) == [("ManufacturerLicenseRevoked", {"manufacturerId": 1, "reason": "fraud"})]
    assert not factory.call("isManufacturerLicensed", 1)
    factory.send("licenseManufacturer", 1, factory.stranger, "Acme II", "", HASH, 0, sender=factory.registrar)
    assert factory.call("isManufacturerLicensed", 1)
    assert (factory.call("manufacturerOf", factory.maker), factory.call("manufacturerOf", factory.stranger)) == (0, 1)


def test_a_manufacturer_license_is_over_from_the_expiry_second_on(factory: Factory) -> None:
    expiry = factory.chain.timestamp() + DAY
    factory.send("licenseManufacturer", 1, factory.maker, "Acme", "", HASH, expiry, sender=factory.registrar)
    factory.chain.mine(timestamp=expiry - 1)
    assert factory.call("isManufacturerLicensed", 1)
    factory.chain.mine(timestamp=expiry)
    assert not factory.call("isManufacturerLicensed", 1)


def test_the_registrar_licenses_and_revokes_hardware(factory: Factory) -> None:
    licensed = factory.send("licenseHardware", 11, 1, "Hub", "C", "ipfs://hub", HASH, 0, sender=factory.registrar)
    assert factory.events(licensed) == [
        (
            "HardwareLicensed",
            {
                "hardwareLicenseId": 11,
                "manufacturerId": 1,
                "model": "Hub",
                "hardwareRevision": "C",
                "licenseURI": "ipfs://hub",
                "licenseHash": HASH,
                "expiresAt": 0,
            },
        )
    ]
    assert factory.call("isHardwareLicensed", 11)
    revoked = factory.send("revokeHardwareLicense", 11, "radio fault", sender=factory.registrar)
    assert factory.events(revoked) == [("HardwareLicenseRevoked", {"hardwareLicenseId": 11, "reason": "radio fault"})]
    assert not factory.call("isHardwareLicensed", 11)
    assert factory.read("hardwareLicense", 11) == {
        "manufacturerId": 1,
        "expiresAt": 0,
        "granted": True,
        "revoked": True,
        "model": "Hub",
        "hardwareRevision": "C",
        "licenseURI": "ipfs://hub",
        "licenseHash": HASH,
    }


def test_a_manufacturer_mints_a_device(factory: Factory) -> None:
    receipt = factory.send("mint", 1, factory.owner, mint_request(number=7), sender=factory.maker)
    device = mint_request(number=7)[0]
    assert factory.events(receipt) == [
        ("Transfer", {"from": ZERO_ADDRESS, "to": factory.owner, "tokenId": 1}),
        (
            "CertificateMinted",
            {
                "tokenId": 1,
                "device": device,
                "manufacturerId": 1,
                "hardwareLicenseId": 10,
                "serialNumber": "SN-000007",
                "imei": "490154203237518",
                "manufacturedAt": 1_700_000_000,
                "firmwareVersion": "1.0.0",
            },
        ),
    ]
    assert factory.read("certificate", 1) == {
        "device": device,
        "manufacturedAt": 1_700_000_000,
        "manufacturerId": 1,
        "hardwareLicenseId": 10,
        "serialNumber": "SN-000007",
        "imei": "490154203237518",
        "hardwareRevision": "",
        "initialFirmware": "1.0.0",
        "firmware": "1.0.0",
        "mintedAt": factory.chain.timestamp(),
        "provisionedAt": 0,
        "factoryResets": 0,
        "firmwareUpdates": 0,
        "endOfLife": 0,
    }
    assert (factory.call("ownerOf", 1), factory.call("tokenOf", device)) == (factory.owner, 1)


def test_a_pallet_is_minted_in_one_transaction_with_consecutive_tokens(factory: Factory) -> None:
    factory.mint(number=100)
    pallet = [mint_request(number=number) for number in range(1, 51)]
    receipt = factory.send("mintBatch", 1, factory.owner, pallet, sender=factory.maker)
    minted = [values["tokenId"] for name, values in factory.events(receipt) if name == "CertificateMinted"]
    assert minted == list(range(2, 52))
    assert (factory.call("totalMinted"), factory.call("balanceOf", factory.owner)) == (51, 51)


def test_devices_without_a_serial_number_stand_side_by_side(factory: Factory) -> None:
    assert [factory.mint(number=number, serial_number="") for number in (1, 2)] == [1, 2]


def test_two_manufacturers_use_the_same_serial_number(factory: Factory) -> None:
    factory.mint(number=1, serial_number="SAME")
    factory.send("licenseManufacturer", 2, factory.stranger, "Bolt", "", HASH, 0, sender=factory.registrar)
    factory.send("licenseHardware", 20, 2, "Lock", "A", "", HASH, 0, sender=factory.registrar)
    request = mint_request(number=2, serial_number="SAME", hardware_license_id=20)
    factory.send("mint", 2, factory.owner, request, sender=factory.stranger)
    assert factory.read("certificate", 2)["serialNumber"] == "SAME"


@pytest.mark.parametrize(
    ("attribute", "value", "field", "kept"),
    [
        ("serialNumber", "SN-NEW", "serialNumber", "SN-NEW"),
        ("imei", "not an imei", "imei", "not an imei"),
        ("hardwareRevision", "B2", "hardwareRevision", "B2"),
        ("manufacturedAt", "1650000000", "manufacturedAt", 1_650_000_000),
        ("manufacturedAt", "9999999999999999999", "manufacturedAt", 9_999_999_999_999_999_999),
    ],
)
def test_a_correction_replaces_the_value_of_the_mint(
    factory: Factory, attribute: str, value: str, field: str, kept: str | int
) -> None:
    token = factory.mint()
    receipt = factory.send("correct", token, attribute, value, sender=factory.maker)
    assert factory.events(receipt) == [
        ("CertificateCorrected", {"tokenId": token, "attribute": attribute, "value": value})
    ]
    assert factory.read("certificate", token)[field] == kept


def test_a_corrected_serial_number_leaves_the_old_one_free(factory: Factory) -> None:
    token = factory.mint(number=1)
    factory.send("correct", token, "serialNumber", "SN-NEW", sender=factory.maker)
    assert factory.mint(number=2, serial_number="SN-000001") == 2


def test_an_attribute_of_any_name_is_kept(factory: Factory) -> None:
    token = factory.mint()
    factory.send("correct", token, "enclosure colour", "grün", sender=factory.maker)
    assert factory.call("attributeOf", token, "enclosure colour") == "grün"
    assert factory.call("attributeOf", token, "never set") == ""


def test_a_device_gets_another_address_and_the_old_one_is_free(factory: Factory) -> None:
    token = factory.mint(number=1)
    old, new = mint_request(number=1)[0], mint_request(number=2)[0]
    receipt = factory.send("resetDeviceAddress", token, new, sender=factory.maker)
    assert factory.events(receipt) == [("DeviceAddressReset", {"tokenId": token, "device": new})]
    assert factory.read("certificate", token)["device"] == new
    assert (factory.call("tokenOf", old), factory.call("tokenOf", new)) == (0, token)


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize(
    ("function", "event", "instant", "by"),
    [
        ("recordInCircuitTest", "InCircuitTestRecorded", "testedAt", "station"),
        ("recordMechanicalTest", "MechanicalTestRecorded", "testedAt", "station"),
        ("recordQualityInspection", "QualityInspectionRecorded", "inspectedAt", "inspector"),
    ],
)
def test_a_test_is_recorded_as_the_station_reports_it(
    factory: Factory, function: str, event: str, instant: str, by: str, passed: bool
) -> None:
    token = factory.mint()
    receipt = factory.send(function, token, report(passed), sender=factory.maker)
    values = {"tokenId": token, "passed": passed, instant: 1_700_000_100, by: "station 7"}
    assert factory.events(receipt) == [(event, values | {"reportURI": "ipfs://report", "reportHash": HASH})]


def test_a_device_is_provisioned_even_without_an_inspection(factory: Factory) -> None:
    token = factory.mint()
    receipt = factory.send("provision", token, 1_700_000_150, sender=factory.maker)
    assert factory.events(receipt) == [("DeviceProvisioned", {"tokenId": token, "provisionedAt": 1_700_000_150})]
    assert factory.read("certificate", token)["provisionedAt"] == 1_700_000_150


def test_a_user_has_access_until_the_second_before_the_expiry(factory: Factory) -> None:
    token = factory.mint()
    expiry = factory.chain.timestamp() + DAY
    receipt = factory.send("authorizeUser", token, factory.user, "Fleet AG", RESET, expiry)
    granted = {"user": factory.user, "organization": "Fleet AG", "permissions": RESET, "expiresAt": expiry}
    assert factory.events(receipt) == [("UserAuthorized", {"tokenId": token} | granted)]
    factory.chain.mine(timestamp=expiry - 1)
    assert factory.call("isAuthorized", token, factory.user)
    factory.chain.mine(timestamp=expiry)
    assert not factory.call("isAuthorized", token, factory.user)
    assert factory.read("grantOf", token, factory.user)["open"]  # an expiry changes nothing that is kept


def test_a_second_grant_replaces_the_first_and_zero_never_expires(factory: Factory) -> None:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.user, "Fleet AG", RESET, 1)
    assert not factory.call("isAuthorized", token, factory.user)
    factory.send("authorizeUser", token, factory.user, "Fleet Ltd", MANAGE_USERS, 0)
    grant = {"open": True, "expiresAt": 0, "permissions": MANAGE_USERS, "organization": "Fleet Ltd"}
    assert factory.read("grantOf", token, factory.user) == grant
    assert factory.call("isAuthorized", token, factory.user)


def test_the_owner_a_manager_and_the_user_may_revoke(factory: Factory) -> None:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.stranger, "Managers", MANAGE_USERS, 0)
    for revoker in (factory.owner, factory.stranger, factory.user):
        factory.send("authorizeUser", token, factory.user, "Fleet AG", RESET, 0)
        receipt = factory.send("revokeUser", token, factory.user, sender=revoker)
        assert factory.events(receipt) == [("UserRevoked", {"tokenId": token, "user": factory.user})]
        assert not factory.call("isAuthorized", token, factory.user)


def test_the_owner_is_always_authorized_and_grants_outlive_a_transfer(factory: Factory) -> None:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.user, "Fleet AG", RESET, 0)
    factory.send("transferFrom", factory.owner, factory.stranger, token)
    access = [factory.call("isAuthorized", token, who) for who in (factory.owner, factory.stranger, factory.user)]
    assert access == [False, True, True]


def test_the_owner_and_an_authorized_user_reset_a_device(factory: Factory) -> None:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.user, "Fleet AG", RESET, 0)
    for number, initiator in enumerate((factory.owner, factory.user), start=1):
        receipt = factory.send("factoryReset", token, 1_700_000_160, 200, sender=initiator)
        values = {"tokenId": token, "initiator": initiator, "resetAt": 1_700_000_160, "reason": 200}
        assert factory.events(receipt) == [("FactoryReset", values)]
        assert factory.read("certificate", token)["factoryResets"] == number


def test_only_a_succeeded_update_changes_the_firmware(factory: Factory) -> None:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.user, "Fleet AG", UPDATE_FIRMWARE, 0)
    updates = [("2.9.0", 0, "1.0.0"), ("2.10.0", 1, "2.9.0"), ("2.10.0", 2, "2.9.0"), ("odd", 77, "2.9.0")]
    for to_version, result, from_version in updates:
        receipt = factory.send("updateFirmware", token, to_version, HASH, result, 1_700_000_170, sender=factory.user)
        ((_, values),) = factory.events(receipt)
        assert (values["fromVersion"], values["toVersion"]) == (from_version, to_version)
        assert (values["result"], values["imageHash"], values["appliedAt"]) == (result, HASH, 1_700_000_170)
        assert factory.read("certificate", token)["firmware"] == "2.9.0"
    certificate = factory.read("certificate", token)
    assert (certificate["firmwareUpdates"], certificate["initialFirmware"]) == (4, "1.0.0")


def test_the_end_of_life_is_the_furthest_step_by_the_owner_or_the_manufacturer(factory: Factory) -> None:
    token = factory.mint()
    steps = [
        (RECYCLED, factory.owner, RECYCLED),
        (DECOMMISSIONED, factory.maker, RECYCLED),
        (9, factory.owner, RECYCLED),
        (0, factory.owner, RECYCLED),
        (DISPOSED, factory.maker, DISPOSED),
    ]
    for process, sender, status in steps:
        receipt = factory.send("recordEndOfLife", token, end_of_life_step(process, 2), sender=sender)
        values = {"tokenId": token, "process": process, "occurredAt": 1_700_000_200, "facility": "plant 3"}
        evidence = {"sanitization": 2, "evidenceURI": "ipfs://evidence", "evidenceHash": HASH}
        assert factory.events(receipt) == [("EndOfLifeRecorded", values | evidence)]
        assert factory.call("endOfLifeOf", token) == status


def test_a_decommissioned_device_still_has_a_life(factory: Factory) -> None:
    token = factory.mint()
    factory.send("recordEndOfLife", token, end_of_life_step(DECOMMISSIONED))
    factory.send("updateFirmware", token, "2.0.0", HASH, 0, 1)
    factory.send("factoryReset", token, 1, 2)
    factory.send("transferFrom", factory.owner, factory.user, token)
    assert factory.call("ownerOf", token) == factory.user


def test_a_disposed_device_may_still_be_corrected_revoked_and_burned(factory: Factory) -> None:
    token = factory.mint()
    factory.send("authorizeUser", token, factory.user, "Fleet AG", RESET, 0)
    factory.send("recordEndOfLife", token, end_of_life_step(DISPOSED))
    factory.send("correct", token, "imei", "", sender=factory.maker)
    factory.send("revokeUser", token, factory.user)
    factory.send("burn", token)
    assert factory.read("certificate", token)["endOfLife"] == DISPOSED
