"""Codes, EPCIS terms, version keys and IMEIs."""

from itertools import zip_longest
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from schema.events import (
    CODE_FIELDS,
    KIND_OF,
    ZERO_ADDRESS,
    Address,
    BeneficiarySet,
    DeviceBurned,
    DeviceClaimed,
    DeviceMinted,
    DevicePaired,
    DeviceProvisioned,
    DeviceTransferred,
    DeviceUnclaimed,
    DeviceUnpaired,
    EndOfLifeRecorded,
    Fact,
    FactoryReset,
    FirmwareUpdated,
    Kind,
    LicenseMinted,
    Seconds,
    TestKind,
    TestRecorded,
    UserAuthorized,
    VehicleTransferred,
)
from schema.vocabulary import (
    BizStep,
    Code,
    Disposition,
    EndOfLifeProcess,
    EndOfLifeStatus,
    EpcisAction,
    EventFlag,
    FactoryResetReason,
    FirmwareUpdateResult,
    Sanitization,
    code_of,
    imei_key,
    imei_valid,
    known_code,
    version_key,
)


def snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


ALICE, BOB = Address(b"a" * 20), Address(b"b" * 20)


@pytest.mark.parametrize("codes", get_args(Code))
def test_every_number_outside_the_list_of_a_code_is_unknown(codes: type[FactoryResetReason]) -> None:
    listed = {member.value for member in codes if member.name != "UNKNOWN"}
    for number in range(-3, 300):
        assert known_code(codes, number) == (number in listed)
        assert (code_of(codes, number).name == "UNKNOWN") == (number not in listed)


def test_codes_carry_the_numbers_of_the_reference_contract() -> None:
    assert [code_of(FactoryResetReason, number).name for number in range(6)] == [
        "UNSPECIFIED",
        "USER_REQUEST",
        "OWNERSHIP_CHANGE",
        "SERVICE",
        "SECURITY",
        "UNKNOWN",
    ]
    assert [code_of(FirmwareUpdateResult, number).name for number in range(4)] == [
        "SUCCEEDED",
        "FAILED",
        "ROLLED_BACK",
        "UNKNOWN",
    ]
    assert [code_of(EndOfLifeProcess, number).name for number in range(5)] == [
        "UNKNOWN",
        "DECOMMISSIONED",
        "RECYCLED",
        "DISPOSED",
        "UNKNOWN",
    ]
    assert [code_of(Sanitization, number).name for number in range(5)] == [
        "NONE",
        "CLEAR",
        "PURGE",
        "DESTROY",
        "UNKNOWN",
    ]


def test_an_end_of_life_step_has_the_number_of_the_status_it_leads_to() -> None:
    assert {process.name: process.value for process in EndOfLifeProcess} == {
        status.name: status.value for status in EndOfLifeStatus if status is not EndOfLifeStatus.IN_SERVICE
    }


def test_each_flag_is_one_bit_of_its_own() -> None:
    assert sum(EventFlag) == (1 << len(EventFlag)) - 1


def test_every_fact_has_a_kind_of_its_name() -> None:
    assert set(KIND_OF.values()) == set(Kind) - {Kind.UNMAPPED, Kind.UNDECODABLE}
    assert all(kind.name == snake_case(fact_type.__name__).upper() for fact_type, kind in KIND_OF.items())


def test_a_code_is_a_field_that_names_its_enumeration() -> None:
    assert {fact_type: codes for fact_type, codes in CODE_FIELDS.items() if codes} == {
        FactoryReset: {"reason": FactoryResetReason},
        FirmwareUpdated: {"result": FirmwareUpdateResult},
        EndOfLifeRecorded: {"process": EndOfLifeProcess, "sanitization": Sanitization},
    }


WORDS = [
    (DeviceMinted(token_id=1), ("ADD", "commissioning", "active")),
    (TestRecorded(token_id=1, kind=TestKind.QUALITY, passed=True), ("OBSERVE", "inspecting", "conformant")),
    (TestRecorded(token_id=1, kind=TestKind.QUALITY, passed=False), ("OBSERVE", "inspecting", "non_conformant")),
    (DeviceProvisioned(token_id=1), ("OBSERVE", "other", "active")),
    (FirmwareUpdated(token_id=1, to_version="1.0.0"), ("OBSERVE", "other", None)),
    (DeviceTransferred(token_id=1, sender=ZERO_ADDRESS, recipient=ALICE), ("OBSERVE", "other", None)),
    (DeviceTransferred(token_id=1, sender=ALICE, recipient=BOB), ("OBSERVE", "other", None)),
    (DeviceTransferred(token_id=1, sender=ALICE, recipient=ZERO_ADDRESS), ("DELETE", "decommissioning", "inactive")),
    (EndOfLifeRecorded(token_id=1, process=1), ("OBSERVE", "decommissioning", "inactive")),
    (EndOfLifeRecorded(token_id=1, process=2), ("OBSERVE", "other", "disposed")),
    (EndOfLifeRecorded(token_id=1, process=3), ("DELETE", "destroying", "destroyed")),
    (EndOfLifeRecorded(token_id=1, process=4), ("OBSERVE", "other", None)),
    (UserAuthorized(token_id=1, user=ALICE), (None, None, None)),
    (DeviceClaimed(token_id=1), ("OBSERVE", "other", "active")),
    (DeviceUnclaimed(token_id=1), ("OBSERVE", "other", None)),
    (DevicePaired(token_id=1, vehicle_id=5), ("OBSERVE", "installing", "active")),
    (DevicePaired(token_id=1, vehicle_id=0), ("OBSERVE", "removing", "inactive")),
    (DeviceUnpaired(token_id=1), ("OBSERVE", "removing", "inactive")),
    (DeviceBurned(token_id=1), ("DELETE", "decommissioning", "inactive")),
    (BeneficiarySet(token_id=1, beneficiary=ALICE), ("OBSERVE", "other", None)),
    (LicenseMinted(license_id=1, account=ALICE), (None, None, None)),
    (VehicleTransferred(vehicle_id=1, sender=ALICE, recipient=BOB), (None, None, None)),
]


@pytest.mark.parametrize(("fact", "words"), WORDS)
def test_each_fact_has_its_epcis_words(fact: Fact, words: tuple[str | None, str | None, str | None]) -> None:
    assert tuple(word and word.name for word in fact.epcis) == words


def test_words_are_stored_as_numbers_and_found_by_their_names() -> None:
    assert BizStep["inspecting"] == 2
    assert Disposition["non_conformant"] == 4
    assert EpcisAction["OBSERVE"] == 2


def test_the_time_of_an_event_is_its_emitters() -> None:
    assert DeviceMinted(token_id=1, manufactured_at=Seconds(5)).event_time == 5
    assert FactoryReset(token_id=1, reset_at=Seconds(2**70)).event_time == 2**70
    assert FactoryReset(token_id=1).event_time is None
    assert UserAuthorized(token_id=1, user=ALICE, expires_at=Seconds(9)).event_time is None


def compare(left: str, right: str) -> int:
    """Compares two versions by semver.org 2.0.0, item 11, word by word."""
    (left_core, _, left_pre), (right_core, _, right_pre) = (
        version.removeprefix("v").split("+")[0].partition("-") for version in (left, right)
    )
    by_core = sign([int(n) for n in left_core.split(".")], [int(n) for n in right_core.split(".")])
    if by_core or left_pre == right_pre:
        return by_core
    if not left_pre or not right_pre:
        return 1 if not left_pre else -1
    for left_word, right_word in zip_longest(left_pre.split("."), right_pre.split(".")):
        if left_word is None or right_word is None:
            return -1 if left_word is None else 1
        if left_word == right_word:
            continue
        match left_word.isdigit(), right_word.isdigit():
            case True, True:
                return sign([int(left_word)], [int(right_word)])
            case True, False:
                return -1
            case False, True:
                return 1
            case _:
                return sign(list(left_word.encode()), list(right_word.encode()))
    return 0


def sign(left: list[int], right: list[int]) -> int:
    return (left > right) - (left < right)


numbers = st.one_of(st.integers(0, 12), st.integers(0, 10**30)).map(str)
words = st.text("ab01Z-", min_size=1, max_size=4).filter(lambda word: not word.isdigit())
versions = st.builds(
    lambda v, core, prerelease, build: (
        v + ".".join(core) + ("-" + ".".join(prerelease) if prerelease else "") + ("+" + build if build else "")
    ),
    st.sampled_from(["", "v"]),
    st.lists(numbers, min_size=3, max_size=3),
    st.lists(st.one_of(numbers, words), max_size=3),
    st.sampled_from(["", "5114f85", "a-b.00"]),
)


@given(versions, versions)
def test_version_keys_sort_as_semver_does(left: str, right: str) -> None:
    left_key, right_key = version_key(left), version_key(right)
    assert left_key
    assert right_key
    assert (left_key > right_key) - (left_key < right_key) == compare(left, right)


@given(st.lists(numbers, min_size=3, max_size=3), st.lists(st.one_of(numbers, words), min_size=1, max_size=3), words)
def test_neighbouring_prereleases_sort_as_semver_does(core: list[str], prerelease: list[str], word: str) -> None:
    version = f"{'.'.join(core)}-{'.'.join(prerelease)}"
    for neighbour in (f"{version}.{word}", f"{version}{word}", f"{version}.0", f"{version}-", ".".join(core)):
        assert compare(version, neighbour) == -1
        assert version_key(version) < version_key(neighbour)


def test_the_order_given_as_an_example_by_semver_holds() -> None:
    shuffled = SEMVER_EXAMPLE[1::2] + SEMVER_EXAMPLE[::2]
    assert sorted(shuffled, key=version_key) == SEMVER_EXAMPLE


SEMVER_EXAMPLE = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
    "2.9.0",
    "2.10.0",
]

NO_SEMVER = [
    *("", "latest", "1", "1.2", "1.2.3.4", "vv1.2.3", "-1.2.3", "1.2.-3", " 1.2.3", "1.2.3\n"),
    *("01.2.3", "1.02.3", "1.2.3-01", "1.2.3-", "1.2.3-a..b", "1.2.3-a_b", "1.2.3-ä", "1.2.3+", "1.2.3+a+b"),
    *("\N{ARABIC-INDIC DIGIT ONE}.2.3", "1.2.\N{SUPERSCRIPT THREE}", "1.2.3-" + "1" * 100_000 + "_"),
]


@pytest.mark.parametrize("text", NO_SEMVER)
def test_a_version_that_is_not_a_semver_has_no_key(text: str) -> None:
    assert version_key(text) == ""


def test_no_version_has_no_key() -> None:
    assert version_key(None) == ""


@given(st.text())
def test_any_text_has_a_key_or_none(text: str) -> None:
    assert version_key(text).isascii()


def test_an_imei_is_compared_without_spaces_and_hyphens() -> None:
    assert imei_key("49-015420-323751 8") == imei_key("490154203237518") == "490154203237518"


@given(st.text("0123456789", min_size=14, max_size=14))
def test_an_imei_is_valid_with_its_luhn_digit_alone(body: str) -> None:
    right = luhn.calc_check_digit(body)
    assert [digit for digit in "0123456789" if imei_valid(body + digit)] == [right]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "49015420323751",
        "4901542032375180",
        "49015420323751x",
        "\N{ARABIC-INDIC DIGIT FOUR}90154203237518",
        "490154203237518\n",
    ],
)
def test_an_imei_of_another_form_is_not_valid(text: str) -> None:
    assert not imei_valid(text)


def test_a_valid_imei_may_be_written_in_groups() -> None:
    assert imei_valid("49-015420-323751-8")
