"""What names or describes a token: the IMEI of a device, and attributes."""

from collections.abc import Callable, Sequence
from typing import Any

import strawberry

from api.graphql.context import Context
from api.graphql.plan import fields
from api.queries.sql.as_of import Pin
from api.queries.sql.keys import key_of
from schema.vocabulary import imei_key, imei_valid


@strawberry.type(
    description="An IMEI as the contract emitted it, valid or not. A valid IMEI has 15 digits, the last of which is "
    "the Luhn check digit; 14 digits, or the 16 digits of an IMEISV, are not valid."
)
class Imei:
    value: str = fields.column("The text as the contract emitted it, including spaces.", source="self")
    valid: bool = fields.value(
        "Whether the text, without spaces and hyphens, has 15 digits and a correct check digit.", imei_valid, "self"
    )
    tac: str | None = fields.value(
        "The Type Allocation Code (the first 8 digits), which identifies maker and model in the GSMA's list. "
        "Null if the IMEI is not valid.",
        lambda text: imei_key(text)[:8] if imei_valid(text) else None,
        "self",
    )


@strawberry.type(description="An attribute that the API has no field for.")
class Attribute:
    name: str = strawberry.field(description="The text as the contract emitted it.")
    value: str = strawberry.field(description="The text as the contract emitted it.")


def attributes_of(rows_of: Callable[..., Any]) -> Callable[..., list[list[Attribute]]]:
    """Returns the batch function of a field with the attributes that a query reads."""

    def batch(context: Context, tokens: Sequence[tuple[Pin, int]]) -> list[list[Attribute]]:
        lists = context.read.each(rows_of, [key_of(pin, id) for pin, id in tokens])
        return [[Attribute(name=row.name, value=row.value) for row in rows] for rows in lists]

    return batch
