"""The facts: everything that can happen to a device, a vehicle, their users, manufacturers and licenses.

A contract emits events, a profile (`schema/profile`) maps each event to one fact below, and the fold (`indexer/fold`)
turns facts into the state that the API serves. A fact is immutable and named in the past tense.

- `None` means that the event does not carry the value. It never overwrites a value that is already stored.
- `""` means that the event carries an empty text. It clears the stored value.
- Numbers are Python ints of up to 256 bits. Times are unix seconds, as the emitter wrote them.
- An id (`token_id`, `manufacturer_id`, ...) is unique only within one contract, which the profile names.
- A field annotated with an enumeration holds the contract's number, which may be outside the enumeration.

The first paragraph of a fact's docstring is also what GraphQL says of its kind.

To add a fact: write its class here, add it to the union at the end of its group and to `Kind`, then follow
docs/contributing/add-an-event.md.
"""

import re
from enum import IntEnum, StrEnum
from typing import Annotated, ClassVar, NewType, get_type_hints

from msgspec import Struct

from schema.vocabulary import (
    BURNED,
    COMMISSIONED,
    CONFORMED,
    END_OF_LIFE_WORDS,
    INSTALLED,
    NO_WORDS,
    NOT_CONFORMED,
    OBSERVED,
    PROVISIONED,
    REMOVED,
    Code,
    EndOfLifeProcess,
    EpcisWords,
    FactoryResetReason,
    FirmwareUpdateResult,
    Sanitization,
)

Address = NewType("Address", bytes)
"""An account or a contract: 20 bytes."""

Hash = NewType("Hash", bytes)
"""A hash of a document or a file: 32 bytes."""

Seconds = NewType("Seconds", int)
"""An instant in unix seconds."""

ZERO_ADDRESS = Address(bytes(20))


class TestKind(StrEnum):
    __test__ = False  # not a test class for pytest

    IN_CIRCUIT = "IN_CIRCUIT"
    MECHANICAL = "MECHANICAL"
    QUALITY = "QUALITY"


class RecordedFact(Struct, frozen=True, kw_only=True, gc=False):
    """What all facts have in common. `words` are the EPCIS terms of a fact that always has the same."""

    words: ClassVar[EpcisWords] = NO_WORDS

    @property
    def event_time(self) -> Seconds | None:
        """The time of the fact by its emitter; None if the fact has none. The block has a time of its own."""
        return None

    @property
    def epcis(self) -> EpcisWords:
        """Action, business step and disposition of EPCIS 2.0 for the fact; see docs/how-it-works/meaning.md."""
        return self.words


class AboutDevice(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A fact about the device whose certificate is the token `token_id`."""

    words: ClassVar[EpcisWords] = OBSERVED
    token_id: int


# The life of a device


class DeviceMinted(AboutDevice, frozen=True, kw_only=True, gc=False):
    """A certificate was minted for a device. `address` is the device's own."""

    words: ClassVar[EpcisWords] = COMMISSIONED
    address: Address | None = None
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    serial_number: str | None = None
    imei: str | None = None
    manufactured_at: Seconds | None = None
    firmware_version: str | None = None

    @property
    def event_time(self) -> Seconds | None:
        return self.manufactured_at


class DeviceTransferred(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The certificate has a new owner. A zero sender is the mint, a zero recipient the burn.

    The owner follows from transfers alone.
    """

    sender: Address
    recipient: Address

    @property
    def epcis(self) -> EpcisWords:
        return BURNED if self.recipient == ZERO_ADDRESS else OBSERVED


class DeviceAttributeSet(AboutDevice, frozen=True, kw_only=True, gc=False):
    """An attribute of the device was corrected or set.

    `serialNumber`, `imei`, `devEUI`, `hardwareRevision` and `manufacturedAt` correct that field of the certificate; any
    other name is a free attribute.
    """

    attribute: str
    value: str


class DeviceAddressReset(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The device has a new 0x address, for example after its secure element was replaced."""

    address: Address


class TestRecorded(AboutDevice, frozen=True, kw_only=True, gc=False):
    """An in-circuit test, a mechanical test or a quality inspection was recorded. `station` names who tested."""

    __test__ = False

    kind: TestKind
    passed: bool
    tested_at: Seconds | None = None
    station: str | None = None
    report_uri: str | None = None
    report_hash: Hash | None = None

    @property
    def event_time(self) -> Seconds | None:
        return self.tested_at

    @property
    def epcis(self) -> EpcisWords:
        return CONFORMED if self.passed else NOT_CONFORMED


class DeviceProvisioned(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The device was provisioned: it received its credentials and configuration."""

    words: ClassVar[EpcisWords] = PROVISIONED
    provisioned_at: Seconds | None = None

    @property
    def event_time(self) -> Seconds | None:
        return self.provisioned_at


class UserAuthorized(AboutDevice, frozen=True, kw_only=True, gc=False):
    """A user was granted access to the device.

    `source` names the grant system; `[grants.<source>]` of the profile defines how its grants end. `scope` is the id of
    a privilege, or empty. `permissions` is the contract's bit set. The profile defines what an `expires_at` of 0 means.
    """

    words: ClassVar[EpcisWords] = NO_WORDS
    user: Address
    organization: str | None = None
    permissions: int | None = None
    expires_at: Seconds | None = None
    source: str = "contract"
    scope: str = ""
    agreement_uri: str | None = None


class UserRevoked(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The user's grant of this source and scope was revoked."""

    words: ClassVar[EpcisWords] = NO_WORDS
    user: Address
    source: str = "contract"
    scope: str = ""


class FactoryReset(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The device was reset to its factory state. `address` is its new address, if the reset set one."""

    initiator: Address | None = None
    reset_at: Seconds | None = None
    reason: Annotated[int | None, FactoryResetReason] = None
    address: Address | None = None

    @property
    def event_time(self) -> Seconds | None:
        return self.reset_at


class FirmwareUpdated(AboutDevice, frozen=True, kw_only=True, gc=False):
    """An over-the-air update succeeded, failed or was rolled back. Without a `result` it succeeded."""

    to_version: str
    from_version: str | None = None
    image_hash: Hash | None = None
    result: Annotated[int | None, FirmwareUpdateResult] = None
    applied_at: Seconds | None = None

    @property
    def event_time(self) -> Seconds | None:
        return self.applied_at


class EndOfLifeRecorded(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The device was decommissioned, recycled or disposed of. `sanitization` is how its data were erased."""

    process: Annotated[int, EndOfLifeProcess]
    occurred_at: Seconds | None = None
    facility: str | None = None
    sanitization: Annotated[int | None, Sanitization] = None
    evidence_uri: str | None = None
    evidence_hash: Hash | None = None

    @property
    def event_time(self) -> Seconds | None:
        return self.occurred_at

    @property
    def epcis(self) -> EpcisWords:
        # a step outside the enumeration only shows that something happened
        return END_OF_LIFE_WORDS.get(self.process, OBSERVED)


class DeviceClaimed(AboutDevice, frozen=True, kw_only=True, gc=False):
    """An owner took the device into use. The transfer, not the claim, sets the owner."""

    words: ClassVar[EpcisWords] = PROVISIONED
    claimant: Address | None = None


class DeviceUnclaimed(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The claim ended: the device went back to its manufacturer, or an administrator cleared the claim."""

    claimant: Address | None = None


class DevicePaired(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The device was paired with a vehicle. Vehicle 0 is no vehicle: that pairing is an unpairing."""

    vehicle_id: int

    @property
    def epcis(self) -> EpcisWords:
        return INSTALLED if self.vehicle_id else REMOVED


class DeviceUnpaired(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The device's pairing ended, even if the event names another vehicle."""

    words: ClassVar[EpcisWords] = REMOVED
    vehicle_id: int | None = None


class DeviceBurned(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The certificate was burned. The transfer to the zero address, which comes with it, clears the owner."""

    words: ClassVar[EpcisWords] = BURNED
    former_owner: Address | None = None


class BeneficiarySet(AboutDevice, frozen=True, kw_only=True, gc=False):
    """The account that receives the proceeds of the device was set. The zero address stands for the owner."""

    beneficiary: Address


DeviceFact = (
    DeviceMinted
    | DeviceTransferred
    | DeviceAttributeSet
    | DeviceAddressReset
    | TestRecorded
    | DeviceProvisioned
    | UserAuthorized
    | UserRevoked
    | FactoryReset
    | FirmwareUpdated
    | EndOfLifeRecorded
    | DeviceClaimed
    | DeviceUnclaimed
    | DevicePaired
    | DeviceUnpaired
    | DeviceBurned
    | BeneficiarySet
)


# Licenses that a registrar grants by number. An `expires_at` of 0 is never; a license is expired from that second on


class ManufacturerLicensed(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A manufacturer was granted a license, or its license was renewed. A renewal clears a revocation."""

    manufacturer_id: int
    account: Address | None = None
    name: str | None = None
    license_uri: str | None = None
    license_hash: Hash | None = None
    expires_at: Seconds | None = None


class ManufacturerLicenseRevoked(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A manufacturer's license was revoked."""

    manufacturer_id: int
    reason: str | None = None


class HardwareLicensed(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A hardware model was licensed to a manufacturer, or its license was renewed."""

    hardware_license_id: int
    manufacturer_id: int | None = None
    model: str | None = None
    hardware_revision: str | None = None
    license_uri: str | None = None
    license_hash: Hash | None = None
    expires_at: Seconds | None = None


class HardwareLicenseRevoked(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The license of a hardware model was revoked."""

    hardware_license_id: int
    reason: str | None = None


LicenseFact = ManufacturerLicensed | ManufacturerLicenseRevoked | HardwareLicensed | HardwareLicenseRevoked


# Manufacturers, licenses and vehicles that are tokens. Their owners follow from transfers alone, as those of devices do


class ManufacturerMinted(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a manufacturer was minted."""

    manufacturer_id: int
    name: str | None = None


class ManufacturerTransferred(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a manufacturer has a new owner. A zero recipient is the burn."""

    manufacturer_id: int
    sender: Address
    recipient: Address


class ManufacturerAttributeSet(RecordedFact, frozen=True, kw_only=True, gc=False):
    """An attribute of a manufacturer was set."""

    manufacturer_id: int
    attribute: str
    value: str


ManufacturerFact = ManufacturerMinted | ManufacturerTransferred | ManufacturerAttributeSet


class LicenseMinted(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A license token was minted. It licenses the manufacturers whose tokens its holder owns."""

    license_id: int
    account: Address


class LicenseTransferred(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A license token has a new holder. A zero sender is the mint, a zero recipient the burn."""

    license_id: int
    sender: Address
    recipient: Address


class LicenseRevoked(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A license token was revoked."""

    license_id: int


LicenseTokenFact = LicenseMinted | LicenseTransferred | LicenseRevoked


class VehicleMinted(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a vehicle was minted."""

    vehicle_id: int
    owner: Address | None = None
    manufacturer_id: int | None = None
    definition_id: str | None = None


class VehicleTransferred(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a vehicle has a new owner. A zero recipient is the burn."""

    vehicle_id: int
    sender: Address
    recipient: Address


class VehicleBurned(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a vehicle was burned."""

    vehicle_id: int
    former_owner: Address | None = None


class VehicleAttributeSet(RecordedFact, frozen=True, kw_only=True, gc=False):
    """An attribute of a vehicle was set."""

    vehicle_id: int
    attribute: str
    value: str


class VehicleDefinitionSet(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The vehicle has another device definition, which names its make, model and year."""

    vehicle_id: int
    definition_id: str


VehicleFact = VehicleMinted | VehicleTransferred | VehicleBurned | VehicleAttributeSet | VehicleDefinitionSet


# Synthetic devices: connections of a vehicle to a service, without hardware


class SyntheticDeviceMinted(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a synthetic device was minted for a vehicle.

    `connection_id` names the service, in any range.
    """

    synthetic_device_id: int
    vehicle_id: int | None = None
    connection_id: int | None = None
    address: Address | None = None
    owner: Address | None = None


class SyntheticDeviceTransferred(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a synthetic device has a new owner. A zero recipient is the burn."""

    synthetic_device_id: int
    sender: Address
    recipient: Address


class SyntheticDeviceBurned(RecordedFact, frozen=True, kw_only=True, gc=False):
    """The token of a synthetic device was burned."""

    synthetic_device_id: int
    vehicle_id: int | None = None
    former_owner: Address | None = None


class SyntheticDeviceAttributeSet(RecordedFact, frozen=True, kw_only=True, gc=False):
    """An attribute of a synthetic device was set."""

    synthetic_device_id: int
    attribute: str
    value: str


SyntheticDeviceFact = (
    SyntheticDeviceMinted | SyntheticDeviceTransferred | SyntheticDeviceBurned | SyntheticDeviceAttributeSet
)


# Grants on anything but a device


class AboutSubject(RecordedFact, frozen=True, kw_only=True, gc=False):
    """A fact about a grant on one subject: exactly one of the fields in `one_of` names it.

    `grantor` is an account that gives access to all that is its own.
    """

    one_of: ClassVar[tuple[str, ...]] = ("vehicle_id", "synthetic_device_id", "manufacturer_id", "grantor")
    vehicle_id: int | None = None
    synthetic_device_id: int | None = None
    manufacturer_id: int | None = None
    grantor: Address | None = None


class AccessGranted(AboutSubject, frozen=True, kw_only=True, gc=False):
    """A user was granted access to a vehicle, a synthetic device, a manufacturer, or all that is an account's own.

    The fields are those of `UserAuthorized`.
    """

    user: Address
    permissions: int | None = None
    expires_at: Seconds | None = None
    source: str = "contract"
    scope: str = ""
    agreement_uri: str | None = None


class AccessRevoked(AboutSubject, frozen=True, kw_only=True, gc=False):
    """The user's grant of this source and scope on the subject was revoked."""

    user: Address
    source: str = "contract"
    scope: str = ""


GrantFact = AccessGranted | AccessRevoked

Fact = DeviceFact | LicenseFact | ManufacturerFact | LicenseTokenFact | VehicleFact | SyntheticDeviceFact | GrantFact


class Kind(IntEnum):
    """The number stored in `event.kind` for each fact, named as the fact. Never renumber: databases contain it.

    UNMAPPED is a log that no rule of the profile matches, or whose arrays have no item. UNDECODABLE is one that a rule
    matches, but whose bytes do not fit the rule's event.
    """

    UNMAPPED = 0
    UNDECODABLE = 1
    DEVICE_MINTED = 2
    DEVICE_TRANSFERRED = 3
    DEVICE_ATTRIBUTE_SET = 4
    DEVICE_ADDRESS_RESET = 5
    TEST_RECORDED = 6
    DEVICE_PROVISIONED = 7
    USER_AUTHORIZED = 8
    USER_REVOKED = 9
    FACTORY_RESET = 10
    FIRMWARE_UPDATED = 11
    END_OF_LIFE_RECORDED = 12
    MANUFACTURER_LICENSED = 13
    MANUFACTURER_LICENSE_REVOKED = 14
    HARDWARE_LICENSED = 15
    HARDWARE_LICENSE_REVOKED = 16
    DEVICE_CLAIMED = 17
    DEVICE_UNCLAIMED = 18
    DEVICE_PAIRED = 19
    DEVICE_UNPAIRED = 20
    DEVICE_BURNED = 21
    BENEFICIARY_SET = 22
    MANUFACTURER_MINTED = 23
    MANUFACTURER_TRANSFERRED = 24
    MANUFACTURER_ATTRIBUTE_SET = 25
    LICENSE_MINTED = 26
    LICENSE_TRANSFERRED = 27
    LICENSE_REVOKED = 28
    VEHICLE_MINTED = 29
    VEHICLE_TRANSFERRED = 30
    VEHICLE_BURNED = 31
    VEHICLE_ATTRIBUTE_SET = 32
    VEHICLE_DEFINITION_SET = 33
    SYNTHETIC_DEVICE_MINTED = 34
    SYNTHETIC_DEVICE_TRANSFERRED = 35
    SYNTHETIC_DEVICE_BURNED = 36
    SYNTHETIC_DEVICE_ATTRIBUTE_SET = 37
    ACCESS_GRANTED = 38
    ACCESS_REVOKED = 39


# Read from the declarations above

FACT_TYPES: dict[str, type[Fact]] = {fact_type.__name__: fact_type for fact_type in Fact.__args__}

KIND_OF: dict[type[Fact], Kind] = {
    fact_type: Kind[re.sub("(?<=[a-z])(?=[A-Z])", "_", name).upper()] for name, fact_type in FACT_TYPES.items()
}

CODE_FIELDS: dict[type[Fact], dict[str, type[Code]]] = {
    fact_type: {
        name: hint.__metadata__[0]
        for name, hint in get_type_hints(fact_type, include_extras=True).items()
        if hasattr(hint, "__metadata__")
    }
    for fact_type in FACT_TYPES.values()
}
"""The fields of each fact that hold a number of an enumeration, with the enumeration."""
