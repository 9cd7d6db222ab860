"""The history: every recorded event as a type of its own, behind one interface.

A new fact needs a class of its name here or in `api.graphql.token_events`, and nothing else of the API.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, assert_never

import strawberry

from api.graphql.context import Info
from api.graphql.types import token_events as tokens
from api.graphql.types.event_subjects import hardware_license_of, manufacturer_of, names
from api.graphql.types.identity import Imei, imei
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import derived, field
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes32, address, big_int, bytes32, date_time
from api.queries.recorded import RecordedEvent
from api.queries.sql.as_of import Pin
from schema.events import FACT_TYPES, TestKind
from schema.profile.model import DecodedLog, Mapped, Undecodable, Unmapped
from schema.vocabulary import (
    EndOfLifeProcess,
    FactoryResetReason,
    FirmwareUpdateResult,
    Sanitization,
    code_of,
)

if TYPE_CHECKING:
    from api.graphql.types.manufacturers import HardwareLicense, Manufacturer

LazyManufacturer = Annotated["Manufacturer", strawberry.lazy("api.graphql.types.manufacturers")]
LazyHardwareLicense = Annotated["HardwareLicense", strawberry.lazy("api.graphql.types.manufacturers")]

INT32_MAX = 2**31 - 1


@strawberry.type(description="A device's certificate was minted.")
class DeviceMinted(LifecycleEvent):
    address: Address | None = derived("The device's own address.", lambda event: address(event.fact.address))
    manufacturer_id: BigInt | None = derived("Who minted.", lambda event: big_int(event.fact.manufacturer_id))
    hardware_license_id: BigInt | None = derived(
        "The Hardware Device License it was minted under.", lambda event: big_int(event.fact.hardware_license_id)
    )
    serial_number: str | None = derived("As the manufacturer wrote it.", lambda event: event.fact.serial_number or None)
    imei: Imei | None = derived("As the manufacturer wrote it, valid or not.", lambda event: imei(event.fact.imei))
    manufactured_at: datetime | None = derived(
        "Manufacturing date.", lambda event: date_time(event.fact.manufactured_at)
    )
    firmware_version: str | None = derived(
        "Initial firmware version.", lambda event: event.fact.firmware_version or None
    )


@strawberry.type(description="The certificate changed hands. The only source of ownership.")
class DeviceTransferred(LifecycleEvent):
    sender: Address = derived("The zero address: mint.", lambda event: Address(event.fact.sender))
    recipient: Address = derived("The zero address: burn.", lambda event: Address(event.fact.recipient))


@strawberry.type(description="An attribute was corrected or set.")
class DeviceAttributeSet(LifecycleEvent):
    attribute: str = derived(
        "serialNumber, imei, devEUI, hardwareRevision, manufacturedAt, or a free one.",
        lambda event: event.fact.attribute,
    )
    value: str = derived("The empty text clears.", lambda event: event.fact.value)


@strawberry.type(description="The device took another address.")
class DeviceAddressReset(LifecycleEvent):
    address: Address = derived("The new address.", lambda event: Address(event.fact.address))


@strawberry.type(description="A factory test or inspection was recorded.")
class TestRecorded(LifecycleEvent):
    __test__ = False  # not a test class for pytest

    test_kind: TestKind = derived("Which test.", lambda event: event.fact.kind)
    passed: bool = derived("Whether it passed.", lambda event: event.fact.passed)
    tested_at: datetime | None = derived(
        "When it was done, by its emitter.", lambda event: date_time(event.fact.tested_at)
    )
    station: str | None = derived(
        "Station, or inspector of a quality inspection.", lambda event: event.fact.station or None
    )
    report_uri: str | None = derived(
        "Where the report is.", lambda event: event.fact.report_uri or None, name="reportURI"
    )
    report_hash: Bytes32 | None = derived("Hash of the report.", lambda event: bytes32(event.fact.report_hash))


@strawberry.type(description="The device was provisioned.")
class DeviceProvisioned(LifecycleEvent):
    provisioned_at: datetime | None = derived(
        "When, by its emitter.", lambda event: date_time(event.fact.provisioned_at)
    )


@strawberry.type(description="A user may access and manage the device.")
class UserAuthorized(LifecycleEvent):
    user: Address = derived("Who may.", lambda event: Address(event.fact.user))
    organization: str | None = derived(
        "What the grantor wrote; identifies nobody.", lambda event: event.fact.organization or None
    )
    permissions: BigInt | None = derived("As the contract gave them.", lambda event: big_int(event.fact.permissions))
    expires_at: datetime | None = derived(
        "As the contract gave it; null: not given, 0 or after the year 9999. "
        "`Authorization.expiresAt` says what holds.",
        lambda event: date_time(event.fact.expires_at or None),
    )
    source: str = derived(
        "The grant system, by the profile's name: certificate, sacd, privilege:<number>.",
        lambda event: grant_source(event.fact.source, event.fact.scope),
    )


@strawberry.type(description="A user's grant was revoked.")
class UserRevoked(LifecycleEvent):
    user: Address = derived("Who may no more.", lambda event: Address(event.fact.user))
    source: str = derived(
        "The grant system, by the profile's name: certificate, sacd, privilege:<number>.",
        lambda event: grant_source(event.fact.source, event.fact.scope),
    )


@strawberry.type(description="The device was reset to its factory state.")
class FactoryReset(LifecycleEvent):
    initiator: Address | None = derived("Who reset it.", lambda event: address(event.fact.initiator))
    reset_at: datetime | None = derived("When, by its emitter.", lambda event: date_time(event.fact.reset_at))
    reason: FactoryResetReason | None = derived(
        "Null when the contract gives none.",
        lambda event: None if event.fact.reason is None else code_of(FactoryResetReason, event.fact.reason),
    )
    reason_code: int | None = derived(
        f"The contract's number; {INT32_MAX} stands for any larger.", lambda event: int32(event.fact.reason)
    )
    address: Address | None = derived(
        "The new address, where the reset set one.", lambda event: address(event.fact.address)
    )


@strawberry.type(description="An update over the air was tried.")
class FirmwareUpdated(LifecycleEvent):
    to_version: str = derived("The version to be installed.", lambda event: event.fact.to_version)
    from_version: str | None = derived("The version that ran before.", lambda event: event.fact.from_version or None)
    image_hash: Bytes32 | None = derived("Hash of the firmware image.", lambda event: bytes32(event.fact.image_hash))
    result: FirmwareUpdateResult | None = derived(
        "Null when the contract gives none: counts as SUCCEEDED.",
        lambda event: None if event.fact.result is None else code_of(FirmwareUpdateResult, event.fact.result),
    )
    result_code: int | None = derived(
        f"The contract's number; {INT32_MAX} stands for any larger.", lambda event: int32(event.fact.result)
    )
    applied_at: datetime | None = derived("When, by its emitter.", lambda event: date_time(event.fact.applied_at))


@strawberry.type(description="A step of the device's end of life was recorded.")
class EndOfLifeRecorded(LifecycleEvent):
    process: EndOfLifeProcess = derived("Which step.", lambda event: code_of(EndOfLifeProcess, event.fact.process))
    process_code: int = derived(
        f"The contract's number; {INT32_MAX} stands for any larger.", lambda event: min(event.fact.process, INT32_MAX)
    )
    occurred_at: datetime | None = derived("When, by its emitter.", lambda event: date_time(event.fact.occurred_at))
    facility: str | None = derived("Where, or by whom.", lambda event: event.fact.facility or None)
    sanitization: Sanitization | None = derived(
        "What was done to its data; null when not stated.",
        lambda event: None if event.fact.sanitization is None else code_of(Sanitization, event.fact.sanitization),
    )
    sanitization_code: int | None = derived(
        f"The contract's number; {INT32_MAX} stands for any larger.", lambda event: int32(event.fact.sanitization)
    )
    evidence_uri: str | None = derived(
        "Where the evidence is.", lambda event: event.fact.evidence_uri or None, name="evidenceURI"
    )
    evidence_hash: Bytes32 | None = derived("Hash of the evidence.", lambda event: bytes32(event.fact.evidence_hash))


@strawberry.type(description="A manufacturer was granted a Manufacturing License, or its licence was renewed.")
class ManufacturerLicensed(LifecycleEvent):
    account: Address | None = derived("The licensed account.", lambda event: address(event.fact.account))
    name: str | None = derived("The manufacturer's name.", lambda event: event.fact.name or None)
    license_uri: str | None = derived(
        "Where the licence is.", lambda event: event.fact.license_uri or None, name="licenseURI"
    )
    license_hash: Bytes32 | None = derived("Hash of the licence.", lambda event: bytes32(event.fact.license_hash))
    expires_at: datetime | None = derived(
        "Null: never, or after the year 9999.", lambda event: date_time(event.fact.expires_at or None)
    )

    @field("Whose licence.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="A Manufacturing License was revoked.")
class ManufacturerLicenseRevoked(LifecycleEvent):
    reason: str | None = derived("As the registrar wrote it.", lambda event: event.fact.reason or None)

    @field("Whose licence.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="A Hardware Device License was granted or renewed.")
class HardwareLicensed(LifecycleEvent):
    model: str | None = derived("The licensed model.", lambda event: event.fact.model or None)
    hardware_revision: str | None = derived(
        "The licensed revision.", lambda event: event.fact.hardware_revision or None
    )
    license_uri: str | None = derived(
        "Where the licence is.", lambda event: event.fact.license_uri or None, name="licenseURI"
    )
    license_hash: Bytes32 | None = derived("Hash of the licence.", lambda event: bytes32(event.fact.license_hash))
    expires_at: datetime | None = derived(
        "Null: never, or after the year 9999.", lambda event: date_time(event.fact.expires_at or None)
    )

    @field("The licence.")
    async def hardware_license(self, info: Info) -> LazyHardwareLicense:
        return await hardware_license_of(self, info)

    @field("Whose licence; null when the contract does not say.")
    async def manufacturer(self, info: Info) -> LazyManufacturer | None:
        return await manufacturer_of(self, info) if names(self, "manufacturer_id") else None


@strawberry.type(description="A Hardware Device License was revoked.")
class HardwareLicenseRevoked(LifecycleEvent):
    reason: str | None = derived("As the registrar wrote it.", lambda event: event.fact.reason or None)

    @field("The licence.")
    async def hardware_license(self, info: Info) -> LazyHardwareLicense:
        return await hardware_license_of(self, info)


@strawberry.type(description="A log of a watched contract that could not be read; kept raw.")
class UndecodableEvent(LifecycleEvent):
    reason: str = derived("What was wrong, and where in the data.", lambda event: event.reading.reason)


@strawberry.type(
    description="A log of a watched contract that no rule of the profile claims; kept raw. "
    "Listed only when its kind is asked for."
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
    *tokens.EVENT_TYPES,
    UndecodableEvent,
    UnmappedEvent,
)
"""For `Schema(types=...)`: no field names them, only the interface."""


def to_event(row: RecordedEvent, reading: DecodedLog, pin: Pin) -> LifecycleEvent:
    """Return the typed event of a log; what hangs under it answers at the pin."""
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
"""A fact and what is told of it have the same name."""


def grant_source(source: str, scope: str) -> str:
    """Return the name of a grant system, with its scope where it has several: `privilege:2`."""
    return f"{source}:{scope}" if scope else source


def int32(code: int | None) -> int | None:
    """Return a code as GraphQL's Int, which ends at 2**31 - 1: a foreign contract may number its codes by uint256."""
    return None if code is None else min(code, INT32_MAX)
