"""Vehicles, with which devices are paired."""

from typing import Any

import strawberry

from api.graphql.context import Context
from api.graphql.vocabulary.fields import derived, from_row
from api.graphql.vocabulary.scalars import Address, BigInt, to_address
from api.queries.sql.as_of import Pin
from api.reading.loaders import row_named
from schema.did import TokenDid


@strawberry.type(description="A vehicle that is an NFT. A vehicle is not a `Device`.")
class Vehicle:
    row: strawberry.Private[Any]
    token_id: BigInt = from_row("The token id in the contract.", BigInt)
    token_did: str = derived(
        "The DID of the vehicle: `did:erc721:<chainId>:<contract>:<tokenId>`.",
        lambda vehicle: TokenDid(vehicle.row.chain_id, vehicle.row.contract, vehicle.row.token_id).checksummed,
        name="tokenDID",
    )
    owner: Address | None = from_row(
        "The owner according to Transfer events alone. Null after a burn, and if no transfer was seen.", to_address
    )


async def load_vehicle(context: Context, pin: Pin, id: int) -> Vehicle:
    """Returns the vehicle whose id a row contains. Raises LookupError if it does not exist at the pin."""
    return Vehicle(row=await row_named(context.loaders.vehicle, "vehicle", pin, id))
