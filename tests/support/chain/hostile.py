"""Hostile values that real chains carry: the logs with each value, and the rows that must result.

The tests of the indexer and of the API share this list. A case is about device `TOKEN` unless it names another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from schema.events import Kind
from schema.tables.values import MAX_OFFSET, OPEN
from schema.vocabulary import EndOfLifeStatus, EventFlag, Verdict
from tests.support.chain.fakechain import CERTIFICATE, Log, emitted

TOKEN = 7
ALICE, BOB, CAROL = (bytes([byte]) * 20 for byte in (0xA1, 0xB0, 0xCA))
YEAR_10000 = 253_402_300_800
UINT64, UINT256 = 2**64 - 1, 2**256 - 1
LONG = "ä\U0001f600" * 16_667  # 100 kB of UTF-8
NOT_UTF8 = b"caf\xe9 \xc3(\xf0\x9f\x98"
MENDED = "caf\ufffd \ufffd(\ufffd"

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Hostile:
    """`holds`: the rows of each table in order of their key. Columns that are not named are not compared."""

    name: str
    logs: Sequence[Log]
    holds: Mapping[str, Rows]
    token: int = TOKEN
    after: int = 12
    """Seconds between the parent and the block of the logs."""
    also: Sequence[Sequence[Log]] = field(default=())
    """Logs of the following blocks."""


def minted(**changes: Any) -> list[Log]:
    """Returns the logs of a mint to Alice."""
    token = changes.get("tokenId", TOKEN)
    mint = {"tokenId": token, "device": ALICE, "serialNumber": "SN-7", "imei": "490154203237518"} | changes
    return [emitted("Transfer", to=ALICE, tokenId=token), emitted("CertificateMinted", **mint)]


def with_bytes(log: Log, text: str, raw: bytes) -> Log:
    """Returns the log with a text replaced by other bytes of the same length."""
    old = text.encode()
    assert len(old) == len(raw)
    assert log.data.count(old) == 1
    return replace(log, data=log.data.replace(old, raw))


def with_word(log: Log, index: int, word: int) -> Log:
    """Returns the log with one 32-byte word of its data replaced."""
    return replace(log, data=log.data[: 32 * index] + word.to_bytes(32, "big") + log.data[32 * index + 32 :])


def with_topic(log: Log, index: int, topic: bytes) -> Log:
    return replace(log, topics=log.topics[: 32 * index] + topic + log.topics[32 * index + 32 :])


def overlapping(log: Log) -> Log:
    """Returns a correction whose two texts share the same bytes of the data."""
    text = encode(["string"], ["serialNumber"])[32:]
    return replace(log, data=(64).to_bytes(32, "big") * 2 + text)


def undecodable(*logs: Log) -> dict[str, Rows]:
    """Returns the rows for logs that cannot be decoded: raw events and no device."""
    return {
        "event": [row(log) | {"kind": Kind.UNDECODABLE, "device_id": None, "flags": 0} for log in logs],
        "device": [],
    }


def row(log: Log) -> dict[str, Any]:
    return {"topics": log.topics, "data": log.data, "address": CERTIFICATE}


CORRECTION = emitted("CertificateCorrected", tokenId=TOKEN, attribute="serialNumber", value="SN-8")
REPORT = emitted("InCircuitTestRecorded", tokenId=TOKEN, passed=True, testedAt=5, station="s", reportURI="u")
MINT = minted()[1]
ERC20_TRANSFER = Log(
    keccak(text="Transfer(address,address,uint256)") + encode(["address"], [ALICE]) + encode(["address"], [BOB]),
    encode(["uint256"], [TOKEN]),
)
WRONG_TOPICS = [
    ERC20_TRANSFER,
    replace(MINT, topics=MINT.topics[:32]),
    replace(CORRECTION, topics=CORRECTION.topics + bytes(32)),
]
TRUNCATED = [replace(CORRECTION, data=CORRECTION.data[:size]) for size in (0, 1, 31, 64, 100, 160, 191)]
BAD_OFFSETS = [
    with_word(CORRECTION, 0, 2**256 - 1),
    with_word(CORRECTION, 0, 2**255),
    with_word(CORRECTION, 1, 32),  # into the head
    with_word(CORRECTION, 1, len(CORRECTION.data)),
    with_word(CORRECTION, 2, UINT256),  # a length
    with_word(CORRECTION, 2, 2**63),
]
DIRTY_WORDS = [
    with_word(REPORT, 0, 2),  # a bool
    with_word(REPORT, 1, 2**64),  # a uint64
    with_topic(MINT, 2, b"\x01" * 32),  # an address
]

HOSTILE: tuple[Hostile, ...] = (
    Hostile(
        "seconds beyond the year 9999 and beyond int64",
        [
            *minted(manufacturedAt=UINT64),
            replace(REPORT, data=with_word(REPORT, 1, YEAR_10000).data),
            emitted("DeviceProvisioned", tokenId=TOKEN, provisionedAt=2**63),
            emitted("FactoryReset", tokenId=TOKEN, resetAt=2**63 - 1),
            emitted("EndOfLifeRecorded", tokenId=TOKEN, process=1, occurredAt=UINT64),
            emitted("ManufacturerLicensed", manufacturerId=1, expiresAt=UINT64),
        ],
        {
            "device_version": [{"manufactured_at": OPEN, "provisioned_at": OPEN, "end_of_life_at": OPEN}],
            "test_result": [{"tested_at": YEAR_10000}],
            "factory_reset": [{"reset_at": OPEN}],
            "end_of_life_step": [{"occurred_at": OPEN}],
            "event": [
                {"event_time": time, "flags": (EventFlag.TIME_IN_FUTURE if time else 0) | other}
                for time, other in (
                    (None, 0),
                    (OPEN, EventFlag.UNLICENSED),
                    (YEAR_10000, 0),
                    (OPEN, 0),
                    (OPEN, 0),
                    (OPEN, 0),
                    (None, 0),
                )
            ],
        },
    ),
    Hostile(
        "a token id of 78 digits",
        [*minted(tokenId=UINT256), emitted("DeviceProvisioned", tokenId=UINT256, provisionedAt=5)],
        {"device": [{"token_id": b"\xff" * 32}], "device_version": [{"owner": ALICE, "provisioned_at": 5}]},
        token=UINT256,
    ),
    Hostile(
        "a token id, a manufacturer and a license of zero",
        minted(tokenId=0, manufacturerId=0, hardwareLicenseId=0),
        {
            "device": [{"token_id": bytes(32)}],
            "manufacturer": [{"token_id": bytes(32)}],
            "hardware_license": [{"token_id": bytes(32)}],
            "device_version": [{"owner": ALICE}],
        },
        token=0,
    ),
    Hostile(
        "a manufacturer and a license of 78 digits",
        [
            emitted("ManufacturerLicensed", manufacturerId=UINT256, name="Acme"),
            emitted("HardwareLicensed", hardwareLicenseId=UINT256, manufacturerId=UINT256, model="Tracker"),
            *minted(manufacturerId=UINT256, hardwareLicenseId=UINT256),
        ],
        {
            "manufacturer": [{"token_id": b"\xff" * 32}],
            "hardware_license": [{"token_id": b"\xff" * 32}],
            "device_version": [{"hardware_licensed_at_mint": Verdict.PASS}],
        },
    ),
    Hostile(
        "texts with NUL",
        [
            *minted(serialNumber="SN\0-1", imei="\0", firmwareVersion="1.0.0\0"),
            emitted("UserAuthorized", tokenId=TOKEN, user=BOB, organization="\0Depot"),
            emitted("CertificateCorrected", tokenId=TOKEN, attribute="col\0our", value="r\0d"),
            emitted("ManufacturerLicensed", manufacturerId=1, name="Ac\0me"),
        ],
        {
            "device_version": [
                {
                    "serial_number": "SN\ufffd-1",
                    "serial_number_key": "SN\ufffd-1",
                    "imei": "\ufffd",
                    "imei_valid": Verdict.FAIL,
                    "initial_firmware": "1.0.0\ufffd",
                    "initial_version_key": "",
                }
            ],
            "authorization": [{"organization": "\ufffdDepot"}],
            "device_attribute": [{"name": "col\ufffdour", "value": "r\ufffdd"}],
        },
    ),
    Hostile(
        "texts that are not UTF-8",
        [
            *minted()[:1],
            with_bytes(minted(serialNumber="x" * len(NOT_UTF8))[1], "x" * len(NOT_UTF8), NOT_UTF8),
            with_bytes(emitted("UserAuthorized", tokenId=TOKEN, user=BOB, organization="x!"), "x!", b"\xff\xfe"),
        ],
        {
            "device_version": [{"serial_number": MENDED}],
            "authorization": [{"organization": "\ufffd\ufffd"}],
        },
    ),
    Hostile(
        "texts of 100 kB",
        [
            *minted(serialNumber=LONG, imei=LONG, firmwareVersion=LONG),
            emitted("UserAuthorized", tokenId=TOKEN, user=BOB, organization=LONG),
            emitted("CertificateCorrected", tokenId=TOKEN, attribute=LONG, value=LONG),
            emitted("FirmwareUpdated", tokenId=TOKEN, fromVersion=LONG, toVersion="1" * 100_000 + ".0.0"),
            emitted("QualityInspectionRecorded", tokenId=TOKEN, inspector=LONG, reportURI=LONG),
            emitted("EndOfLifeRecorded", tokenId=TOKEN, process=1, facility=LONG, evidenceURI=LONG),
            emitted("ManufacturerLicensed", manufacturerId=1, name=LONG, licenseURI=LONG),
            emitted("ManufacturerLicenseRevoked", manufacturerId=1, reason=LONG),
            emitted("HardwareLicensed", hardwareLicenseId=1, model=LONG, hardwareRevision=LONG, licenseURI=LONG),
            emitted("HardwareLicenseRevoked", hardwareLicenseId=1, reason=LONG),
        ],
        {
            "device_version": [
                {
                    "serial_number": LONG,
                    "serial_number_key": LONG[:128],
                    "imei": LONG,
                    "imei_key": LONG[:128],
                    "initial_firmware": LONG,
                    "initial_version_key": "",
                    "facility": LONG,
                }
            ],
            "device_activity": [{"firmware": "1" * 100_000 + ".0.0", "firmware_version_key": ""}],
            "device_attribute": [{"name": LONG, "name_key": LONG[:128], "value": LONG}],
            "authorization": [{"organization": LONG, "organization_key": LONG[:128]}],
            "test_result": [{"station": LONG, "report_uri": LONG}],
        },
    ),
    Hostile("data cut short", TRUNCATED, undecodable(*TRUNCATED)),
    Hostile("offsets and lengths that point outside", BAD_OFFSETS, undecodable(*BAD_OFFSETS)),
    Hostile("words with bits where none may be", DIRTY_WORDS, undecodable(*DIRTY_WORDS)),
    Hostile(
        "texts that overlap",
        [overlapping(CORRECTION)],
        {
            "event": [{"kind": Kind.DEVICE_ATTRIBUTE_SET, "flags": EventFlag.BEFORE_MINT}],
            "device_version": [{"serial_number": "serialNumber"}],
        },
    ),
    Hostile(
        "a wrong number of topics",
        WRONG_TOPICS,
        undecodable(*WRONG_TOPICS),
    ),
    Hostile(
        "logs that no rule claims, one without topics",
        [Log(b"", b"\x01" * 100), Log(b"", b""), Log(b"\xfe" * 32, b""), emitted("Approval", owner=ALICE, tokenId=7)],
        {"event": 4 * [{"kind": Kind.UNMAPPED, "device_id": None, "flags": 0}], "device": []},
    ),
    Hostile(
        "an empty IMEI and an empty serial number",
        minted(imei="", serialNumber="", firmwareVersion=""),
        {
            "device_version": [
                {
                    "imei": None,
                    "imei_key": "",
                    "imei_valid": Verdict.UNKNOWN,
                    "serial_number": None,
                    "initial_firmware": None,
                }
            ]
        },
    ),
    Hostile(
        "a device minted twice",
        [*minted(serialNumber="first"), *minted(serialNumber="second", imei="")],
        {
            "device": [{}],
            "device_version": [{"serial_number": "second", "imei": None}],
            "event": [
                {"flags": 0},
                {"flags": EventFlag.UNLICENSED},
                {"flags": EventFlag.WRONG_SENDER},
                {"flags": EventFlag.UNLICENSED | EventFlag.DUPLICATE_MINT},
            ],
        },
    ),
    Hostile(
        "a transfer by somebody who is not the owner",
        [*minted(), emitted("Transfer", **{"from": CAROL}, to=BOB, tokenId=TOKEN)],
        {
            "device_version": [{"owner": BOB}],
            "transfer": [{"recipient": ALICE}, {"sender": CAROL, "recipient": BOB}],
            "event": [{}, {}, {"flags": EventFlag.WRONG_SENDER}],
        },
    ),
    Hostile(
        "events before the mint",
        [
            emitted("FirmwareUpdated", tokenId=TOKEN, toVersion="2.0.0"),
            emitted("UserRevoked", tokenId=TOKEN, user=BOB),
            emitted("Transfer", **{"from": ALICE}, tokenId=TOKEN),
        ],
        {
            "device": [{}],
            "event": [*3 * [{"flags": EventFlag.BEFORE_MINT}], {}, {}],
            "device_version": [{"burn_position": (1 << 20) + 2}, {"owner": ALICE, "serial_number": "SN-7"}],
            "device_activity": [{}, {"firmware": "2.0.0"}],
        },
        also=[minted()],
    ),
    Hostile(
        "events of one block that contradict",
        [
            *minted(),
            emitted("EndOfLifeRecorded", tokenId=TOKEN, process=3, sanitization=0),
            emitted("EndOfLifeRecorded", tokenId=TOKEN, process=1, sanitization=3),
            emitted("FirmwareUpdated", tokenId=TOKEN, toVersion="9.0.0"),
            emitted("UserAuthorized", tokenId=TOKEN, user=BOB, organization="first"),
            emitted("UserRevoked", tokenId=TOKEN, user=BOB),
            emitted("UserAuthorized", tokenId=TOKEN, user=BOB, organization="second"),
            emitted("CertificateCorrected", tokenId=TOKEN, attribute="serialNumber", value="A"),
            emitted("CertificateCorrected", tokenId=TOKEN, attribute="serialNumber", value="B"),
        ],
        {
            "device_version": [
                {
                    "serial_number": "B",
                    "end_of_life_status": EndOfLifeStatus.DISPOSED,
                    "sanitization": 3,
                    "sanitized_before_disposal": Verdict.FAIL,
                }
            ],
            "device_activity": [{"firmware": "9.0.0", "active_after_end_of_life": 1}],
            "authorization": [{"organization": "first"}, {"organization": "second", "valid_to": OPEN}],
        },
    ),
    Hostile(
        "codes that nobody knows",
        [
            *minted(),
            emitted("FactoryReset", tokenId=TOKEN, reason=255),
            emitted("FirmwareUpdated", tokenId=TOKEN, toVersion="9.0.0", result=255),
            emitted("EndOfLifeRecorded", tokenId=TOKEN, process=255, sanitization=255),
        ],
        {
            "factory_reset": [{"reason": 255}],
            "firmware_update": [{"result": 255}],
            "end_of_life_step": [{"process": 255, "sanitization": 255}],
            "device_version": [{"end_of_life_status": EndOfLifeStatus.UNKNOWN, "sanitization": -1}],
            "device_activity": [{"firmware": None, "factory_reset_count": 1}],
            "event": [
                {},
                {},
                {"flags": EventFlag.UNKNOWN_CODE},
                {"flags": EventFlag.UNKNOWN_CODE},
                {"flags": EventFlag.UNKNOWN_CODE},
            ],
        },
    ),
    Hostile(
        "every permission, until the last second there is",
        [*minted(), emitted("UserAuthorized", tokenId=TOKEN, user=BOB, permissions=UINT256, expiresAt=UINT64)],
        {"authorization": [{"permissions": b"\xff" * 32, "expires_at": OPEN, "organization": None}]},
    ),
    Hostile(
        "a log with the highest index that has a position",
        [*minted(), replace(emitted("DeviceProvisioned", tokenId=TOKEN, provisionedAt=5), index=MAX_OFFSET)],
        {"event": [{}, {}, {"position": (1 << 20) + MAX_OFFSET}], "device_version": [{"provisioned_at": 5}]},
    ),
    Hostile(
        "log indexes near 2^32",
        [
            *minted(),
            replace(emitted("DeviceProvisioned", tokenId=TOKEN, provisionedAt=5), index=2**32 - 2),
            replace(emitted("FirmwareUpdated", tokenId=TOKEN, toVersion="2.0.0"), index=2**32 - 1),
        ],
        {
            "event": [
                {"position": 1 << 20, "wide_log_index": None},
                {"position": (1 << 20) + 1, "wide_log_index": None},
                {"position": (1 << 20) + MAX_OFFSET - 1, "wide_log_index": 2**32 - 2},
                {"position": (1 << 20) + MAX_OFFSET, "wide_log_index": 2**32 - 1},
            ],
            "device_version": [{"provisioned_at": 5}],
            "device_activity": [{"firmware": "2.0.0"}],
        },
    ),
    Hostile(
        "a log index that gives way to one that is too large, in a block before another",
        [
            *minted(),
            replace(emitted("DeviceProvisioned", tokenId=TOKEN, provisionedAt=5), index=MAX_OFFSET),
            replace(emitted("FirmwareUpdated", tokenId=TOKEN, toVersion="2.0.0"), index=2**63 - 1),
        ],
        {
            "event": [
                {},
                {},
                {"position": (1 << 20) + MAX_OFFSET - 1, "wide_log_index": MAX_OFFSET},
                {"position": (1 << 20) + MAX_OFFSET, "wide_log_index": 2**63 - 1},
                {"position": 2 << 20, "wide_log_index": None},
            ],
            "device_activity": [{"firmware": "2.0.0"}, {"firmware": "3.0.0"}],
        },
        also=[[emitted("FirmwareUpdated", tokenId=TOKEN, fromVersion="2.0.0", toVersion="3.0.0")]],
    ),
    Hostile(
        "a block time beyond int64",
        [*minted(), emitted("UserAuthorized", tokenId=TOKEN, user=BOB)],
        {
            "device_version": [{"minted_at": OPEN - 1}],
            "authorization": [{"granted_at": OPEN - 1, "expires_at": OPEN}],
        },
        after=UINT64 - 1_700_000_000,
    ),
    Hostile(
        "addresses of nobody",
        [
            *minted(device=bytes(20)),
            emitted("UserAuthorized", tokenId=TOKEN, user=bytes(20)),
            emitted("Transfer", tokenId=TOKEN),
            emitted("Transfer", tokenId=TOKEN),
        ],
        {
            "device_version": [{"address": None, "owner": None, "burn_position": (1 << 20) + 4}],
            "authorization": [{"user_address": bytes(20)}],
            "event": [{}, {}, {}, {"flags": EventFlag.WRONG_SENDER}, {}],
        },
    ),
)
