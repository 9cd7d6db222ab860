"""The twelve provenance checks over HTTP: each verdict with its reason and evidence."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy import event as hooks

from api.settings import Settings
from tests.support.api.server import CLIENT, serving
from tests.support.databases import NewDatabase
from tests.support.index.history import CHAIN_ID, CONTRACT, History, Log, block_time, log

MAKER, OWNER, ZERO = ("0x" + byte * 20 for byte in ("aa", "0e", "00"))
HASH = bytes(32)
IMEI, OTHER_IMEI = "356938035643809", "490154203237518"

LICENSE = log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, 0)
HARDWARE = log("HardwareLicensed", 10, 1, "Tracker", "B", "", HASH, 0)
RECYCLED, DISPOSED = 2, 3

Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def server(module_database_url: str) -> Iterator[tuple[str, str]]:
    """A database and the address of its server."""
    History(module_database_url, chain_id=1).close()
    with serving(Settings(database_url=module_database_url, cache_bytes=0)) as address:
        yield module_database_url, address


@pytest.fixture
def judge(server: tuple[str, str]) -> Judge:
    """Indexes a history, block by block, on a chain of its own, and returns the provenance of its token 1."""
    url, address = server

    def judge_history(check: str, *blocks: list[Log], whole: bool = True) -> dict[str, Any]:
        chain_id = next(CHAIN_IDS)
        history = History(url, chain_id=chain_id, whole=whole)
        for logs in blocks:
            history.block(*logs)
        history.engine.dispose()
        selection = f"{check} {{ verdict reason evidence {{ kind block {{ number }} }} }}"
        judgment: dict[str, Any] = ask(address, chain_id, selection)[check]
        judgment["evidence"] = [(event["kind"], int(event["block"]["number"])) for event in judgment["evidence"]]
        return judgment

    return judge_history


CHAIN_IDS = count(2)


def ask(address: str, chain_id: int, selection: str, point: str = "") -> dict[str, Any]:
    """Returns the provenance of token 1 of a chain."""
    device = f'tokenDID: "did:erc721:{chain_id}:0x{CONTRACT.hex()}:1"'
    query = f"{{ device(by: {{{device}}}{point}) {{ provenance {{ {selection} }} }} }}"
    answer = CLIENT.post(f"{address}/graphql", json={"query": query}).json()
    assert "errors" not in answer, answer
    provenance: dict[str, Any] = answer["data"]["device"]["provenance"]
    return provenance


def mint(
    token: int = 1, *, serial: str = "", imei: str = IMEI, device: str = "", maker: int = 1, license: int = 10
) -> Log:
    address = device or f"0x{token:040x}"
    return log(
        "CertificateMinted", token, address, maker, license, serial or f"SN-{token}", imei, 1_600_000_000, "1.0.0"
    )


def inspection(*, passed: bool) -> Log:
    return log("QualityInspectionRecorded", 1, passed, block_time(0), "Ann", "", HASH)


def end_of_life(process: int, sanitization: int) -> Log:
    return log("EndOfLifeRecorded", 1, process, block_time(0), "Plant", sanitization, "", HASH)


PROVISIONED = log("DeviceProvisioned", 1, block_time(0))


# Licenses at the mint


def test_a_license_that_was_valid_at_the_mint_passes_even_if_revoked_later(judge: Judge) -> None:
    revoked = [log("ManufacturerLicenseRevoked", 1, "fraud")]
    judgment = judge("manufacturerLicensedAtMint", [LICENSE, HARDWARE], [mint()], revoked)
    assert judgment == {
        "verdict": "PASS",
        "reason": "The manufacturer license was VALID at the mint in block 2.",
        "evidence": [("MANUFACTURER_LICENSED", 1), ("DEVICE_MINTED", 2)],
    }


def test_a_license_revoked_before_the_mint_fails_with_the_revocation_as_evidence(judge: Judge) -> None:
    revoked = [log("ManufacturerLicenseRevoked", 1, "fraud")]
    judgment = judge("manufacturerLicensedAtMint", [LICENSE, HARDWARE], revoked, [mint()])
    assert (judgment["verdict"], judgment["reason"]) == (
        "FAIL",
        "The manufacturer license was REVOKED at the mint in block 3.",
    )
    assert judgment["evidence"] == [
        ("MANUFACTURER_LICENSED", 1),
        ("MANUFACTURER_LICENSE_REVOKED", 2),
        ("DEVICE_MINTED", 3),
    ]


def test_an_expired_license_and_none_at_all_fail(judge: Judge) -> None:
    expired = log("ManufacturerLicensed", 1, MAKER, "Acme", "", HASH, block_time(2))
    assert "was EXPIRED at the mint" in judge("manufacturerLicensedAtMint", [expired], [mint()])["reason"]
    judgment = judge("manufacturerLicensedAtMint", [], [mint()])
    assert judgment == {
        "verdict": "FAIL",
        "reason": "There was no manufacturer license at the mint in block 2.",
        "evidence": [("DEVICE_MINTED", 2)],
    }


def test_what_rests_on_absence_is_unknown_where_the_history_is_not_whole(judge: Judge) -> None:
    judgment = judge("manufacturerLicensedAtMint", [], [mint()], whole=False)
    assert judgment["verdict"] == "UNKNOWN"
    assert judgment["reason"].startswith("The history is not complete")


def test_a_device_whose_mint_was_not_seen_is_unknown(judge: Judge) -> None:
    for check in ("manufacturerLicensedAtMint", "hardwareLicensedAtMint"):
        judgment = judge(check, [PROVISIONED])
        assert judgment == {"verdict": "UNKNOWN", "reason": "The mint of the device was not seen.", "evidence": []}


def test_a_hardware_license_passes_when_it_is_valid_and_the_manufacturers_own(judge: Judge) -> None:
    judgment = judge("hardwareLicensedAtMint", [LICENSE, HARDWARE], [mint()])
    assert judgment == {
        "verdict": "PASS",
        "reason": "The hardware license was VALID at the mint in block 2.",
        "evidence": [("HARDWARE_LICENSED", 1), ("DEVICE_MINTED", 2)],
    }


def test_a_hardware_license_of_another_manufacturer_fails(judge: Judge) -> None:
    of_another = log("HardwareLicensed", 10, 2, "Tracker", "B", "", HASH, 0)
    judgment = judge("hardwareLicensedAtMint", [LICENSE, of_another], [mint()])
    assert judgment["verdict"] == "FAIL"
    assert judgment["reason"] == "The hardware license did not belong to the manufacturer at the mint in block 2."


# IMEI, serial number, address


@pytest.mark.parametrize(
    ("imei", "verdict", "reason"),
    [
        (IMEI, "PASS", f'The IMEI "{IMEI}" has 15 digits with a correct check digit.'),
        ("356938035643808", "FAIL", 'The IMEI "356938035643808" does not have 15 digits with a correct check digit.'),
        (
            "9" * 200,
            "FAIL",
            f'The IMEI "{"9" * 60}..." (200 characters) does not have 15 digits with a correct check digit.',
        ),
        ("", "UNKNOWN", "No IMEI of the device is known."),
    ],
)
def test_an_imei_is_judged_by_its_digits(judge: Judge, imei: str, verdict: str, reason: str) -> None:
    judgment = judge("imeiValid", [mint(imei=imei)])
    assert judgment == {"verdict": verdict, "reason": reason, "evidence": [("DEVICE_MINTED", 1)]}


def test_a_corrected_imei_rests_on_the_correction(judge: Judge) -> None:
    correction = log("CertificateCorrected", 1, "imei", OTHER_IMEI)
    noise = log("CertificateCorrected", 1, "colour", "red")
    judgment = judge("imeiValid", [mint(imei="bad")], [correction], [noise])
    assert (judgment["verdict"], judgment["evidence"]) == ("PASS", [("DEVICE_ATTRIBUTE_SET", 2)])


def test_the_correction_is_found_under_any_number_of_later_ones(judge: Judge) -> None:
    noise = [log("CertificateCorrected", 1, "colour", str(number)) for number in range(120)]
    correction = log("CertificateCorrected", 1, "imei", OTHER_IMEI)
    assert judge("imeiValid", [mint(imei="bad")], [correction], noise)["evidence"] == [("DEVICE_ATTRIBUTE_SET", 2)]


def test_a_device_with_only_a_dev_eui_has_no_question_about_its_imei(judge: Judge) -> None:
    dev_eui = log("CertificateCorrected", 1, "devEUI", "0011223344556677")
    for check in ("imeiValid", "imeiUnique"):
        judgment = judge(check, [mint(imei="")], [dev_eui])
        assert judgment["verdict"] == "NOT_APPLICABLE"
        assert '"0011223344556677"' in judgment["reason"]
        assert judgment["evidence"] == [("DEVICE_ATTRIBUTE_SET", 2)]


def test_an_imei_is_unique_until_another_unburned_device_has_it(judge: Judge) -> None:
    spaced = "35 693803-564380-9"
    alone = judge("imeiUnique", [mint(1)], [mint(2, imei=OTHER_IMEI)])
    assert (alone["verdict"], alone["evidence"]) == ("PASS", [("DEVICE_MINTED", 1)])
    shared = judge("imeiUnique", [mint(1)], [mint(2, imei=spaced)])
    assert shared == {
        "verdict": "FAIL",
        "reason": f'Token 2 of the same contract, not burned, has the IMEI "{IMEI}".',
        "evidence": [("DEVICE_MINTED", 1), ("DEVICE_MINTED", 2)],
    }
    burned = log("Transfer", OWNER, ZERO, 2)
    assert judge("imeiUnique", [mint(1)], [mint(2, imei=spaced)], [burned])["verdict"] == "PASS"
    back = log("Transfer", ZERO, OWNER, 2)
    assert judge("imeiUnique", [mint(1)], [mint(2, imei=spaced)], [burned], [back])["verdict"] == "FAIL"


def test_evidence_is_at_most_ten_events_oldest_first(judge: Judge) -> None:
    judgment = judge("imeiUnique", *([mint(token)] for token in range(1, 13)))
    assert judgment["reason"].startswith("Each of the tokens 2, 3, 4 and others of the same contract, not burned, has")
    assert judgment["evidence"] == [("DEVICE_MINTED", block) for block in range(1, 11)]


def test_a_check_answers_as_of_a_block(new_database: NewDatabase) -> None:
    url = new_database()
    history = History(url)
    history.block(mint(1))
    history.block(mint(2))
    history.close()
    with serving(Settings(database_url=url)) as address:
        verdicts = [
            ask(address, CHAIN_ID, "imeiUnique { verdict }", f", asOf: {{block: {number}}}")["imeiUnique"]["verdict"]
            for number in (1, 2)
        ]
    assert verdicts == ["PASS", "FAIL"]


def test_a_serial_number_is_compared_within_its_manufacturer(judge: Judge) -> None:
    check = "serialUniqueForManufacturer"
    other_maker = judge(check, [mint(1, serial="A")], [mint(2, serial="A", maker=2)])
    assert other_maker["verdict"] == "PASS"
    same_maker = judge(check, [mint(1, serial="A")], [mint(2, serial="A")])
    assert same_maker["reason"] == 'Token 2 of the same manufacturer has the serial number "A".'
    assert same_maker["evidence"] == [("DEVICE_MINTED", 1), ("DEVICE_MINTED", 2)]
    long = judge(check, [mint(1, serial="A" * 200 + "1")], [mint(2, serial="A" * 200 + "2")])
    assert long["verdict"] == "PASS"
    cleared = [log("CertificateCorrected", 1, "serialNumber", "")]
    assert judge(check, [mint(1)], cleared)["reason"] == "The serial number is unknown."
    assert judge(check, [PROVISIONED], [log("CertificateCorrected", 1, "serialNumber", "A")])["reason"] == (
        "The manufacturer is unknown."
    )


def test_an_address_may_pass_from_one_device_to_another_but_not_be_held_by_two(judge: Judge) -> None:
    shared, fresh = "0x" + "cc" * 20, "0x" + "dd" * 20
    both = judge("addressUnique", [mint(1, device=shared)], [mint(2, device=shared)])
    assert both == {
        "verdict": "FAIL",
        "reason": "Token 2 held an address of this device at the same time.",
        "evidence": [("DEVICE_MINTED", 1), ("DEVICE_MINTED", 2)],
    }
    passed_on = [log("DeviceAddressReset", 1, fresh)]
    assert judge("addressUnique", [mint(1, device=shared)], passed_on, [mint(2, device=shared)])["verdict"] == "PASS"
    late = judge("addressUnique", [mint(1, device=shared)], [mint(2, device=shared)], passed_on)
    assert late["verdict"] == "FAIL"
    burned = [log("Transfer", OWNER, ZERO, 1)]
    assert judge("addressUnique", [mint(1, device=shared)], burned, [mint(2, device=shared)])["verdict"] == "PASS"
    unknown = judge("addressUnique", [PROVISIONED])
    assert unknown == {"verdict": "UNKNOWN", "reason": "No address of the device is known.", "evidence": []}


CHECKS = (
    "manufacturerLicensedAtMint",
    "hardwareLicensedAtMint",
    "imeiValid",
    "imeiUnique",
    "serialUniqueForManufacturer",
    "addressUnique",
    "inCircuitTestPassed",
    "mechanicalTestPassed",
    "qualityInspectionPassed",
    "provisionedAfterQuality",
    "noActivityAfterEndOfLife",
    "sanitizedBeforeDisposal",
)


def test_fifty_devices_cost_as_many_statements_as_five(database_url: str) -> None:
    history = History(database_url, chain_id=CHAIN_ID)
    history.block(LICENSE, HARDWARE)
    for token in range(1, 52):  # one more than is asked for: of the last page more is read
        # of three devices each, one shares its IMEI, one is provisioned, one has ended
        history.block(
            mint(token, imei=IMEI if token % 3 else OTHER_IMEI),
            *([log("DeviceProvisioned", token, 1)] if token % 3 == 1 else []),
            *([log("EndOfLifeRecorded", token, 3, 1, "", 1, "", HASH)] if token % 3 == 2 else []),
        )
    history.engine.dispose()

    def statements(address: str, devices: int, selection: str) -> int:
        counted: list[str] = []

        def count_one(*arguments: Any) -> None:
            counted.append(arguments[2])

        checks = " ".join(f"{check} {{ {selection} }}" for check in CHECKS)
        nodes = f"nodes {{ provenance {{ {checks} }} }}"
        query = f"{{ devices(first: {devices}) {{ {nodes} }} }}"
        CLIENT.post(f"{address}/graphql", json={"query": query}, timeout=60)  # from now on a plan answers
        hooks.listen(Engine, "before_cursor_execute", count_one)
        try:
            answer = CLIENT.post(f"{address}/graphql", json={"query": query}, timeout=60).json()
        finally:
            hooks.remove(Engine, "before_cursor_execute", count_one)
        assert len(answer["data"]["devices"]["nodes"]) == devices
        return len(counted)

    with serving(Settings(database_url=database_url, cache_bytes=0)) as address:
        statements(address, 1, "verdict")  # what is watched is read once
        for selection in ("verdict reason", "verdict evidence { id }"):
            assert statements(address, 50, selection) == statements(address, 5, selection) < 30


# Tests and provisioning


@pytest.mark.parametrize(
    ("check", "event", "name"),
    [
        ("inCircuitTestPassed", "InCircuitTestRecorded", "in-circuit test"),
        ("mechanicalTestPassed", "MechanicalTestRecorded", "mechanical test"),
        ("qualityInspectionPassed", "QualityInspectionRecorded", "quality inspection"),
    ],
)
def test_the_last_test_of_a_kind_decides(judge: Judge, check: str, event: str, name: str) -> None:
    results = {passed: log(event, 1, passed, block_time(0), "S1", "", HASH) for passed in (True, False)}
    none = judge(check, [mint()])
    assert none == {"verdict": "UNKNOWN", "reason": f"No {name} is recorded.", "evidence": []}
    failed = judge(check, [mint()], [results[True]], [results[False]])
    assert failed == {"verdict": "FAIL", "reason": f"The last {name} failed.", "evidence": [("TEST_RECORDED", 3)]}
    passed = judge(check, [mint()], [results[False]], [results[True]])
    assert passed == {"verdict": "PASS", "reason": f"The last {name} passed.", "evidence": [("TEST_RECORDED", 3)]}


def test_the_inspection_before_the_first_provisioning_decides(judge: Judge) -> None:
    check = "provisionedAfterQuality"
    good, bad = [inspection(passed=True)], [inspection(passed=False)]
    assert judge(check, [mint()], good) == {
        "verdict": "NOT_APPLICABLE",
        "reason": "The device is not provisioned.",
        "evidence": [],
    }
    assert judge(check, [mint()], bad, good, [PROVISIONED], bad, [PROVISIONED]) == {
        "verdict": "PASS",
        "reason": "The last quality inspection before the provisioning in block 4 passed.",
        "evidence": [("TEST_RECORDED", 3), ("DEVICE_PROVISIONED", 4)],
    }
    assert judge(check, [mint()], good, bad, [PROVISIONED], good) == {
        "verdict": "FAIL",
        "reason": "The last quality inspection before the provisioning in block 4 failed.",
        "evidence": [("TEST_RECORDED", 3), ("DEVICE_PROVISIONED", 4)],
    }
    assert judge(check, [mint()], [PROVISIONED], good) == {
        "verdict": "FAIL",
        "reason": "The first quality inspection came after the provisioning in block 2.",
        "evidence": [("DEVICE_PROVISIONED", 2), ("TEST_RECORDED", 3)],
    }
    assert judge(check, [mint()], [PROVISIONED]) == {
        "verdict": "UNKNOWN",
        "reason": "The device was provisioned in block 2, and no quality inspection is recorded.",
        "evidence": [("DEVICE_PROVISIONED", 2)],
    }


# The end of life


def test_activity_after_the_end_of_life_fails_with_what_came_after(judge: Judge) -> None:
    check = "noActivityAfterEndOfLife"
    assert judge(check, [mint()])["verdict"] == "NOT_APPLICABLE"
    ended, update = [end_of_life(1, 0)], [log("FirmwareUpdated", 1, "1.0.0", "1.1.0", HASH, 0, block_time(0))]
    assert judge(check, [mint()], update, ended) == {
        "verdict": "PASS",
        "reason": "The device is DECOMMISSIONED, and no later event contradicts this.",
        "evidence": [("END_OF_LIFE_RECORDED", 3)],
    }
    assert judge(check, [mint()], ended, update) == {
        "verdict": "FAIL",
        "reason": "The device is DECOMMISSIONED, but later events contradict this.",
        "evidence": [("END_OF_LIFE_RECORDED", 2), ("FIRMWARE_UPDATED", 3)],
    }


def test_a_burn_ends_a_life_too(judge: Judge) -> None:
    burned = [log("Transfer", OWNER, ZERO, 1)]
    judgment = judge("noActivityAfterEndOfLife", [mint(), log("Transfer", ZERO, OWNER, 1)], burned, [PROVISIONED])
    assert (judgment["verdict"], judgment["evidence"]) == (
        "FAIL",
        [("DEVICE_TRANSFERRED", 2), ("DEVICE_PROVISIONED", 3)],
    )


def test_sanitization_must_be_stated_by_the_first_recycling_or_disposal(judge: Judge) -> None:
    check = "sanitizedBeforeDisposal"
    assert judge(check, [mint()], [end_of_life(1, 2)])["verdict"] == "NOT_APPLICABLE"
    purged = judge(check, [mint()], [end_of_life(1, 2)], [end_of_life(RECYCLED, 0)], [end_of_life(DISPOSED, 3)])
    assert purged == {
        "verdict": "PASS",
        "reason": "A step at or before the first RECYCLED or DISPOSED states CLEAR, PURGE or DESTROY.",
        "evidence": [("END_OF_LIFE_RECORDED", 2), ("END_OF_LIFE_RECORDED", 3)],
    }
    too_late = judge(check, [mint()], [end_of_life(RECYCLED, 0)], [end_of_life(DISPOSED, 3)])
    assert (too_late["verdict"], too_late["evidence"]) == ("FAIL", [("END_OF_LIFE_RECORDED", 2)])
    unknown = judge(check, [mint()], [end_of_life(DISPOSED, 9)])
    assert unknown["verdict"] == "UNKNOWN"
    assert unknown["evidence"] == [("END_OF_LIFE_RECORDED", 2)]
