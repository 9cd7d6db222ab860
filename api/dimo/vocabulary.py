"""Scalars, texts and the errors of the schema."""

from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from api.graphql.errors import Code, Refusal
from api.graphql.vocabulary.scalars import SCALARS, Address, BigInt, Bytes, block_time, rfc_3339
from schema.tables.values import OPEN

Time = NewType("Time", int)
"""An instant in unix seconds."""

BigDecimal = NewType("BigDecimal", str)

DIMO_SCALARS: dict[object, ScalarDefinition] = {
    **{kind: SCALARS[kind] for kind in (Address, BigInt, Bytes)},
    Time: strawberry.scalar(name="Time", description="A time by RFC 3339.", serialize=rfc_3339),
    BigDecimal: strawberry.scalar(name="BigDecimal", description="A decimal number, as text.", serialize=str),
}


class NotFound(Refusal):
    """A look-up that other clients of the API expect to fail."""

    code = Code.NOT_FOUND


def to_time(seconds: int) -> Time:
    """Returns a time. One after the year 9999 becomes the last second of that year."""
    return Time(block_time(seconds))


def to_optional_time(seconds: int | None) -> Time | None:
    return None if seconds is None else to_time(seconds)


def last_second(source: str, expires_at: int) -> Time:
    """Returns the expiry of a grant as its event states it: privileges are in force in that second."""
    inclusive = source == "privilege" and expires_at != OPEN
    return to_time(expires_at - inclusive)


def to_hex_number(number: int | None) -> str:
    return hex(number or 0)


def named(kind: str) -> Any:
    """Returns what makes the name of a token. That of DIMO's API has three words of a list that is not public."""
    return lambda token_id: f"{kind} {token_id}"
