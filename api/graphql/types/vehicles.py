"""Vehicles, with which devices are paired."""

import strawberry

from api.graphql.plan.fields import column, of, value
from api.graphql.vocabulary.scalars import Address, BigInt, did_of
from api.queries.vehicles import VEHICLE


@strawberry.type(description="A vehicle that is an NFT. A vehicle is not a `Device`.")
@of(VEHICLE)
class Vehicle:
    token_id: BigInt = column("The token id in the contract.")
    token_did: str = value(
        "The DID of the vehicle: `did:erc721:<chainId>:<contract>:<tokenId>`.",
        did_of,
        "chain_id",
        "contract",
        "token_id",
        name="tokenDID",
    )
    owner: Address | None = column(
        "The owner according to Transfer events alone. Null after a burn, and if no transfer was seen."
    )
