"""Vehicles, their synthetic devices, and the accounts that grant access to what is their own."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Optional

import strawberry

from api.graphql.paging.connections import Connection, many
from api.graphql.paging.tokens import AccountId, SyntheticDeviceId, VehicleId
from api.graphql.plan.fields import column, computed, of, one, row_of, value
from api.graphql.types.authorizations import Authorization, authorized_users
from api.graphql.types.blocks import Block, block_of_pin
from api.graphql.types.identity import Attribute, attributes_of
from api.graphql.types.lifecycle_event import LifecycleEvent, history_of
from api.graphql.types.manufacturers import Manufacturer
from api.graphql.types.node import Node, node_id
from api.graphql.types.token_events import (
    SyntheticDeviceMinted,
    SyntheticDeviceTransferred,
    VehicleMinted,
    VehicleTransferred,
)
from api.graphql.vocabulary.scalars import Address, BigInt, date_time, to_text
from api.queries.devices import DEVICE
from api.queries.events import (
    ACCOUNT_HISTORY,
    EVENT,
    SYNTHETIC_DEVICE_HISTORY,
    SYNTHETIC_DEVICE_TRANSFERS,
    VEHICLE_HISTORY,
    VEHICLE_TRANSFERS,
)
from api.queries.licenses import MANUFACTURER
from api.queries.vehicles import (
    ACCOUNT,
    SYNTHETIC_DEVICE,
    VEHICLE,
    connected_devices,
    paired_devices,
    synthetic_device_attributes,
    vehicle_attributes,
)
from schema.did import did_of

if TYPE_CHECKING:
    from api.graphql.types.devices import Device

DID = "did:erc721:<chainId>:<contract>:<tokenId>"
INTEGRATIONS = 2**63
"""Numbers from here on are connections: their bytes are the name."""


def connection_name(connection_id: int | None) -> str | None:
    """Returns the name of a connection, which is the text in its 32 bytes. None for the number of an integration."""
    if connection_id is None or connection_id < INTEGRATIONS:
        return None
    return connection_id.to_bytes(32).rstrip(b"\0").decode("utf-8", "replace") or None


def _integration_id(connection_id: int | None) -> BigInt | None:
    return None if connection_id is None or connection_id >= INTEGRATIONS else BigInt(connection_id)


@strawberry.type(description="A vehicle that is an NFT. A vehicle is not a `Device`.")
@of(VEHICLE)
class Vehicle(Node):
    id: strawberry.ID = node_id(VehicleId.of_token, "chain_id", "contract", "token_id")
    token_id: BigInt = column("The token id in the contract.")
    token_did: str = value(
        f"The DID of the vehicle: `{DID}`.", did_of, "chain_id", "contract", "token_id", name="tokenDID"
    )
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    contract: Address = column("The address of the contract of the token.")
    owner: Address | None = column(
        "The owner according to Transfer events alone. Null after a burn, and if no transfer was seen."
    )
    minted_at: datetime | None = column("The block time of the mint. Null if the mint was not seen.", date_time)
    burned_at: datetime | None = column("The block time of the burn. Null while the vehicle is not burned.", date_time)
    definition_id: str | None = column(
        "The id of the device definition, which names make, model and year. Null if no event states one.", to_text
    )
    attributes: list[Attribute] = computed(
        "The attributes, ordered by name, at most 100.", attributes_of(vehicle_attributes), "pin", "id"
    )
    manufacturer: Manufacturer | None = one(
        "The manufacturer of the vehicle. Null if no event states it.", MANUFACTURER, "manufacturer_id"
    )
    device: Annotated["Device", strawberry.lazy("api.graphql.types.devices")] | None = computed(
        "The device that is paired with the vehicle. Null if there is none. If several are, the one paired last.",
        row_of(DEVICE, paired_devices),
        "pin",
        "id",
    )
    synthetic_device: Optional["SyntheticDevice"] = computed(
        "The synthetic device of the vehicle that is not burned. Null if there is none.",
        row_of(SYNTHETIC_DEVICE, connected_devices),
        "pin",
        "id",
    )
    authorized_users: Connection[Authorization] = many(
        "The grants that let users access the vehicle, in the order in which they were granted. The owner always has "
        "access and is not listed.",
        authorized_users(VEHICLE),
    )
    mint: VehicleMinted | None = one(
        "The event that minted the vehicle. Null if it was not seen.", EVENT, "mint_position"
    )
    transfers: Connection[VehicleTransferred] = many(
        "The changes of owner, including mint and burn, oldest first.", VEHICLE_TRANSFERS
    )
    history: Connection[LifecycleEvent] = many(
        "All events of the vehicle, those of pairings included, oldest first by default.",
        history_of(VEHICLE_HISTORY),
    )
    as_of: Block = value("The block at which the state of the vehicle was read.", block_of_pin, "pin")


@strawberry.type(
    description="A synthetic device: the connection of a vehicle to a service, without hardware. It is an NFT, and not "
    "a `Device`."
)
@of(SYNTHETIC_DEVICE)
class SyntheticDevice(Node):
    id: strawberry.ID = node_id(SyntheticDeviceId.of_token, "chain_id", "contract", "token_id")
    token_id: BigInt = column("The token id in the contract.")
    token_did: str = value(
        f"The DID of the synthetic device: `{DID}`.", did_of, "chain_id", "contract", "token_id", name="tokenDID"
    )
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    contract: Address = column("The address of the contract of the token.")
    owner: Address | None = column(
        "The owner according to Transfer events alone. Null after a burn, and if no transfer was seen."
    )
    address: Address | None = column("The address of the synthetic device itself. Null if no event states one.")
    connection_id: BigInt | None = column(
        "The id of the service as the mint states it: the number of an integration, or the id of a connection. Null if "
        "the mint was not seen."
    )
    integration_id: BigInt | None = column(
        "The number of the integration. Null if the mint names a connection.", _integration_id, source="connection_id"
    )
    connection: str | None = column(
        "The name of the connection, which is the text of its id. Null if the mint names an integration.",
        connection_name,
        source="connection_id",
    )
    minted_at: datetime | None = column("The block time of the mint. Null if the mint was not seen.", date_time)
    burned_at: datetime | None = column(
        "The block time of the burn. Null while the synthetic device is not burned.", date_time
    )
    attributes: list[Attribute] = computed(
        "The attributes, ordered by name, at most 100.", attributes_of(synthetic_device_attributes), "pin", "id"
    )
    vehicle: Vehicle | None = one(
        "The vehicle that the synthetic device was minted for. Null if the mint was not seen.", VEHICLE, "vehicle_id"
    )
    authorized_users: Connection[Authorization] = many(
        "The grants that let users access the synthetic device, in the order in which they were granted.",
        authorized_users(SYNTHETIC_DEVICE),
    )
    mint: SyntheticDeviceMinted | None = one(
        "The event that minted the synthetic device. Null if it was not seen.", EVENT, "mint_position"
    )
    transfers: Connection[SyntheticDeviceTransferred] = many(
        "The changes of owner, including mint and burn, oldest first.", SYNTHETIC_DEVICE_TRANSFERS
    )
    history: Connection[LifecycleEvent] = many(
        "All events of the synthetic device, oldest first by default.",
        history_of(SYNTHETIC_DEVICE_HISTORY),
    )
    as_of: Block = value("The block at which the state of the synthetic device was read.", block_of_pin, "pin")


@strawberry.type(description="An account that granted access to what is its own, without naming a token.")
@of(ACCOUNT)
class Account(Node):
    id: strawberry.ID = node_id(
        lambda pin, chain_id, contract: AccountId.of_token(pin, chain_id, contract, 0), "chain_id", "contract"
    )
    address: Address = column("The address of the account.", source="contract")
    chain_id: BigInt = column("The EIP-155 chain id of the network.")
    authorized_users: Connection[Authorization] = many(
        "The grants of the account, in the order in which they were granted.", authorized_users(ACCOUNT)
    )
    history: Connection[LifecycleEvent] = many(
        "The grants and revocations of the account, oldest first by default.",
        history_of(ACCOUNT_HISTORY),
    )
    as_of: Block = value("The block at which the account was read.", block_of_pin, "pin")
