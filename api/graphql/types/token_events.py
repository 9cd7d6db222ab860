"""Events of devices that are claimed and paired, and of manufacturers, licenses and vehicles that are NFTs."""

import strawberry

from api.graphql.plan.fields import fact
from api.graphql.types.event_subjects import LazyManufacturer, LazyVehicle, subject, subject_if_any
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.scalars import Address, BigInt, to_address, to_text
from api.queries.licenses import MANUFACTURER
from api.queries.vehicles import VEHICLE
from schema.events import ZERO_ADDRESS

SENDER = "The previous owner; the zero address in a mint."
RECIPIENT = "The new owner; the zero address in a burn."
WHOSE_LICENSE = "A manufacturer whose owner holds the license, or held it until this event. Null if there is none."


@strawberry.type(description="An owner took the device into use. The transfer, not the claim, sets the owner.")
class DeviceClaimed(LifecycleEvent):
    claimant: Address | None = fact("The account that claimed the device. Null if it is not stated.", to_address)


@strawberry.type(
    description="The claim of the device ended: the device went back to its manufacturer, or an administrator cleared "
    "the claim."
)
class DeviceUnclaimed(LifecycleEvent):
    claimant: Address | None = fact("The account whose claim ended. Null if it is not stated.", to_address)


@strawberry.type(description="The device was paired with a vehicle.")
class DevicePaired(LifecycleEvent):
    vehicle: LazyVehicle | None = subject_if_any(
        "The vehicle. Null for vehicle 0, which stands for no vehicle and ends the pairing.", VEHICLE
    )


@strawberry.type(description="The pairing of the device ended, whichever vehicle the event names.")
class DeviceUnpaired(LifecycleEvent):
    vehicle: LazyVehicle | None = subject_if_any("The vehicle that the event names. Null if it names none.", VEHICLE)


@strawberry.type(
    description="The certificate was burned. The transfer to the zero address, which comes with it, ends the ownership."
)
class DeviceBurned(LifecycleEvent):
    former_owner: Address | None = fact("The last owner, according to the event. Null if it is not stated.", to_address)


@strawberry.type(description="The account that receives the proceeds of the device was set.")
class BeneficiarySet(LifecycleEvent):
    beneficiary: Address | None = fact(
        "The account that receives the proceeds. Null if that is the owner.",
        lambda account: None if account == ZERO_ADDRESS else account,
    )


@strawberry.type(description="The NFT of a manufacturer was minted.")
class ManufacturerMinted(LifecycleEvent):
    name: str | None = fact("The name of the manufacturer. Null if it is empty or not stated.", to_text)

    manufacturer: LazyManufacturer = subject("The manufacturer.", MANUFACTURER)


@strawberry.type(description="The NFT of a manufacturer was transferred.")
class ManufacturerTransferred(LifecycleEvent):
    sender: Address = fact(SENDER, Address)
    recipient: Address = fact(RECIPIENT, Address)

    manufacturer: LazyManufacturer = subject("The manufacturer.", MANUFACTURER)


@strawberry.type(description="An attribute of a manufacturer was set.")
class ManufacturerAttributeSet(LifecycleEvent):
    attribute: str = fact("The text as the contract emitted it.", str)
    value: str = fact("The text as the contract emitted it.", str)

    manufacturer: LazyManufacturer = subject("The manufacturer.", MANUFACTURER)


@strawberry.type(description="A license that is an NFT was minted.")
class LicenseMinted(LifecycleEvent):
    license_id: BigInt = fact("The token id of the license in its contract.", BigInt)
    account: Address = fact("The account that holds the license.", Address)

    licensed_manufacturer: LazyManufacturer | None = subject_if_any(WHOSE_LICENSE, MANUFACTURER)


@strawberry.type(description="A license that is an NFT was transferred.")
class LicenseTransferred(LifecycleEvent):
    license_id: BigInt = fact("The token id of the license in its contract.", BigInt)
    sender: Address = fact(SENDER, Address)
    recipient: Address = fact(RECIPIENT, Address)

    licensed_manufacturer: LazyManufacturer | None = subject_if_any(WHOSE_LICENSE, MANUFACTURER)


@strawberry.type(description="A license that is an NFT was revoked.")
class LicenseRevoked(LifecycleEvent):
    license_id: BigInt = fact("The token id of the license in its contract.", BigInt)

    licensed_manufacturer: LazyManufacturer | None = subject_if_any(WHOSE_LICENSE, MANUFACTURER)


@strawberry.type(description="The NFT of a vehicle was minted.")
class VehicleMinted(LifecycleEvent):
    owner: Address | None = fact("The first owner, according to the event. Null if it is not stated.", to_address)

    vehicle: LazyVehicle | None = subject("The vehicle. Never null for this event.", VEHICLE)


@strawberry.type(description="The NFT of a vehicle was transferred.")
class VehicleTransferred(LifecycleEvent):
    sender: Address = fact(SENDER, Address)
    recipient: Address = fact(RECIPIENT, Address)

    vehicle: LazyVehicle | None = subject("The vehicle. Never null for this event.", VEHICLE)


@strawberry.type(description="The NFT of a vehicle was burned.")
class VehicleBurned(LifecycleEvent):
    former_owner: Address | None = fact("The last owner, according to the event. Null if it is not stated.", to_address)

    vehicle: LazyVehicle | None = subject("The vehicle. Never null for this event.", VEHICLE)


TOKEN_EVENT_TYPES: tuple[type[LifecycleEvent], ...] = (
    DeviceClaimed,
    DeviceUnclaimed,
    DevicePaired,
    DeviceUnpaired,
    DeviceBurned,
    BeneficiarySet,
    ManufacturerMinted,
    ManufacturerTransferred,
    ManufacturerAttributeSet,
    LicenseMinted,
    LicenseTransferred,
    LicenseRevoked,
    VehicleMinted,
    VehicleTransferred,
    VehicleBurned,
)
