"""Events of devices that are claimed and paired, of manufacturers, licenses and vehicles that are NFTs, and of grants
on other subjects than devices. `events` has the others."""

from datetime import datetime
from typing import Any

import strawberry

from api.graphql.plan.fields import fact, value
from api.graphql.types.event_subjects import (
    LazyAccount,
    LazyManufacturer,
    LazySyntheticDevice,
    LazyVehicle,
    subject,
    subject_if_any,
)
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.scalars import Address, BigInt, Seconds, date_time, to_address, to_big_int, to_text
from api.queries.licenses import MANUFACTURER
from api.queries.vehicles import ACCOUNT, SYNTHETIC_DEVICE, VEHICLE
from schema.events import ZERO_ADDRESS
from schema.profile.reader import Mapped

SENDER = "The previous owner; the zero address in a mint."
RECIPIENT = "The new owner; the zero address in a burn."
THE_VEHICLE = "The vehicle. Never null for this event."
THE_SYNTHETIC_DEVICE = "The synthetic device. Never null for this event."
WHOSE_LICENSE = "A manufacturer whose owner holds the license, or held it until this event. Null if there is none."
GRANTED_ON = "Null if the grant is on another subject."
GRANT_SYSTEM = "The grant system as the profile names it: `contract`, `sacd`, `privilege:<number>`."


def emitted_expiry(seconds: int | None) -> Seconds | None:
    return date_time(seconds or None)


def grant_source(reading: Mapped) -> str:
    granted: Any = reading.fact
    return f"{granted.source}:{granted.scope}" if granted.scope else str(granted.source)


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
    manufacturer_id: BigInt | None = fact("The manufacturer id. Null if it is not stated.", to_big_int)
    definition_id: str | None = fact("The id of the device definition. Null if it is not stated.", to_text)

    vehicle: LazyVehicle | None = subject(THE_VEHICLE, VEHICLE)


@strawberry.type(description="The NFT of a vehicle was transferred.")
class VehicleTransferred(LifecycleEvent):
    sender: Address = fact(SENDER, Address)
    recipient: Address = fact(RECIPIENT, Address)

    vehicle: LazyVehicle | None = subject(THE_VEHICLE, VEHICLE)


@strawberry.type(description="The NFT of a vehicle was burned.")
class VehicleBurned(LifecycleEvent):
    former_owner: Address | None = fact("The last owner, according to the event. Null if it is not stated.", to_address)

    vehicle: LazyVehicle | None = subject(THE_VEHICLE, VEHICLE)


@strawberry.type(description="An attribute of a vehicle was set.")
class VehicleAttributeSet(LifecycleEvent):
    attribute: str = fact("The text as the contract emitted it.", str)
    value: str = fact("The text as the contract emitted it.", str)

    vehicle: LazyVehicle | None = subject(THE_VEHICLE, VEHICLE)


@strawberry.type(description="The vehicle has another device definition.")
class VehicleDefinitionSet(LifecycleEvent):
    definition_id: str = fact("The id of the device definition.", str)

    vehicle: LazyVehicle | None = subject(THE_VEHICLE, VEHICLE)


@strawberry.type(description="The NFT of a synthetic device was minted.")
class SyntheticDeviceMinted(LifecycleEvent):
    address: Address | None = fact(
        "The address of the synthetic device itself. Null if the event does not state one.", to_address
    )
    connection_id: BigInt | None = fact(
        "The number of an integration, or the id of a connection. Null if it is not stated.", to_big_int
    )
    owner: Address | None = fact("The first owner, according to the event. Null if it is not stated.", to_address)

    synthetic_device: LazySyntheticDevice | None = subject(THE_SYNTHETIC_DEVICE, SYNTHETIC_DEVICE)
    vehicle: LazyVehicle | None = subject_if_any("The vehicle. Null if the event names none.", VEHICLE)


@strawberry.type(description="The NFT of a synthetic device was transferred.")
class SyntheticDeviceTransferred(LifecycleEvent):
    sender: Address = fact(SENDER, Address)
    recipient: Address = fact(RECIPIENT, Address)

    synthetic_device: LazySyntheticDevice | None = subject(THE_SYNTHETIC_DEVICE, SYNTHETIC_DEVICE)


@strawberry.type(description="The NFT of a synthetic device was burned.")
class SyntheticDeviceBurned(LifecycleEvent):
    former_owner: Address | None = fact("The last owner, according to the event. Null if it is not stated.", to_address)

    synthetic_device: LazySyntheticDevice | None = subject(THE_SYNTHETIC_DEVICE, SYNTHETIC_DEVICE)
    vehicle: LazyVehicle | None = subject_if_any("The vehicle. Null if the event names none.", VEHICLE)


@strawberry.type(description="An attribute of a synthetic device was set.")
class SyntheticDeviceAttributeSet(LifecycleEvent):
    attribute: str = fact("The text as the contract emitted it.", str)
    value: str = fact("The text as the contract emitted it.", str)

    synthetic_device: LazySyntheticDevice | None = subject(THE_SYNTHETIC_DEVICE, SYNTHETIC_DEVICE)


@strawberry.type(
    description="A user was granted access to a vehicle, a synthetic device, a manufacturer, or all that is "
    "an account's own. Exactly one of `vehicle`, `syntheticDevice`, `grantedManufacturer` and `account` is not null."
)
class AccessGranted(LifecycleEvent):
    user: Address = fact("The user that has access.", Address)
    permissions: BigInt | None = fact(
        "The permissions as the contract emitted them, a set of bits. Null if the contract does not carry them.",
        to_big_int,
    )
    expires_at: datetime | None = fact(
        "The expiry as the contract emitted it. Null if it is not stated, 0, or after the year 9999. "
        "`Authorization.expiresAt` is the expiry that applies.",
        emitted_expiry,
    )
    agreement_uri: str | None = fact(
        "The URI of the agreement behind the grant. Null if it is not stated.", to_text, name="agreementURI"
    )
    source: str = value(GRANT_SYSTEM, grant_source, "reading")

    vehicle: LazyVehicle | None = subject_if_any(f"The vehicle. {GRANTED_ON}", VEHICLE)
    synthetic_device: LazySyntheticDevice | None = subject_if_any(
        f"The synthetic device. {GRANTED_ON}", SYNTHETIC_DEVICE
    )
    granted_manufacturer: LazyManufacturer | None = subject_if_any(f"The manufacturer. {GRANTED_ON}", MANUFACTURER)
    account: LazyAccount | None = subject_if_any(f"The account that grants access. {GRANTED_ON}", ACCOUNT)


@strawberry.type(description="A grant of a user on another subject than a device was revoked.")
class AccessRevoked(LifecycleEvent):
    user: Address = fact("The user whose grant was revoked.", Address)
    source: str = value(GRANT_SYSTEM, grant_source, "reading")

    vehicle: LazyVehicle | None = subject_if_any(f"The vehicle. {GRANTED_ON}", VEHICLE)
    synthetic_device: LazySyntheticDevice | None = subject_if_any(
        f"The synthetic device. {GRANTED_ON}", SYNTHETIC_DEVICE
    )
    granted_manufacturer: LazyManufacturer | None = subject_if_any(f"The manufacturer. {GRANTED_ON}", MANUFACTURER)
    account: LazyAccount | None = subject_if_any(f"The account that granted access. {GRANTED_ON}", ACCOUNT)
