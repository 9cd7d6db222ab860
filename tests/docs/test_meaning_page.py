"""The tables of docs/how-it-works/meaning.md are the rules of the code."""

import re
from pathlib import Path
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from api.graphql.schema import sdl
from api.graphql.types.provenance import Provenance
from schema.events import (
    KIND_OF,
    ZERO_ADDRESS,
    Address,
    BeneficiarySet,
    DeviceAddressReset,
    DeviceAttributeSet,
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
    TestKind,
    TestRecorded,
)
from schema.vocabulary import EndOfLifeProcess

REPOSITORY = Path(__file__).resolve().parent.parent.parent
MEANING = (REPOSITORY / "docs" / "how-it-works" / "meaning.md").read_text()
ALICE = Address(b"a" * 20)


def rows(head: str) -> list[list[str]]:
    """Returns the cells of the table whose head begins with a word."""
    lines = MEANING[MEANING.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


EVENTS: dict[str, Fact] = {
    "DEVICE_MINTED": DeviceMinted(token_id=1),
    "DEVICE_TRANSFERRED": DeviceTransferred(token_id=1, sender=ZERO_ADDRESS, recipient=ALICE),
    "DEVICE_TRANSFERRED to the zero address": DeviceTransferred(token_id=1, sender=ALICE, recipient=ZERO_ADDRESS),
    "DEVICE_ATTRIBUTE_SET": DeviceAttributeSet(token_id=1, attribute="color", value="red"),
    "DEVICE_ADDRESS_RESET": DeviceAddressReset(token_id=1, address=ALICE),
    "TEST_RECORDED, passed": TestRecorded(token_id=1, kind=TestKind.QUALITY, passed=True),
    "TEST_RECORDED, failed": TestRecorded(token_id=1, kind=TestKind.QUALITY, passed=False),
    "DEVICE_PROVISIONED": DeviceProvisioned(token_id=1),
    "FACTORY_RESET": FactoryReset(token_id=1),
    "FIRMWARE_UPDATED": FirmwareUpdated(token_id=1, to_version="1.0.0"),
    **{
        f"END_OF_LIFE_RECORDED, {process.name}": EndOfLifeRecorded(token_id=1, process=process.value % 256)
        for process in sorted(EndOfLifeProcess, key=lambda process: process.value % 256)
    },
    "DEVICE_CLAIMED": DeviceClaimed(token_id=1),
    "DEVICE_UNCLAIMED": DeviceUnclaimed(token_id=1),
    "DEVICE_PAIRED": DevicePaired(token_id=1, vehicle_id=7),
    "DEVICE_PAIRED with vehicle 0": DevicePaired(token_id=1, vehicle_id=0),
    "DEVICE_UNPAIRED": DeviceUnpaired(token_id=1),
    "DEVICE_BURNED": DeviceBurned(token_id=1),
    "BENEFICIARY_SET": BeneficiarySet(token_id=1, beneficiary=ALICE),
}


def test_the_epcis_table_has_the_words_of_every_event() -> None:
    *listed, others = rows("event")
    assert listed == [[name, *words(fact)] for name, fact in EVENTS.items()]
    assert others == ["any other", "", "", ""]


def test_events_that_are_not_in_the_epcis_table_have_no_words() -> None:
    listed = {type(fact) for fact in EVENTS.values()}
    for fact_type in set(KIND_OF) - listed:
        assert words(any_fact(fact_type)) == ["", "", ""], fact_type
    assert {KIND_OF[fact_type].name for fact_type in listed} == {re.split(r",| ", name)[0] for name in EVENTS}


def test_every_check_of_provenance_is_explained() -> None:
    checks: Any = Provenance.__strawberry_definition__  # type: ignore[attr-defined]
    assert [row[0] for row in rows("check")] == [to_camel_case(field.python_name) for field in checks.fields]


def test_every_page_that_the_sdl_names_exists() -> None:
    pages = set(re.findall(r"[\w/.-]+\.md", sdl()))
    assert pages
    assert [page for page in pages if not (REPOSITORY / page).is_file()] == []


def words(fact: Fact) -> list[str]:
    """Returns the EPCIS words of a fact as the table has them."""
    return ["" if word is None else word.name for word in fact.epcis]


def any_fact(fact_type: type[Fact]) -> Fact:
    """Returns a fact of a type; its words depend on no field."""
    values: dict[str, Any] = dict.fromkeys(fact_type.__struct_fields__, 1)
    return fact_type(**values)
