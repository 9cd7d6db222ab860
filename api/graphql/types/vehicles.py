"""Vehicles: what devices are paired with."""

import strawberry

from api.graphql.context import Context
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from schema.did import TokenDid


@strawberry.type(description="A vehicle that is an NFT. It is no device.")
class Vehicle:
    token_id: BigInt = strawberry.field(description="Its number in its contract.")
    token_did: str = strawberry.field(name="tokenDID", description="The vehicle's name across networks.")
    owner: Address | None = strawberry.field(description="By Transfer alone; null when burned or never seen.")


async def load_vehicle(context: Context, pin: Pin, id: int) -> Vehicle:
    """Returns the vehicle of an id that a row at or before the pin names."""
    row = await context.loaders.vehicle.load(key_of(pin, id))
    if row is None:
        raise LookupError(f"vehicle {id} of chain {pin.chain_id} is named by a row and not there at {pin.position}")
    return Vehicle(
        token_id=BigInt(row.token_id),
        token_did=TokenDid(row.chain_id, row.contract, row.token_id).checksummed,
        owner=None if row.owner is None else Address(row.owner),
    )
