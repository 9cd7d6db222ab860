"""The IMEI of a device."""

import strawberry

from api.graphql.plan import fields
from schema.vocabulary import imei_key, imei_valid


@strawberry.type(
    description="An IMEI as the contract emitted it, valid or not. A valid IMEI has 15 digits, the last of which is "
    "the Luhn check digit; 14 digits, or the 16 digits of an IMEISV, are not valid."
)
class Imei:
    value: str = strawberry.field(description="The text as the contract emitted it, including spaces.")
    valid: bool = fields.value(
        "Whether the text, without spaces and hyphens, has 15 digits and a correct check digit.", imei_valid, "value"
    )
    tac: str | None = fields.value(
        "The Type Allocation Code (the first 8 digits), which identifies maker and model in the GSMA's list. "
        "Null if the IMEI is not valid.",
        lambda text: imei_key(text)[:8] if imei_valid(text) else None,
        "value",
    )


def to_imei(text: str | None) -> Imei | None:
    """Returns the IMEI of a text, None if the text is missing or was cleared."""
    return Imei(value=text) if text else None
