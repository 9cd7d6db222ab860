"""What can happen: the domain facts that every profile maps contract events to.

A fact is frozen and named in the past tense. `None` means that the chain did not say; it never overwrites what is
known. `""` means that the chain said "nothing", and clears. Numbers are Python ints of any size; `Seconds` are unix
seconds as the emitter gave them, whatever their size. Addresses are 20 bytes, hashes 32.

To add one: a class here and in its union below, a `Kind`, a rule in a profile, a `case` in the fold.
"""

from enum import IntEnum, StrEnum
from typing import NewType

from msgspec import Struct

Address = NewType("Address", bytes)
Hash = NewType("Hash", bytes)
Seconds = NewType("Seconds", int)

ZERO_ADDRESS = Address(bytes(20))


class TestKind(StrEnum):
    __test__ = False  # not a test class for pytest

    IN_CIRCUIT = "IN_CIRCUIT"
    MECHANICAL = "MECHANICAL"
    QUALITY = "QUALITY"


class OfDevice(Struct, frozen=True, kw_only=True, gc=False):
    """A fact about a device: the number of its token, in the contract that numbers devices."""

    token_id: int


class DeviceMinted(OfDevice, frozen=True, kw_only=True, gc=False):
    address: Address | None = None
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    serial_number: str | None = None
    imei: str | None = None
    manufactured_at: Seconds | None = None
    firmware_version: str | None = None


class DeviceTransferred(OfDevice, frozen=True, kw_only=True, gc=False):
    """Sender zero is the mint, recipient zero the burn. The only source of ownership."""

    sender: Address
    recipient: Address


class DeviceAttributeSet(OfDevice, frozen=True, kw_only=True, gc=False):
    """Corrects serialNumber, imei, devEUI, hardwareRevision or manufacturedAt; any other name is a free attribute."""

    attribute: str
    value: str


class DeviceAddressReset(OfDevice, frozen=True, kw_only=True, gc=False):
    address: Address


class TestRecorded(OfDevice, frozen=True, kw_only=True, gc=False):
    __test__ = False

    kind: TestKind
    passed: bool
    tested_at: Seconds | None = None
    station: str | None = None
    report_uri: str | None = None
    report_hash: Hash | None = None


class DeviceProvisioned(OfDevice, frozen=True, kw_only=True, gc=False):
    provisioned_at: Seconds | None = None


class UserAuthorized(OfDevice, frozen=True, kw_only=True, gc=False):
    """A grant. `source` names the grant system, whose policy the profile gives; `scope` is a privilege id or empty."""

    user: Address
    organization: str | None = None
    permissions: int | None = None
    expires_at: Seconds | None = None
    source: str = "contract"
    scope: str = ""
    agreement_uri: str | None = None


class UserRevoked(OfDevice, frozen=True, kw_only=True, gc=False):
    user: Address
    source: str = "contract"
    scope: str = ""


class FactoryReset(OfDevice, frozen=True, kw_only=True, gc=False):
    initiator: Address | None = None
    reset_at: Seconds | None = None
    reason: int | None = None
    address: Address | None = None


class FirmwareUpdated(OfDevice, frozen=True, kw_only=True, gc=False):
    to_version: str
    from_version: str | None = None
    image_hash: Hash | None = None
    result: int | None = None
    applied_at: Seconds | None = None


class EndOfLifeRecorded(OfDevice, frozen=True, kw_only=True, gc=False):
    process: int
    occurred_at: Seconds | None = None
    facility: str | None = None
    sanitization: int | None = None
    evidence_uri: str | None = None
    evidence_hash: Hash | None = None


class ManufacturerLicensed(Struct, frozen=True, kw_only=True, gc=False):
    manufacturer_id: int
    account: Address | None = None
    name: str | None = None
    license_uri: str | None = None
    license_hash: Hash | None = None
    expires_at: Seconds | None = None


class ManufacturerLicenseRevoked(Struct, frozen=True, kw_only=True, gc=False):
    manufacturer_id: int
    reason: str | None = None


class HardwareLicensed(Struct, frozen=True, kw_only=True, gc=False):
    hardware_license_id: int
    manufacturer_id: int | None = None
    model: str | None = None
    hardware_revision: str | None = None
    license_uri: str | None = None
    license_hash: Hash | None = None
    expires_at: Seconds | None = None


class HardwareLicenseRevoked(Struct, frozen=True, kw_only=True, gc=False):
    hardware_license_id: int
    reason: str | None = None


# What contracts carry whose devices are claimed by an owner, paired with a vehicle, and made by holders of NFTs


class DeviceClaimed(OfDevice, frozen=True, kw_only=True, gc=False):
    """An owner took the device into use. Ownership itself is told by the transfer."""

    claimant: Address | None = None


class DeviceUnclaimed(OfDevice, frozen=True, kw_only=True, gc=False):
    """The claim ended: the device went back to its manufacturer, or an administrator cleared it."""

    claimant: Address | None = None


class DevicePaired(OfDevice, frozen=True, kw_only=True, gc=False):
    """Vehicle 0 stands for none: such a pairing is an unpairing."""

    vehicle_id: int


class DeviceUnpaired(OfDevice, frozen=True, kw_only=True, gc=False):
    """Ends the pairing, whatever vehicle it names."""

    vehicle_id: int | None = None


class DeviceBurned(OfDevice, frozen=True, kw_only=True, gc=False):
    """Says that the certificate is gone; the transfer to zero, which comes with it, says that nobody owns it."""

    former_owner: Address | None = None


class BeneficiarySet(OfDevice, frozen=True, kw_only=True, gc=False):
    """Who has the proceeds of the device; the zero address stands for its owner."""

    beneficiary: Address


class ManufacturerMinted(Struct, frozen=True, kw_only=True, gc=False):
    """The manufacturer's own NFT was minted; its owner is told by the transfer."""

    manufacturer_id: int
    name: str | None = None


class ManufacturerTransferred(Struct, frozen=True, kw_only=True, gc=False):
    """The only source of who owns a manufacturer's NFT. Recipient zero is the burn."""

    manufacturer_id: int
    sender: Address
    recipient: Address


class ManufacturerAttributeSet(Struct, frozen=True, kw_only=True, gc=False):
    manufacturer_id: int
    attribute: str
    value: str


class LicenseMinted(Struct, frozen=True, kw_only=True, gc=False):
    """A licence that is an NFT of its own: it licenses the manufacturers that its holder owns."""

    license_id: int
    account: Address


class LicenseTransferred(Struct, frozen=True, kw_only=True, gc=False):
    """Sender zero is the mint, recipient zero the burn."""

    license_id: int
    sender: Address
    recipient: Address


class LicenseRevoked(Struct, frozen=True, kw_only=True, gc=False):
    license_id: int


class VehicleMinted(Struct, frozen=True, kw_only=True, gc=False):
    vehicle_id: int
    owner: Address | None = None


class VehicleTransferred(Struct, frozen=True, kw_only=True, gc=False):
    """The only source of who owns a vehicle's NFT. Recipient zero is the burn."""

    vehicle_id: int
    sender: Address
    recipient: Address


class VehicleBurned(Struct, frozen=True, kw_only=True, gc=False):
    vehicle_id: int
    former_owner: Address | None = None


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
LicenseFact = ManufacturerLicensed | ManufacturerLicenseRevoked | HardwareLicensed | HardwareLicenseRevoked
ManufacturerFact = ManufacturerMinted | ManufacturerTransferred | ManufacturerAttributeSet
LicenseTokenFact = LicenseMinted | LicenseTransferred | LicenseRevoked
VehicleFact = VehicleMinted | VehicleTransferred | VehicleBurned
Fact = DeviceFact | LicenseFact | ManufacturerFact | LicenseTokenFact | VehicleFact

FACT_TYPES: dict[str, type[Fact]] = {fact.__name__: fact for fact in Fact.__args__}


class Kind(IntEnum):
    """The number stored for each fact in `event.kind`. Never renumber: databases hold it."""

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


KIND_OF: dict[type[Fact], Kind] = {
    DeviceMinted: Kind.DEVICE_MINTED,
    DeviceTransferred: Kind.DEVICE_TRANSFERRED,
    DeviceAttributeSet: Kind.DEVICE_ATTRIBUTE_SET,
    DeviceAddressReset: Kind.DEVICE_ADDRESS_RESET,
    TestRecorded: Kind.TEST_RECORDED,
    DeviceProvisioned: Kind.DEVICE_PROVISIONED,
    UserAuthorized: Kind.USER_AUTHORIZED,
    UserRevoked: Kind.USER_REVOKED,
    FactoryReset: Kind.FACTORY_RESET,
    FirmwareUpdated: Kind.FIRMWARE_UPDATED,
    EndOfLifeRecorded: Kind.END_OF_LIFE_RECORDED,
    ManufacturerLicensed: Kind.MANUFACTURER_LICENSED,
    ManufacturerLicenseRevoked: Kind.MANUFACTURER_LICENSE_REVOKED,
    HardwareLicensed: Kind.HARDWARE_LICENSED,
    HardwareLicenseRevoked: Kind.HARDWARE_LICENSE_REVOKED,
    DeviceClaimed: Kind.DEVICE_CLAIMED,
    DeviceUnclaimed: Kind.DEVICE_UNCLAIMED,
    DevicePaired: Kind.DEVICE_PAIRED,
    DeviceUnpaired: Kind.DEVICE_UNPAIRED,
    DeviceBurned: Kind.DEVICE_BURNED,
    BeneficiarySet: Kind.BENEFICIARY_SET,
    ManufacturerMinted: Kind.MANUFACTURER_MINTED,
    ManufacturerTransferred: Kind.MANUFACTURER_TRANSFERRED,
    ManufacturerAttributeSet: Kind.MANUFACTURER_ATTRIBUTE_SET,
    LicenseMinted: Kind.LICENSE_MINTED,
    LicenseTransferred: Kind.LICENSE_TRANSFERRED,
    LicenseRevoked: Kind.LICENSE_REVOKED,
    VehicleMinted: Kind.VEHICLE_MINTED,
    VehicleTransferred: Kind.VEHICLE_TRANSFERRED,
    VehicleBurned: Kind.VEHICLE_BURNED,
}
