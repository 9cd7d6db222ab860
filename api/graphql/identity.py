"""How devices are told apart: IMEIs, and names that hold across networks."""

import strawberry

from api.graphql.scalars import checksummed
from schema.vocabulary import imei_key, imei_valid


@strawberry.type(
    description="Kept as the chain gave it. Valid: 15 digits with a right Luhn digit; 14 digits and the 16 of an "
    "IMEISV are not. `tac` (first 8 digits) only when valid."
)
class Imei:
    value: str = strawberry.field(description="As the chain gave it, spaces and all.")
    valid: bool = strawberry.field(
        description="Whether it is 15 digits, spaces and hyphens aside, and its check digit fits."
    )
    tac: str | None = strawberry.field(description="Type Allocation Code: maker and model, by the GSMA's list.")


def imei(text: str | None) -> Imei | None:
    """Returns an IMEI as it is told of; None where there is none or it was cleared."""
    if not text:
        return None
    valid = imei_valid(text)
    return Imei(value=text, valid=valid, tac=imei_key(text)[:8] if valid else None)


def token_did(chain_id: int, contract: bytes, token_id: int) -> str:
    """Returns the name of a token across networks: `did:erc721:<chainId>:<contract>:<tokenId>`."""
    return f"did:erc721:{chain_id}:{checksummed(contract)}:{token_id}"
