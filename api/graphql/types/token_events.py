"""Events of devices that are claimed and paired, and of manufacturers, licences and vehicles that are NFTs."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from api.graphql.context import Info
from api.graphql.types.event_subjects import manufacturer_of, names, vehicle_of
from api.graphql.types.lifecycle_event import LifecycleEvent
from api.graphql.vocabulary.fields import derived, field
from api.graphql.vocabulary.scalars import Address, BigInt, address
from schema.events import ZERO_ADDRESS

if TYPE_CHECKING:
    from api.graphql.types.manufacturers import Manufacturer
    from api.graphql.types.vehicles import Vehicle

LazyManufacturer = Annotated["Manufacturer", strawberry.lazy("api.graphql.types.manufacturers")]
LazyVehicle = Annotated["Vehicle", strawberry.lazy("api.graphql.types.vehicles")]

SENDER = "The zero address: mint."
RECIPIENT = "The zero address: burn."
WHOSE_LICENSE = "A manufacturer whose owner holds the licence, or did till then; null when there is none."


@strawberry.type(description="An owner took the device into use. Ownership itself is told by the transfer.")
class DeviceClaimed(LifecycleEvent):
    claimant: Address | None = derived("Who claimed it.", lambda event: address(event.fact.claimant))


@strawberry.type(description="The claim ended: the device went back to its manufacturer, or was unclaimed.")
class DeviceUnclaimed(LifecycleEvent):
    claimant: Address | None = derived(
        "Whose claim it was, where the event says.", lambda event: address(event.fact.claimant)
    )


@strawberry.type(description="The device was paired with a vehicle.")
class DevicePaired(LifecycleEvent):
    @field("Null: vehicle 0, which stands for none and ends the pairing.")
    async def vehicle(self, info: Info) -> LazyVehicle | None:
        return await vehicle_of(self, info) if names(self, "vehicle_id") else None


@strawberry.type(description="The pairing ended, whatever vehicle the event names.")
class DeviceUnpaired(LifecycleEvent):
    @field("As the event says; null when it names none.")
    async def vehicle(self, info: Info) -> LazyVehicle | None:
        return await vehicle_of(self, info) if names(self, "vehicle_id") else None


@strawberry.type(description="The certificate is gone. The transfer to zero, which comes with it, ends ownership.")
class DeviceBurned(LifecycleEvent):
    former_owner: Address | None = derived(
        "Who owned it, by the event.", lambda event: address(event.fact.former_owner)
    )


@strawberry.type(description="Who has the device's proceeds was set.")
class BeneficiarySet(LifecycleEvent):
    beneficiary: Address | None = derived(
        "Null: the owner.",
        lambda event: None if event.fact.beneficiary == ZERO_ADDRESS else Address(event.fact.beneficiary),
    )


@strawberry.type(description="A manufacturer's own NFT was minted.")
class ManufacturerMinted(LifecycleEvent):
    name: str | None = derived("The manufacturer's name, where the event says.", lambda event: event.fact.name or None)

    @field("Which manufacturer.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="A manufacturer's own NFT changed hands.")
class ManufacturerTransferred(LifecycleEvent):
    sender: Address = derived(SENDER, lambda event: Address(event.fact.sender))
    recipient: Address = derived(RECIPIENT, lambda event: Address(event.fact.recipient))

    @field("Which manufacturer.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="An attribute of a manufacturer was set.")
class ManufacturerAttributeSet(LifecycleEvent):
    attribute: str = derived("As the chain gave it.", lambda event: event.fact.attribute)
    value: str = derived("As the chain gave it.", lambda event: event.fact.value)

    @field("Which manufacturer.")
    async def manufacturer(self, info: Info) -> LazyManufacturer:
        return await manufacturer_of(self, info)


@strawberry.type(description="A licence that is an NFT was minted.")
class LicenseMinted(LifecycleEvent):
    license_id: BigInt = derived("The licence's number in its contract.", lambda event: BigInt(event.fact.license_id))
    account: Address = derived("Who holds it.", lambda event: Address(event.fact.account))

    @field(WHOSE_LICENSE)
    async def licensed_manufacturer(self, info: Info) -> LazyManufacturer | None:
        return await manufacturer_of(self, info) if names(self, "manufacturer_id") else None


@strawberry.type(description="A licence that is an NFT changed hands.")
class LicenseTransferred(LifecycleEvent):
    license_id: BigInt = derived("The licence's number in its contract.", lambda event: BigInt(event.fact.license_id))
    sender: Address = derived(SENDER, lambda event: Address(event.fact.sender))
    recipient: Address = derived(RECIPIENT, lambda event: Address(event.fact.recipient))

    @field(WHOSE_LICENSE)
    async def licensed_manufacturer(self, info: Info) -> LazyManufacturer | None:
        return await manufacturer_of(self, info) if names(self, "manufacturer_id") else None


@strawberry.type(description="A licence that is an NFT was revoked.")
class LicenseRevoked(LifecycleEvent):
    license_id: BigInt = derived("The licence's number in its contract.", lambda event: BigInt(event.fact.license_id))

    @field(WHOSE_LICENSE)
    async def licensed_manufacturer(self, info: Info) -> LazyManufacturer | None:
        return await manufacturer_of(self, info) if names(self, "manufacturer_id") else None


@strawberry.type(description="A vehicle's NFT was minted.")
class VehicleMinted(LifecycleEvent):
    owner: Address | None = derived("Its first owner, by the event.", lambda event: address(event.fact.owner))

    @field("Which vehicle; never null here.")
    async def vehicle(self, info: Info) -> LazyVehicle | None:
        return await vehicle_of(self, info)


@strawberry.type(description="A vehicle's NFT changed hands.")
class VehicleTransferred(LifecycleEvent):
    sender: Address = derived(SENDER, lambda event: Address(event.fact.sender))
    recipient: Address = derived(RECIPIENT, lambda event: Address(event.fact.recipient))

    @field("Which vehicle; never null here.")
    async def vehicle(self, info: Info) -> LazyVehicle | None:
        return await vehicle_of(self, info)


@strawberry.type(description="A vehicle's NFT is gone.")
class VehicleBurned(LifecycleEvent):
    former_owner: Address | None = derived(
        "Who owned it, by the event.", lambda event: address(event.fact.former_owner)
    )

    @field("Which vehicle; never null here.")
    async def vehicle(self, info: Info) -> LazyVehicle | None:
        return await vehicle_of(self, info)


EVENT_TYPES: tuple[type[LifecycleEvent], ...] = (
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
