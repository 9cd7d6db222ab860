"""The types of events, one for each fact, behind the interface `LifecycleEvent`.

A new fact needs a class of its name here or in `token_events`.
"""

from collections.abc import Callable
from datetime import datetime

import strawberry

from api.graphql.plan.fields import fact, value
from api.graphql.types import token_events as tokens
from api.graphql.types.event_subjects import LazyHardwareLicense, LazyManufacturer, subject, subject_if_any
from api.graphql.types.identity import Imei
from api.graphql.types.lifecycle_event import LifecycleEvent
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
from api.queries.licenses import HARDWARE_LICENSE, MANUFACTURER
from schema.events import FACT_TYPES, KIND_OF, Kind, TestKind
from schema.vocabulary import CodeT, EndOfLifeProcess, FactoryResetReason, FirmwareUpdateResult, Sanitization, code_of

EMITTER_TIME = "The time, according to the emitter. Null if it is not stated, or after the year 9999."
EMITTED_CODE = f"The number that the contract emitted; {INT32_MAX} stands for any larger number."


def _code(codes: type[CodeT]) -> Callable[[int | None], CodeT | None]:
    return lambda number: None if number is None else code_of(codes, number)


@strawberry.type(description="The certificate of a device was minted.")
class DeviceMinted(LifecycleEvent):
    address: Address | None = fact(
        "The address of the device itself. Null if the event does not state one.", to_address
    )
    manufacturer_id: BigInt | None = fact("The manufacturer id. Null if the event does not state one.", to_big_int)
    hardware_license_id: BigInt | None = fact(
        "The number of the Hardware Device License. Null if the event does not state one.", to_big_int
    )
    serial_number: str | None = fact(
        "The serial number as the manufacturer wrote it. Null if it is empty or not stated.", to_text
    )
    imei: Imei | None = fact(
        "The IMEI as the manufacturer wrote it, valid or not. Null if it is empty or not stated.", to_text
    )
    manufactured_at: datetime | None = fact(
        "The manufacturing date. Null if the event does not state one, or states one after the year 9999.", date_time
    )
    firmware_version: str | None = fact("The initial firmware version. Null if it is empty or not stated.", to_text)


@strawberry.type(description="The certificate was transferred. Transfers alone set the owner.")
class DeviceTransferred(LifecycleEvent):
    sender: Address = fact("The previous owner; the zero address in a mint.", Address)
    recipient: Address = fact("The new owner; the zero address in a burn.", Address)


@strawberry.type(description="An attribute of the device was corrected or set.")
class DeviceAttributeSet(LifecycleEvent):
    attribute: str = fact(
        "The name of the attribute. serialNumber, imei, devEUI, hardwareRevision and manufacturedAt "
        "correct that field; any other name is a free attribute.",
        str,
    )
    value: str = fact("The new value. An empty text clears the attribute.", str)


@strawberry.type(description="The device changed its address.")
class DeviceAddressReset(LifecycleEvent):
    address: Address = fact("The new address.", Address)


@strawberry.type(description="The result of a factory test or inspection was recorded.")
class TestRecorded(LifecycleEvent):
    __test__ = False  # not a test class for pytest

    test_kind: TestKind = fact("The kind of test.", TestKind, source="kind")
    passed: bool = fact("Whether the device passed.", bool)
    tested_at: datetime | None = fact(
        "The time of the test, according to its emitter. Null if it is not stated, or after the year 9999.", date_time
    )
    station: str | None = fact(
        "The test station, or the inspector of a quality inspection. Null if it is empty or not stated.", to_text
    )
    report_uri: str | None = fact(
        "The URI of the report. Null if it is empty or not stated.", to_text, name="reportURI"
    )
    report_hash: Bytes32 | None = fact("The hash of the report. Null if it is not stated.", to_bytes32)


@strawberry.type(description="The device was provisioned: it received its credentials and configuration.")
class DeviceProvisioned(LifecycleEvent):
    provisioned_at: datetime | None = fact(EMITTER_TIME, date_time)


@strawberry.type(description="A user was granted access to the device.")
class UserAuthorized(LifecycleEvent):
    user: Address = fact("The user that may access and manage the device.", Address)
    organization: str | None = fact(
        "The organization as the grantor wrote it. It is not verified. Null if it is empty or not stated.",
        to_text,
    )
    permissions: BigInt | None = fact(
        "The permissions as the contract emitted them, a set of bits. Null if the contract does not carry them.",
        to_big_int,
    )
    expires_at: datetime | None = fact(
        "The expiry as the contract emitted it. Null if it is not stated, 0, or after the year 9999. "
        "`Authorization.expiresAt` is the expiry that applies.",
        tokens.emitted_expiry,
    )
    source: str = value(tokens.GRANT_SYSTEM, tokens.grant_source, "reading")


@strawberry.type(description="A grant of a user was revoked.")
class UserRevoked(LifecycleEvent):
    user: Address = fact("The user whose grant was revoked.", Address)
    source: str = value(tokens.GRANT_SYSTEM, tokens.grant_source, "reading")


@strawberry.type(description="The device was reset to its factory state.")
class FactoryReset(LifecycleEvent):
    initiator: Address | None = fact("The account that reset the device. Null if it is not stated.", to_address)
    reset_at: datetime | None = fact(EMITTER_TIME, date_time)
    reason: FactoryResetReason | None = fact(
        "The reason for the reset. Null if the contract does not state one.", _code(FactoryResetReason)
    )
    reason_code: int | None = fact(EMITTED_CODE, to_int32, source="reason")
    address: Address | None = fact("The new address of the device. Null if the reset does not set one.", to_address)


@strawberry.type(description="A firmware update over the air was attempted.")
class FirmwareUpdated(LifecycleEvent):
    to_version: str = fact("The version that was to be installed.", str)
    from_version: str | None = fact("The version before the update. Null if it is empty or not stated.", to_text)
    image_hash: Bytes32 | None = fact("The hash of the firmware image. Null if it is not stated.", to_bytes32)
    result: FirmwareUpdateResult | None = fact(
        "The result of the update. Null if the contract does not state one; the update then counts as SUCCEEDED.",
        _code(FirmwareUpdateResult),
    )
    result_code: int | None = fact(EMITTED_CODE, to_int32, source="result")
    applied_at: datetime | None = fact(EMITTER_TIME, date_time)


@strawberry.type(description="A step of the end of life of the device was recorded.")
class EndOfLifeRecorded(LifecycleEvent):
    process: EndOfLifeProcess = fact("The step.", _code(EndOfLifeProcess))
    process_code: int = fact(EMITTED_CODE, to_int32, source="process")
    occurred_at: datetime | None = fact(EMITTER_TIME, date_time)
    facility: str | None = fact("The facility that took the step. Null if it is empty or not stated.", to_text)
    sanitization: Sanitization | None = fact(
        "The sanitization of the data on the device. Null if it is not stated.", _code(Sanitization)
    )
    sanitization_code: int | None = fact(EMITTED_CODE, to_int32, source="sanitization")
    evidence_uri: str | None = fact(
        "The URI of the evidence. Null if it is empty or not stated.", to_text, name="evidenceURI"
    )
    evidence_hash: Bytes32 | None = fact("The hash of the evidence. Null if it is not stated.", to_bytes32)


@strawberry.type(description="A manufacturer was granted a Manufacturing License, or its license was renewed.")
class ManufacturerLicensed(LifecycleEvent):
    account: Address | None = fact("The licensed account. Null if it is not stated.", to_address)
    name: str | None = fact("The name of the manufacturer. Null if it is empty or not stated.", to_text)
    license_uri: str | None = fact(
        "The URI of the license document. Null if it is empty or not stated.", to_text, name="licenseURI"
    )
    license_hash: Bytes32 | None = fact("The hash of the license document. Null if it is not stated.", to_bytes32)
    expires_at: datetime | None = fact(
        "The first instant at which the license is expired. Null if it never expires, or expires after the year 9999.",
        tokens.emitted_expiry,
    )

    manufacturer: LazyManufacturer = subject("The manufacturer that the license is for.", MANUFACTURER)


@strawberry.type(description="The Manufacturing License of a manufacturer was revoked.")
class ManufacturerLicenseRevoked(LifecycleEvent):
    reason: str | None = fact("The reason as the registrar wrote it. Null if it is empty or not stated.", to_text)

    manufacturer: LazyManufacturer = subject("The manufacturer that the license is for.", MANUFACTURER)


@strawberry.type(description="A Hardware Device License was granted or renewed.")
class HardwareLicensed(LifecycleEvent):
    model: str | None = fact("The licensed device model. Null if it is empty or not stated.", to_text)
    hardware_revision: str | None = fact("The licensed hardware revision. Null if it is empty or not stated.", to_text)
    license_uri: str | None = fact(
        "The URI of the license document. Null if it is empty or not stated.", to_text, name="licenseURI"
    )
    license_hash: Bytes32 | None = fact("The hash of the license document. Null if it is not stated.", to_bytes32)
    expires_at: datetime | None = fact(
        "The first instant at which the license is expired. Null if it never expires, or expires after the year 9999.",
        tokens.emitted_expiry,
    )

    hardware_license: LazyHardwareLicense = subject("The hardware license.", HARDWARE_LICENSE)

    manufacturer: LazyManufacturer | None = subject_if_any(
        "The manufacturer that holds the hardware license. Null if the contract does not state it.", MANUFACTURER
    )


@strawberry.type(description="A Hardware Device License was revoked.")
class HardwareLicenseRevoked(LifecycleEvent):
    reason: str | None = fact("The reason as the registrar wrote it. Null if it is empty or not stated.", to_text)

    hardware_license: LazyHardwareLicense = subject("The hardware license.", HARDWARE_LICENSE)


@strawberry.type(
    description="A log of a watched contract that a rule of the profile matches but whose bytes cannot be decoded. "
    "`raw` has the log."
)
class UndecodableEvent(LifecycleEvent):
    reason: str = value("The reason, with the place in the data.", lambda reading: reading.reason, "reading")


@strawberry.type(
    description="A log of a watched contract that no rule of the profile matches. `raw` has the log. Lists contain "
    "such events only if the filter names the kind UNMAPPED."
)
class UnmappedEvent(LifecycleEvent):
    pass


EVENT_TYPES = tuple(LifecycleEvent.__subclasses__())
"""The types here and in `token_events`, for `Schema(types=...)`: no field has these types, only their interface."""

_NAMED = {type_.__name__: type_ for type_ in EVENT_TYPES}
LifecycleEvent.types = {  # type: ignore[attr-defined]  # see `of`
    **{KIND_OF[fact]: _NAMED[name] for name, fact in FACT_TYPES.items()},
    Kind.UNDECODABLE: UndecodableEvent,
    Kind.UNMAPPED: UnmappedEvent,
}
"""The type of an event of each kind. A fact and its event have the same name."""
