"""How devices are told apart: IMEIs, and names that hold across networks."""

import strawberry

from api.graphql.vocabulary.fields import field
from schema.vocabulary import imei_key, imei_valid


@strawberry.type(
    description="Kept as the chain gave it. Valid: 15 digits with a right Luhn digit; 14 digits and the 16 of an "
    "IMEISV are not. `tac` (first 8 digits) only when valid."
)
class Imei:
    value: str = strawberry.field(description="As the chain gave it, spaces and all.")

    @field("Whether it is 15 digits, spaces and hyphens aside, and its check digit fits.")
    def valid(self) -> bool:
        return imei_valid(self.value)

    @field("Type Allocation Code: maker and model, by the GSMA's list.")
    def tac(self) -> str | None:
        return imei_key(self.value)[:8] if imei_valid(self.value) else None


def imei(text: str | None) -> Imei | None:
    """Returns an IMEI as it is told of; None where there is none or it was cleared."""
    return Imei(value=text) if text else None
