"""The history: every recorded event as a type of its own, behind one interface.

A new fact needs a class here or in `api.graphql.token_events`, a `case` in `to_event`, and nothing else of the API.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, assert_never

import strawberry

from api.events import RecordedEvent
from api.graphql import token_events as tokens
from api.graphql.context import Info
from api.graphql.fields import field
from api.graphql.identity import Imei, imei
from api.graphql.lifecycle_event import LifecycleEvent
from api.graphql.named import hardware_license_of, manufacturer_of, names
from api.graphql.scalars import Address, BigInt, Bytes32, date_time
from api.queries.pins import Pin
from schema import events as facts
from schema.events import Fact, TestKind
from schema.profile import Mapped, Reading, Undecodable, Unmapped
from schema.vocabulary import (
    EndOfLifeProcess,
    FactoryResetReason,
    FirmwareUpdateResult,
    Sanitization,
    code_of,
)

if TYPE_CHECKING:
    from api.graphql.manufacturers import HardwareLicense, Manufacturer

LazyManufacturer = Annotated["Manufacturer", strawberry.lazy("api.graphql.manufacturers")]
LazyHardwareLicense = Annotated["HardwareLicense", strawberry.lazy("api.graphql.manufacturers")]

INT32_MAX = 2**31 - 1


@strawberry.type(description="A device's certificate was minted.")
class DeviceMinted(LifecycleEvent):
    address: Address | None = strawberry.field(description="The device's own address.")
    manufacturer_id: BigInt | None = strawberry.field(description="Who minted.")
    hardware_license_id: BigInt | None = strawberry.field(
        description="The Hardware Device License it was minted under."
    )
    serial_number: str | None = strawberry.field(description="As the manufacturer wrote it.")
    imei: Imei | None = strawberry.field(description="As the manufacturer wrote it, valid or not.")
    manufactured_at: datetime | None = strawberry.field(description="Manufacturing date.")
    firmware_version: str | None = strawberry.field(description="Initial firmware version.")


@strawberry.type(description="The certificate changed hands. The only source of ownership.")
class DeviceTransferred(LifecycleEvent):
    sender: Address = strawberry.field(description="The zero address: mint.")
    recipient: Address = strawberry.field(description="The zero address: burn.")


@strawberry.type(description="An attribute was corrected or set.")
class DeviceAttributeSet(LifecycleEvent):
    attribute: str = strawberry.field(
        description="serialNumber, imei, devEUI, hardwareRevision, manufacturedAt, or a free one."
    )
    value: str = strawberry.field(description="The empty text clears.")


@strawberry.type(description="The device took another address.")
class DeviceAddressReset(LifecycleEvent):
    address: Address = strawberry.field(description="The new address.")


@strawberry.type(description="A factory test or inspection was recorded.")
class TestRecorded(LifecycleEvent):
    __test__ = False  # not a test class for pytest

    test_kind: TestKind = strawberry.field(description="Which test.")
    passed: bool = strawberry.field(description="Whether it passed.")
    tested_at: datetime | None = strawberry.field(description="When it was done, by its emitter.")
    station: str | None = strawberry.field(description="Station, or inspector of a quality inspection.")
    report_uri: str | None = strawberry.field(name="reportURI", description="Where the report is.")
    report_hash: Bytes32 | None = strawberry.field(description="Hash of the report.")


@strawberry.type(description="The device was provisioned.")
class DeviceProvisioned(LifecycleEvent):
    provisioned_at: datetime | None = strawberry.field(description="When, by its emitter.")


@strawberry.type(description="A user may access and manage the device.")
class UserAuthorized(LifecycleEvent):
    user: Address = strawberry.field(description="Who may.")
    organization: str | None = strawberry.field(description="What the grantor wrote; identifies nobody.")
    permissions: BigInt | None = strawberry.field(description="As the contract gave them.")
    expires_at: datetime | None = strawberry.field(
        description="As the contract gave it; null: not given, 0 or after the year 9999. "
        "`Authorization.expiresAt` says what holds."
    )
    source: str = strawberry.field(
        description="The grant system, by the profile's name: certificate, sacd, privilege:<number>."
    )


@strawberry.type(description="A user's grant was revoked.")
class UserRevoked(LifecycleEvent):
    user: Address = strawberry.field(description="Who may no more.")
    source: str = strawberry.field(
        description="The grant system, by the profile's name: certificate, sacd, privilege:<number>."
    )


@strawberry.type(description="The device was reset to its factory state.")
class FactoryReset(LifecycleEvent):
    initiator: Address | None = strawberry.field(description="Who reset it.")
    reset_at: datetime | None = strawberry.field(description="When, by its emitter.")
    reason: FactoryResetReason | None = strawberry.field(description="Null when the contract gives none.")
    reason_code: int | None = strawberry.field(description=f"The contract's number; {INT32_MAX} stands for any larger.")
    address: Address | None = strawberry.field(description="The new address, where the reset set one.")


@strawberry.type(description="An update over the air was tried.")
class FirmwareUpdated(LifecycleEvent):
    to_version: str = strawberry.field(description="The version to be installed.")
    from_version: str | None = strawberry.field(description="The version that ran before.")
    image_hash: Bytes32 | None = strawberry.field(description="Hash of the firmware image.")
    result: FirmwareUpdateResult | None = strawberry.field(
        description="Null when the contract gives none: counts as SUCCEEDED."
    )
    result_code: int | None = strawberry.field(description=f"The contract's number; {INT32_MAX} stands for any larger.")
    applied_at: datetime | None = strawberry.field(description="When, by its emitter.")


@strawberry.type(description="A step of the device's end of life was recorded.")
class EndOfLifeRecorded(LifecycleEvent):
    process: EndOfLifeProcess = strawberry.field(description="Which step.")
    process_code: int = strawberry.field(description=f"The contract's number; {INT32_MAX} stands for any larger.")
    occurred_at: datetime | None = strawberry.field(description="When, by its emitter.")
    facility: str | None = strawberry.field(description="Where, or by whom.")
    sanitization: Sanitization | None = strawberry.field(description="What was done to its data; null when not stated.")
    sanitization_code: int | None = strawberry.field(
        description=f"The contract's number; {INT32_MAX} stands for any larger."
    )
    evidence_uri: str | None = strawberry.field(name="evidenceURI", description="Where the evidence is.")
    evidence_hash: Bytes32 | None = strawberry.field(description="Hash of the evidence.")


@strawberry.type(description="A manufacturer was granted a Manufacturing License, or its licence was renewed.")
class ManufacturerLicensed(LifecycleEvent):
    account: Address | None = strawberry.field(description="The licensed account.")
    name: str | None = strawberry.field(description="The manufacturer's name.")
    license_uri: str | None = strawberry.field(name="licenseURI", description="Where the licence is.")
    license_hash: Bytes32 | None = strawberry.field(description="Hash of the licence.")
    expires_at: datetime | None = strawberry.field(description="Null: never, or after the year 9999.")

    @field("Whose licence.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="A Manufacturing License was revoked.")
class ManufacturerLicenseRevoked(LifecycleEvent):
    reason: str | None = strawberry.field(description="As the registrar wrote it.")

    @field("Whose licence.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="A Hardware Device License was granted or renewed.")
class HardwareLicensed(LifecycleEvent):
    model: str | None = strawberry.field(description="The licensed model.")
    hardware_revision: str | None = strawberry.field(description="The licensed revision.")
    license_uri: str | None = strawberry.field(name="licenseURI", description="Where the licence is.")
    license_hash: Bytes32 | None = strawberry.field(description="Hash of the licence.")
    expires_at: datetime | None = strawberry.field(description="Null: never, or after the year 9999.")

    @field("The licence.")
    async def hardware_license(self, info: Info) -> LazyHardwareLicense:
        return await hardware_license_of(self, info)

    @field("Whose licence; null when the contract does not say.")
    async def manufacturer(self, info: Info) -> LazyManufacturer | None:
        return await manufacturer_of(self, info) if names(self, "manufacturer_id") else None


@strawberry.type(description="A Hardware Device License was revoked.")
class HardwareLicenseRevoked(LifecycleEvent):
    reason: str | None = strawberry.field(description="As the registrar wrote it.")

    @field("The licence.")
    async def hardware_license(self, info: Info) -> LazyHardwareLicense:
        return await hardware_license_of(self, info)


@strawberry.type(description="A log of a watched contract that could not be read; kept raw.")
class UndecodableEvent(LifecycleEvent):
    reason: str = strawberry.field(description="What was wrong, and where in the data.")


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


def to_event(row: RecordedEvent, reading: Reading, pin: Pin) -> LifecycleEvent:
    """Return the typed event of a log; what hangs under it answers at the pin."""
    base: dict[str, Any] = {"row": row, "reading": reading, "pin": pin}
    match reading:
        case Mapped():
            return _of_fact(reading.fact, base)
        case Undecodable():
            return UndecodableEvent(reason=reading.reason, **base)
        case Unmapped():
            return UnmappedEvent(**base)
        case _:
            assert_never(reading)


def _of_fact(fact: Fact, base: dict[str, Any]) -> LifecycleEvent:
    match fact:
        case facts.DeviceMinted():
            return DeviceMinted(
                address=_address(fact.address),
                manufacturer_id=_big(fact.manufacturer_id),
                hardware_license_id=_big(fact.hardware_license_id),
                serial_number=fact.serial_number or None,
                imei=imei(fact.imei),
                manufactured_at=date_time(fact.manufactured_at),
                firmware_version=fact.firmware_version or None,
                **base,
            )
        case facts.DeviceTransferred():
            return DeviceTransferred(sender=Address(fact.sender), recipient=Address(fact.recipient), **base)
        case facts.DeviceAttributeSet():
            return DeviceAttributeSet(attribute=fact.attribute, value=fact.value, **base)
        case facts.DeviceAddressReset():
            return DeviceAddressReset(address=Address(fact.address), **base)
        case facts.TestRecorded():
            return TestRecorded(
                test_kind=fact.kind,
                passed=fact.passed,
                tested_at=date_time(fact.tested_at),
                station=fact.station or None,
                report_uri=fact.report_uri or None,
                report_hash=_bytes32(fact.report_hash),
                **base,
            )
        case facts.DeviceProvisioned():
            return DeviceProvisioned(provisioned_at=date_time(fact.provisioned_at), **base)
        case facts.UserAuthorized():
            return UserAuthorized(
                user=Address(fact.user),
                organization=fact.organization or None,
                permissions=_big(fact.permissions),
                expires_at=date_time(fact.expires_at or None),
                source=grant_source(fact.source, fact.scope),
                **base,
            )
        case facts.UserRevoked():
            return UserRevoked(user=Address(fact.user), source=grant_source(fact.source, fact.scope), **base)
        case facts.FactoryReset():
            return FactoryReset(
                initiator=_address(fact.initiator),
                reset_at=date_time(fact.reset_at),
                reason=None if fact.reason is None else code_of(FactoryResetReason, fact.reason),
                reason_code=_int32(fact.reason),
                address=_address(fact.address),
                **base,
            )
        case facts.FirmwareUpdated():
            return FirmwareUpdated(
                to_version=fact.to_version,
                from_version=fact.from_version or None,
                image_hash=_bytes32(fact.image_hash),
                result=None if fact.result is None else code_of(FirmwareUpdateResult, fact.result),
                result_code=_int32(fact.result),
                applied_at=date_time(fact.applied_at),
                **base,
            )
        case facts.EndOfLifeRecorded():
            return EndOfLifeRecorded(
                process=code_of(EndOfLifeProcess, fact.process),
                process_code=min(fact.process, INT32_MAX),
                occurred_at=date_time(fact.occurred_at),
                facility=fact.facility or None,
                sanitization=None if fact.sanitization is None else code_of(Sanitization, fact.sanitization),
                sanitization_code=_int32(fact.sanitization),
                evidence_uri=fact.evidence_uri or None,
                evidence_hash=_bytes32(fact.evidence_hash),
                **base,
            )
        case facts.ManufacturerLicensed():
            return ManufacturerLicensed(
                account=_address(fact.account),
                name=fact.name or None,
                license_uri=fact.license_uri or None,
                license_hash=_bytes32(fact.license_hash),
                expires_at=date_time(fact.expires_at or None),
                **base,
            )
        case facts.ManufacturerLicenseRevoked():
            return ManufacturerLicenseRevoked(reason=fact.reason or None, **base)
        case facts.HardwareLicensed():
            return HardwareLicensed(
                model=fact.model or None,
                hardware_revision=fact.hardware_revision or None,
                license_uri=fact.license_uri or None,
                license_hash=_bytes32(fact.license_hash),
                expires_at=date_time(fact.expires_at or None),
                **base,
            )
        case facts.HardwareLicenseRevoked():
            return HardwareLicenseRevoked(reason=fact.reason or None, **base)
        case facts.DeviceClaimed():
            return tokens.DeviceClaimed(claimant=_address(fact.claimant), **base)
        case facts.DeviceUnclaimed():
            return tokens.DeviceUnclaimed(claimant=_address(fact.claimant), **base)
        case facts.DevicePaired():
            return tokens.DevicePaired(**base)
        case facts.DeviceUnpaired():
            return tokens.DeviceUnpaired(**base)
        case facts.DeviceBurned():
            return tokens.DeviceBurned(former_owner=_address(fact.former_owner), **base)
        case facts.BeneficiarySet():
            return tokens.BeneficiarySet(beneficiary=_account(fact.beneficiary), **base)
        case facts.ManufacturerMinted():
            return tokens.ManufacturerMinted(name=fact.name or None, **base)
        case facts.ManufacturerTransferred():
            return tokens.ManufacturerTransferred(
                sender=Address(fact.sender), recipient=Address(fact.recipient), **base
            )
        case facts.ManufacturerAttributeSet():
            return tokens.ManufacturerAttributeSet(attribute=fact.attribute, value=fact.value, **base)
        case facts.LicenseMinted():
            return tokens.LicenseMinted(license_id=BigInt(fact.license_id), account=Address(fact.account), **base)
        case facts.LicenseTransferred():
            return tokens.LicenseTransferred(
                license_id=BigInt(fact.license_id),
                sender=Address(fact.sender),
                recipient=Address(fact.recipient),
                **base,
            )
        case facts.LicenseRevoked():
            return tokens.LicenseRevoked(license_id=BigInt(fact.license_id), **base)
        case facts.VehicleMinted():
            return tokens.VehicleMinted(owner=_address(fact.owner), **base)
        case facts.VehicleTransferred():
            return tokens.VehicleTransferred(sender=Address(fact.sender), recipient=Address(fact.recipient), **base)
        case facts.VehicleBurned():
            return tokens.VehicleBurned(former_owner=_address(fact.former_owner), **base)
        case _:
            assert_never(fact)


def grant_source(source: str, scope: str) -> str:
    """Return the name of a grant system, with its scope where it has several: `privilege:2`."""
    return f"{source}:{scope}" if scope else source


def _big(number: int | None) -> BigInt | None:
    return None if number is None else BigInt(number)


def _address(address: bytes | None) -> Address | None:
    return None if address is None else Address(address)


def _account(address: bytes) -> Address | None:
    return None if address == facts.ZERO_ADDRESS else Address(address)


def _bytes32(hash: bytes | None) -> Bytes32 | None:
    return None if hash is None else Bytes32(hash)


def _int32(code: int | None) -> int | None:
    # a foreign contract may number its codes by uint256, GraphQL's Int ends at 2**31 - 1
    return None if code is None else min(code, INT32_MAX)
