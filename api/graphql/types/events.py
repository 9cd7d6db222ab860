"""The types of events, one for each fact, behind the interface `LifecycleEvent`.

A new fact needs a class of its name here or in `token_events`, an entry in that module's EVENT_TYPES or
TOKEN_EVENT_TYPES, and a description of its kind in `api/graphql/vocabulary/enums.py`.
"""

from datetime import datetime
from typing import assert_never

import strawberry

from api.graphql.types import token_events as tokens
from api.graphql.types.event_subjects import (
    LazyHardwareLicense,
    LazyManufacturer,
    hardware_license_of,
    manufacturer_if_any,
    manufacturer_of,
)
from api.graphql.types.identity import Imei, to_imei
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import derived, from_fact, resolved
from api.graphql.vocabulary.scalars import (
    INT32_MAX,
    Address,
    BigInt,
    Bytes32,
    date_time,
    to_address,
    to_big_int,
    to_bytes32,
    to_int32,
    to_text,
)
from api.queries.recorded import RecordedEvent
from api.queries.sql.as_of import Pin
from schema.events import FACT_TYPES, TestKind
from schema.profile.reader import DecodedLog, Mapped, Undecodable, Unmapped
from schema.vocabulary import EndOfLifeProcess, FactoryResetReason, FirmwareUpdateResult, Sanitization, code_of

EMITTER_TIME = "The time, according to the emitter. Null if it is not stated, or after the year 9999."
EMITTED_CODE = f"The number that the contract emitted; {INT32_MAX} stands for any larger number."
GRANT_SYSTEM = "The grant system as the profile names it: `contract`, `sacd`, `privilege:<number>`."


@strawberry.type(description="The certificate of a device was minted.")
class DeviceMinted(LifecycleEvent):
    address: Address | None = from_fact(
        "The address of the device itself. Null if the event does not state one.", to_address
    )
    manufacturer_id: BigInt | None = from_fact("The manufacturer id. Null if the event does not state one.", to_big_int)
    hardware_license_id: BigInt | None = from_fact(
        "The number of the Hardware Device License. Null if the event does not state one.", to_big_int
    )
    serial_number: str | None = from_fact(
        "The serial number as the manufacturer wrote it. Null if it is empty or not stated.", to_text
    )
    imei: Imei | None = from_fact(
        "The IMEI as the manufacturer wrote it, valid or not. Null if it is empty or not stated.", to_imei
    )
    manufactured_at: datetime | None = from_fact(
        "The manufacturing date. Null if the event does not state one, or states one after the year 9999.", date_time
    )
    firmware_version: str | None = from_fact(
        "The initial firmware version. Null if it is empty or not stated.", to_text
    )


@strawberry.type(description="The certificate was transferred. Transfers alone set the owner.")
class DeviceTransferred(LifecycleEvent):
    sender: Address = from_fact("The previous owner; the zero address in a mint.", Address)
    recipient: Address = from_fact("The new owner; the zero address in a burn.", Address)


@strawberry.type(description="An attribute of the device was corrected or set.")
class DeviceAttributeSet(LifecycleEvent):
    attribute: str = from_fact(
        "The name of the attribute. serialNumber, imei, devEUI, hardwareRevision and manufacturedAt "
        "correct that field; any other name is a free attribute.",
        str,
    )
    value: str = from_fact("The new value. An empty text clears the attribute.", str)


@strawberry.type(description="The device changed its address.")
class DeviceAddressReset(LifecycleEvent):
    address: Address = from_fact("The new address.", Address)


@strawberry.type(description="The result of a factory test or inspection was recorded.")
class TestRecorded(LifecycleEvent):
    __test__ = False  # not a test class for pytest

    test_kind: TestKind = from_fact("The kind of test.", TestKind, source="kind")
    passed: bool = from_fact("Whether the device passed.", bool)
    tested_at: datetime | None = from_fact(
        "The time of the test, according to its emitter. Null if it is not stated, or after the year 9999.", date_time
    )
    station: str | None = from_fact(
        "The test station, or the inspector of a quality inspection. Null if it is empty or not stated.", to_text
    )
    report_uri: str | None = from_fact(
        "The URI of the report. Null if it is empty or not stated.", to_text, name="reportURI"
    )
    report_hash: Bytes32 | None = from_fact("The hash of the report. Null if it is not stated.", to_bytes32)


@strawberry.type(description="The device was provisioned: it received its credentials and configuration.")
class DeviceProvisioned(LifecycleEvent):
    provisioned_at: datetime | None = from_fact(EMITTER_TIME, date_time)


@strawberry.type(description="A user was granted access to the device.")
class UserAuthorized(LifecycleEvent):
    user: Address = from_fact("The user that may access and manage the device.", Address)
    organization: str | None = from_fact(
        "The organization as the grantor wrote it. It is not verified and identifies nobody. Null if it "
        "is empty or not stated.",
        to_text,
    )
    permissions: BigInt | None = from_fact(
        "The permissions as the contract emitted them, a set of bits. Null if the contract does not carry them.",
        to_big_int,
    )
    expires_at: datetime | None = derived(
        "The expiry as the contract emitted it. Null if it is not stated, 0, or after the year 9999. "
        "`Authorization.expiresAt` is the expiry that applies.",
        lambda event: date_time(event.fact.expires_at or None),
    )
    source: str = derived(GRANT_SYSTEM, lambda event: grant_source(event.fact.source, event.fact.scope))


@strawberry.type(description="A grant of a user was revoked.")
class UserRevoked(LifecycleEvent):
    user: Address = from_fact("The user whose grant was revoked.", Address)
    source: str = derived(GRANT_SYSTEM, lambda event: grant_source(event.fact.source, event.fact.scope))


@strawberry.type(description="The device was reset to its factory state.")
class FactoryReset(LifecycleEvent):
    initiator: Address | None = from_fact("The account that reset the device. Null if it is not stated.", to_address)
    reset_at: datetime | None = from_fact(EMITTER_TIME, date_time)
    reason: FactoryResetReason | None = derived(
        "The reason for the reset. Null if the contract does not state one.",
        lambda event: None if event.fact.reason is None else code_of(FactoryResetReason, event.fact.reason),
    )
    reason_code: int | None = from_fact(EMITTED_CODE, to_int32, source="reason")
    address: Address | None = from_fact(
        "The new address of the device. Null if the reset does not set one.", to_address
    )


@strawberry.type(description="A firmware update over the air was attempted.")
class FirmwareUpdated(LifecycleEvent):
    to_version: str = from_fact("The version that was to be installed.", str)
    from_version: str | None = from_fact("The version before the update. Null if it is empty or not stated.", to_text)
    image_hash: Bytes32 | None = from_fact("The hash of the firmware image. Null if it is not stated.", to_bytes32)
    result: FirmwareUpdateResult | None = derived(
        "The result of the update. Null if the contract does not state one; the update then counts as SUCCEEDED.",
        lambda event: None if event.fact.result is None else code_of(FirmwareUpdateResult, event.fact.result),
    )
    result_code: int | None = from_fact(EMITTED_CODE, to_int32, source="result")
    applied_at: datetime | None = from_fact(EMITTER_TIME, date_time)


@strawberry.type(description="A step of the end of life of the device was recorded.")
class EndOfLifeRecorded(LifecycleEvent):
    process: EndOfLifeProcess = derived("The step.", lambda event: code_of(EndOfLifeProcess, event.fact.process))
    process_code: int = derived(EMITTED_CODE, lambda event: min(event.fact.process, INT32_MAX))
    occurred_at: datetime | None = from_fact(EMITTER_TIME, date_time)
    facility: str | None = from_fact("The facility that took the step. Null if it is empty or not stated.", to_text)
    sanitization: Sanitization | None = derived(
        "The sanitization of the data on the device. Null if it is not stated.",
        lambda event: None if event.fact.sanitization is None else code_of(Sanitization, event.fact.sanitization),
    )
    sanitization_code: int | None = from_fact(EMITTED_CODE, to_int32, source="sanitization")
    evidence_uri: str | None = from_fact(
        "The URI of the evidence. Null if it is empty or not stated.", to_text, name="evidenceURI"
    )
    evidence_hash: Bytes32 | None = from_fact("The hash of the evidence. Null if it is not stated.", to_bytes32)


@strawberry.type(description="A manufacturer was granted a Manufacturing License, or its license was renewed.")
class ManufacturerLicensed(LifecycleEvent):
    account: Address | None = from_fact("The licensed account. Null if it is not stated.", to_address)
    name: str | None = from_fact("The name of the manufacturer. Null if it is empty or not stated.", to_text)
    license_uri: str | None = from_fact(
        "The URI of the license document. Null if it is empty or not stated.", to_text, name="licenseURI"
    )
    license_hash: Bytes32 | None = from_fact("The hash of the license document. Null if it is not stated.", to_bytes32)
    expires_at: datetime | None = derived(
        "The first instant at which the license is expired. Null if it never expires, or expires after the year 9999.",
        lambda event: date_time(event.fact.expires_at or None),
    )

    manufacturer: LazyManufacturer = resolved("The manufacturer that the license is for.", manufacturer_of)


@strawberry.type(description="The Manufacturing License of a manufacturer was revoked.")
class ManufacturerLicenseRevoked(LifecycleEvent):
    reason: str | None = from_fact("The reason as the registrar wrote it. Null if it is empty or not stated.", to_text)

    manufacturer: LazyManufacturer = resolved("The manufacturer that the license is for.", manufacturer_of)


@strawberry.type(description="A Hardware Device License was granted or renewed.")
class HardwareLicensed(LifecycleEvent):
    model: str | None = from_fact("The licensed device model. Null if it is empty or not stated.", to_text)
    hardware_revision: str | None = from_fact(
        "The licensed hardware revision. Null if it is empty or not stated.", to_text
    )
    license_uri: str | None = from_fact(
        "The URI of the license document. Null if it is empty or not stated.", to_text, name="licenseURI"
    )
    license_hash: Bytes32 | None = from_fact("The hash of the license document. Null if it is not stated.", to_bytes32)
    expires_at: datetime | None = derived(
        "The first instant at which the license is expired. Null if it never expires, or expires after the year 9999.",
        lambda event: date_time(event.fact.expires_at or None),
    )

    hardware_license: LazyHardwareLicense = resolved("The hardware license.", hardware_license_of)

    manufacturer: LazyManufacturer | None = resolved(
        "The manufacturer that holds the hardware license. Null if the contract does not state it.", manufacturer_if_any
    )


@strawberry.type(description="A Hardware Device License was revoked.")
class HardwareLicenseRevoked(LifecycleEvent):
    reason: str | None = from_fact("The reason as the registrar wrote it. Null if it is empty or not stated.", to_text)

    hardware_license: LazyHardwareLicense = resolved("The hardware license.", hardware_license_of)


@strawberry.type(
    description="A log of a watched contract that a rule of the profile matches but whose bytes cannot be decoded. "
    "`raw` has the log."
)
class UndecodableEvent(LifecycleEvent):
    reason: str = derived("The reason, with the place in the data.", lambda event: event.reading.reason)


@strawberry.type(
    description="A log of a watched contract that no rule of the profile matches. `raw` has the log. Lists contain "
    "such events only if the filter names the kind UNMAPPED."
)
class UnmappedEvent(LifecycleEvent):
    pass


EVENT_TYPES: tuple[type[LifecycleEvent], ...] = (
    DeviceMinted,
    DeviceTransferred,
    DeviceAttributeSet,
    DeviceAddressReset,
    TestRecorded,
    DeviceProvisioned,
    UserAuthorized,
    UserRevoked,
    FactoryReset,
    FirmwareUpdated,
    EndOfLifeRecorded,
    ManufacturerLicensed,
    ManufacturerLicenseRevoked,
    HardwareLicensed,
    HardwareLicenseRevoked,
    *tokens.TOKEN_EVENT_TYPES,
    UndecodableEvent,
    UnmappedEvent,
)
"""For `Schema(types=...)`: no field has these types, only their interface."""


def to_event(row: RecordedEvent, reading: DecodedLog, pin: Pin) -> LifecycleEvent:
    """Returns the event of a log by its type. Objects below it are read at the pin."""
    return _type_of(reading)(row=row, reading=reading, pin=pin)


def _type_of(reading: DecodedLog) -> type[LifecycleEvent]:
    match reading:
        case Mapped():
            return TYPE_OF[type(reading.fact)]
        case Undecodable():
            return UndecodableEvent
        case Unmapped():
            return UnmappedEvent
        case _:
            assert_never(reading)


_NAMED = {type_.__name__: type_ for type_ in EVENT_TYPES}
TYPE_OF = {fact: _NAMED[name] for name, fact in FACT_TYPES.items()}
"""A fact and its event have the same name."""


def grant_source(source: str, scope: str) -> str:
    """Returns the name of a grant system with its scope, if it has one: `privilege:2`."""
    return f"{source}:{scope}" if scope else source
