"""Vehicles, with which devices are paired."""

import strawberry

from api.graphql.context import Context
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.sql.as_of import Pin
from api.reading.loaders import row_named
from schema.did import TokenDid


@strawberry.type(description="A vehicle that is an NFT. A vehicle is not a `Device`.")
class Vehicle:
    token_id: BigInt = strawberry.field(description="The token id in the contract.")
    token_did: str = strawberry.field(
        name="tokenDID", description="The DID of the vehicle: `did:erc721:<chainId>:<contract>:<tokenId>`."
    )
    owner: Address | None = strawberry.field(
        description="The owner according to Transfer events alone. Null after a burn, and if no transfer was seen."
    )


async def load_vehicle(context: Context, pin: Pin, id: int) -> Vehicle:
    """Returns the vehicle whose id a row contains. Raises LookupError if it does not exist at the pin."""
    row = await row_named(context.loaders.vehicle, "vehicle", pin, id)
    return Vehicle(
        token_id=BigInt(row.token_id),
        token_did=TokenDid(row.chain_id, row.contract, row.token_id).checksummed,
        owner=None if row.owner is None else Address(row.owner),
    )
