"""The types of the history: how each recorded log is returned, whatever a chain may carry."""

from typing import Any

import pytest

from api.graphql.plan.fields import rule_of
from api.graphql.types.events import EndOfLifeRecorded
from api.settings import Settings
from schema.events import Address
from schema.events import EndOfLifeRecorded as Fact
from schema.profile.reader import Contracts, Mapped
from schema.tables.values import INT64_MAX
from schema.vocabulary import EndOfLifeProcess
from tests.support.api.server import CLIENT, serving
from tests.support.databases import NewDatabase
from tests.support.index.history import BEGAN, History, Log, block_time, log

MAKER, OWNER, ZERO = ("0x" + byte * 20 for byte in ("aa", "0e", "00"))
HASH = bytes(range(32))
HASH_HEX = f"0x{HASH.hex()}"
NOWHERE = bytes(32)
LATE = 2**64 - 1
EVERY_FACT = """
  __typename kind action bizStep disposition eventTime eventTimeSeconds
  ... on DeviceMinted {
    address manufacturerId hardwareLicenseId serialNumber imei { value valid tac } manufacturedAt firmwareVersion
  }
  ... on DeviceTransferred { sender recipient }
  ... on DeviceAttributeSet { attribute value }
  ... on DeviceAddressReset { newAddress: address }
  ... on TestRecorded { testKind passed testedAt station reportURI reportHash }
  ... on DeviceProvisioned { provisionedAt }
  ... on UserAuthorized { user organization permissions grantExpiresAt: expiresAt source }
  ... on UserRevoked { user source }
  ... on FactoryReset { initiator resetAt reason reasonCode }
  ... on FirmwareUpdated { toVersion fromVersion imageHash result resultCode appliedAt }
  ... on EndOfLifeRecorded {
    process processCode occurredAt facility sanitization sanitizationCode evidenceURI evidenceHash
  }
  ... on ManufacturerLicensed { manufacturer { tokenId } account name licenseURI licenseHash expiresAt }
  ... on ManufacturerLicenseRevoked { manufacturer { tokenId } revocation: reason }
  ... on HardwareLicensed {
    hardwareLicense { hardwareLicenseId } holder: manufacturer { tokenId }
    model hardwareRevision licenseURI licenseHash expiresAt
  }
  ... on HardwareLicenseRevoked { hardwareLicense { hardwareLicenseId } revocation: reason }
  ... on UndecodableEvent { why: reason }
"""


def read_events(url: str, *logs: Log) -> list[dict[str, Any]]:
    """Indexes the logs, one block each, and returns the events of the API."""
    history = History(url)
    for entry in logs:
        history.block(entry)
    history.close()
    query = f"{{ lifecycleEvents(first: 100) {{ nodes {{ {EVERY_FACT} }} }} }}"
    nodes: list[dict[str, Any]] = ask(url, query)["lifecycleEvents"]["nodes"]
    return nodes


def ask(url: str, query: str) -> dict[str, Any]:
    with serving(Settings(database_url=url)) as address:
        answer = CLIENT.post(f"{address}/graphql", json={"query": query}).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


def facts(node: dict[str, Any]) -> dict[str, Any]:
    """Returns what a type adds to the interface."""
    common = ("__typename", "kind", "action", "bizStep", "disposition", "eventTime", "eventTimeSeconds")
    return {name: value for name, value in node.items() if name not in common}


TIME = "2020-09-13T12:26:40Z"
SECONDS = 1_600_000_000
CASES: list[tuple[Log, str, tuple[str | None, str | None, str | None], str | None, dict[str, Any]]] = [
    (
        log("ManufacturerLicensed", 1, MAKER, "Acme", "ipfs://a", HASH, SECONDS),
        "ManufacturerLicensed",
        (None, None, None),
        None,
        {
            "manufacturer": {"tokenId": "1"},
            "account": "0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa",
            "name": "Acme",
            "licenseURI": "ipfs://a",
            "licenseHash": HASH_HEX,
            "expiresAt": TIME,
        },
    ),
    (
        log("HardwareLicensed", 10, 1, "Tracker", "B", "", NOWHERE, 0),
        "HardwareLicensed",
        (None, None, None),
        None,
        {
            "hardwareLicense": {"hardwareLicenseId": "10"},
            "holder": {"tokenId": "1"},
            "model": "Tracker",
            "hardwareRevision": "B",
            "licenseURI": None,
            "licenseHash": f"0x{'00' * 32}",
            "expiresAt": None,
        },
    ),
    (
        log("CertificateMinted", 2**256 - 1, MAKER, 1, 10, "SN", "356938035643809", SECONDS, "1.0.0"),
        "DeviceMinted",
        ("ADD", "commissioning", "active"),
        TIME,
        {
            "address": "0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa",
            "manufacturerId": "1",
            "hardwareLicenseId": "10",
            "serialNumber": "SN",
            "imei": {"value": "356938035643809", "valid": True, "tac": "35693803"},
            "manufacturedAt": TIME,
            "firmwareVersion": "1.0.0",
        },
    ),
    (
        log("Transfer", ZERO, MAKER, 7),
        "DeviceTransferred",
        ("OBSERVE", "other", None),
        None,
        {"sender": ZERO, "recipient": "0xaAaAaAaaAaAaAaaAaAAAAAAAAaaaAaAaAaaAaaAa"},
    ),
    (
        log("CertificateCorrected", 7, "imei", ""),
        "DeviceAttributeSet",
        ("OBSERVE", "other", None),
        None,
        {"attribute": "imei", "value": ""},
    ),
    (
        log("DeviceAddressReset", 7, ZERO),
        "DeviceAddressReset",
        ("OBSERVE", "other", None),
        None,
        {"newAddress": ZERO},
    ),
    (
        log("InCircuitTestRecorded", 7, True, SECONDS, "S1", "ipfs://r", HASH),
        "TestRecorded",
        ("OBSERVE", "inspecting", "conformant"),
        TIME,
        {
            "testKind": "IN_CIRCUIT",
            "passed": True,
            "testedAt": TIME,
            "station": "S1",
            "reportURI": "ipfs://r",
            "reportHash": HASH_HEX,
        },
    ),
    (
        log("QualityInspectionRecorded", 7, False, SECONDS, "", "", HASH),
        "TestRecorded",
        ("OBSERVE", "inspecting", "non_conformant"),
        TIME,
        {
            "testKind": "QUALITY",
            "passed": False,
            "testedAt": TIME,
            "station": None,
            "reportURI": None,
            "reportHash": HASH_HEX,
        },
    ),
    (
        log("DeviceProvisioned", 7, SECONDS),
        "DeviceProvisioned",
        ("OBSERVE", "other", "active"),
        TIME,
        {"provisionedAt": TIME},
    ),
    (
        log("UserAuthorized", 7, ZERO, "Fleet \0 Ltd", 2**256 - 1, 0),
        "UserAuthorized",
        (None, None, None),
        None,
        {
            "user": ZERO,
            "organization": "Fleet \ufffd Ltd",
            "permissions": str(2**256 - 1),
            "grantExpiresAt": None,
            "source": "contract",
        },
    ),
    (log("UserRevoked", 7, ZERO), "UserRevoked", (None, None, None), None, {"user": ZERO, "source": "contract"}),
    (
        log("FactoryReset", 7, ZERO, SECONDS, 200),
        "FactoryReset",
        ("OBSERVE", "other", None),
        TIME,
        {"initiator": ZERO, "resetAt": TIME, "reason": "UNKNOWN", "reasonCode": 200},
    ),
    (
        log("FirmwareUpdated", 7, "", "2.0.0", HASH, 2, SECONDS),
        "FirmwareUpdated",
        ("OBSERVE", "other", None),
        TIME,
        {
            "toVersion": "2.0.0",
            "fromVersion": None,
            "imageHash": HASH_HEX,
            "result": "ROLLED_BACK",
            "resultCode": 2,
            "appliedAt": TIME,
        },
    ),
    (
        log("EndOfLifeRecorded", 7, 3, SECONDS, "Plant", 0, "", HASH),
        "EndOfLifeRecorded",
        ("DELETE", "destroying", "destroyed"),
        TIME,
        {
            "process": "DISPOSED",
            "processCode": 3,
            "occurredAt": TIME,
            "facility": "Plant",
            "sanitization": "NONE",
            "sanitizationCode": 0,
            "evidenceURI": None,
            "evidenceHash": HASH_HEX,
        },
    ),
    (
        log("EndOfLifeRecorded", 7, 0, LATE, "", 255, "", HASH),
        "EndOfLifeRecorded",
        ("OBSERVE", "other", None),
        None,
        {
            "process": "UNKNOWN",
            "processCode": 0,
            "occurredAt": None,
            "facility": None,
            "sanitization": "UNKNOWN",
            "sanitizationCode": 255,
            "evidenceURI": None,
            "evidenceHash": HASH_HEX,
        },
    ),
    (
        log("ManufacturerLicenseRevoked", 1, ""),
        "ManufacturerLicenseRevoked",
        (None, None, None),
        None,
        {"manufacturer": {"tokenId": "1"}, "revocation": None},
    ),
    (
        log("HardwareLicenseRevoked", 10, "fraud"),
        "HardwareLicenseRevoked",
        (None, None, None),
        None,
        {"hardwareLicense": {"hardwareLicenseId": "10"}, "revocation": "fraud"},
    ),
]


def test_every_event_is_returned_as_its_type(new_database: NewDatabase) -> None:
    nodes = read_events(new_database(), *(case[0] for case in CASES))
    assert len(nodes) == len(CASES)
    for node, (_, typename, words, event_time, expected) in zip(nodes, CASES, strict=True):
        assert node["__typename"] == typename
        assert (node["action"], node["bizStep"], node["disposition"]) == words
        assert node["eventTime"] == event_time
        assert facts(node) == expected


def test_a_time_beyond_the_year_9999_is_null_and_its_seconds_stay_exact(new_database: NewDatabase) -> None:
    assert LATE > INT64_MAX
    last = 253_402_300_799
    nodes = read_events(
        new_database(), *(log("DeviceProvisioned", 7, seconds) for seconds in (last, last + 1, LATE, 0))
    )
    assert [(node["eventTime"], node["eventTimeSeconds"]) for node in nodes] == [
        ("9999-12-31T23:59:59Z", str(last)),
        (None, str(last + 1)),
        (None, str(LATE)),
        ("1970-01-01T00:00:00Z", "0"),
    ]


def test_a_log_that_does_not_fit_is_returned_with_the_reason_and_its_bytes(new_database: NewDatabase) -> None:
    topics, data = log("CertificateMinted", 7, MAKER, 1, 10, "SN", "", SECONDS, "1.0.0")
    (node,) = read_events(new_database(), (topics, data[:100]))
    assert (node["__typename"], node["kind"]) == ("UndecodableEvent", "UNDECODABLE")
    assert node["why"].startswith("CertificateMinted: ")
    assert node["eventTime"] is None


def test_a_log_that_no_rule_matches_is_returned_only_when_its_kind_is_requested(new_database: NewDatabase) -> None:
    url = new_database()
    assert read_events(url, (HASH, b"data")) == []
    fields = "__typename kind raw { topics data } device { id }"
    query = f"{{ lifecycleEvents(filterBy: {{kind: {{eq: UNMAPPED}}}}) {{ nodes {{ {fields} }} }} }}"
    assert ask(url, query)["lifecycleEvents"]["nodes"] == [
        {
            "__typename": "UnmappedEvent",
            "kind": "UNMAPPED",
            "raw": {"topics": [HASH_HEX], "data": "0x64617461"},
            "device": None,
        }
    ]


def test_every_event_names_its_place_in_the_chain(new_database: NewDatabase) -> None:
    url = new_database()
    history = History(url)
    mint = log("CertificateMinted", 7, MAKER, 1, 10, "SN", "", SECONDS, "1.0.0")
    history.block(level=2)
    history.block(mint, log("Transfer", ZERO, MAKER, 7), level=2)
    history.block(log("Transfer", OWNER, MAKER, 7), finalized=2, level=1)
    history.close()
    query = """{ lifecycleEvents { nodes {
        id recordTime transactionHash transactionIndex logIndex contract verification finality flags
        block { number hash timestamp chainId finality } device { tokenId } raw { topics data }
    } } }"""
    minted, _, transferred = ask(url, query)["lifecycleEvents"]["nodes"]
    assert minted["device"] == {"tokenId": "7"}
    assert minted["contract"] == "0x5FbDB2315678afecb367f032d93F642f64180aa3"
    assert minted["raw"]["topics"][0] == f"0x{mint[0][:32].hex()}"
    assert minted["raw"]["data"] == f"0x{mint[1].hex()}"
    assert minted["block"] == {
        "number": "2",
        "hash": f"0x{(2 << 32).to_bytes(32, 'big').hex()}",
        "timestamp": "2023-11-14T22:15:20Z",
        "chainId": "31337",
        "finality": "FINALIZED",
    }
    assert minted["recordTime"] == minted["block"]["timestamp"]
    assert (minted["verification"], minted["finality"]) == ("RECEIPTS", "FINALIZED")
    assert (transferred["verification"], transferred["finality"]) == ("BLOOM", "UNSAFE")
    assert (transferred["transactionIndex"], transferred["logIndex"]) == (0, 0)
    assert transferred["flags"] == ["WRONG_SENDER"]
    assert block_time(2) == BEGAN + 120
    for node in (minted, transferred):
        again = ask(
            url, f'{{ node(id: "{node["id"]}") {{ id ... on LifecycleEvent {{ transactionHash logIndex }} }} }}'
        )
        assert again["node"] == {name: node[name] for name in ("id", "transactionHash", "logIndex")}


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**255])
def test_a_code_that_graphql_cannot_count_is_returned_as_the_largest(number: int) -> None:
    contract = Address(bytes(20))
    reading = Mapped(Fact(token_id=1, process=number, sanitization=number), Contracts(*[contract] * 6))
    definition: Any = EndOfLifeRecorded
    rules = {field.python_name: rule_of(field) for field in definition.__strawberry_definition__.fields}
    codes = [rules[name].convert(reading) for name in ("process_code", "sanitization_code", "process")]  # type: ignore[misc]
    assert codes == [2**31 - 1, 2**31 - 1, EndOfLifeProcess.UNKNOWN]
