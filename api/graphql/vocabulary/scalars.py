"""The scalars: how values are written in requests and responses, and the errors for values that do not fit."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from api.queries.sql.times import LAST_SECOND
from schema.abi.keccak import checksummed
from schema.events import Address as Address
from schema.tables.values import INT64_MAX

BigInt = NewType("BigInt", int)
Long = NewType("Long", int)
Bytes = NewType("Bytes", bytes)
Bytes32 = NewType("Bytes32", bytes)

INT32_MAX = 2**31 - 1
MAX_DIGITS = 100
SHOWN = 80


Seconds = NewType("Seconds", int)
"""A time of a response, in unix seconds. Its scalar is DateTime."""


def date_time(seconds: int | None) -> Seconds | None:
    """Returns a time, None if there is none or it lies after the year 9999."""
    return None if seconds is None or not 0 <= seconds <= LAST_SECOND else Seconds(seconds)


def block_time(seconds: int) -> Seconds:
    """Returns a block time. A time after the year 9999 becomes the last second of that year.

    Raises OverflowError for a time before the year 1, which no block has.
    """
    if seconds < FIRST_SECOND:
        raise OverflowError(f"{seconds} s are before the year 1")
    return Seconds(min(seconds, LAST_SECOND))


EPOCH = date(1970, 1, 1)
DAY = 86_400
FIRST_SECOND = -62_135_596_800


def to_text(value: str | None) -> str | None:
    """Returns a text, None if it is empty or there is none."""
    return value or None


def to_big_int(number: int | None) -> BigInt | None:
    """Returns a number, None if there is none."""
    return None if number is None else BigInt(number)


def to_int32(code: int | None) -> int | None:
    """Returns a code as a GraphQL Int, whose largest value is 2**31 - 1: a contract may emit codes of 256 bits."""
    return None if code is None else min(code, INT32_MAX)


def to_address(value: bytes | None) -> Address | None:
    """Returns an address, None if there is none."""
    return None if value is None else Address(value)


def to_bytes32(value: bytes | None) -> Bytes32 | None:
    """Returns 32 bytes, None if there are none."""
    return None if value is None else Bytes32(value)


def _parse_big_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_DIGITS:
        return value
    if isinstance(value, str) and len(value) <= MAX_DIGITS and DECIMAL.fullmatch(value):
        return int(value)
    raise _misfit("BigInt", value, f'a whole number as a decimal string of at most {MAX_DIGITS} digits. Example: "42"')


def _parse_long(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT64_MAX:
        return value
    raise _misfit("Long", value, "a whole number from 0 to 2^63 - 1. Example: 42")


def _hex_parser(scalar: str, digits: str, form: str, example: str) -> Callable[[Any], bytes]:
    """Returns the parser of a scalar of bytes. `digits`: the regular expression of what follows 0x."""
    pattern = re.compile(f"0[xX]{digits}", re.ASCII)

    def parse(value: Any) -> bytes:
        if isinstance(value, str) and pattern.fullmatch(value):
            return bytes.fromhex(value[2:])
        raise _misfit(scalar, value, f'{form}. Example: "{example}"')

    return parse


def _parse_date_time(value: Any) -> datetime:
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        try:
            # a leap second counts as the second after it; chain times have no fractions of seconds
            leap = value[17:19] == "60"
            parsed = datetime.fromisoformat((value[:17] + "59" + value[19:] if leap else value).upper())
            return parsed.astimezone(UTC) + timedelta(seconds=leap)
        except (ValueError, OverflowError):
            pass
    raise _misfit("DateTime", value, 'a time by RFC 3339, best in UTC. Example: "2025-01-31T12:00:00Z"')


DECIMAL = re.compile("-?[0-9]+", re.ASCII)
RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,30})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _misfit(scalar: str, value: Any, form: str) -> GraphQLError:
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
    quoted = f'"{shown}"' if isinstance(value, str) else shown
    return GraphQLError(f"{scalar} cannot be {quoted}: write {form}")


@lru_cache(maxsize=4096)
def rfc_3339(seconds: int) -> str:
    """Returns a time in UTC as responses write it."""
    days, rest = divmod(seconds, DAY)
    return f"{_day(days)}{MINUTES[rest // 60]}{SECONDS[rest % 60]}"


# an export writes a million times, most of them once: to format three numbers takes four times as long
MINUTES = [f"T{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)]
SECONDS = [f"{second:02}Z" for second in range(60)]


@lru_cache(maxsize=4096)
def _day(days: int) -> str:
    return (EPOCH + timedelta(days=days)).isoformat()


def _serialize_bytes(value: bytes) -> str:
    return f"0x{value.hex()}"


SCALARS: dict[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description=(
            "An integer of any size, as a decimal string. Input may also be an exact integer literal "
            "or number, never a float."
        ),
        specified_by_url="https://docs.soliditylang.org/en/latest/types.html#integers",
        serialize=str,
        parse_value=_parse_big_int,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number from 0 to 2^63 - 1, as a JSON number. Up to 2^53 JavaScript reads it exactly.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-6",
        serialize=int,
        parse_value=_parse_long,
    ),
    Address: strawberry.scalar(
        name="Address",
        description="An address: 20 bytes as 0x hex. Output has the EIP-55 checksum; input may have any case, "
        "with or without a correct checksum.",
        specified_by_url="https://eips.ethereum.org/EIPS/eip-55",
        serialize=checksummed,
        parse_value=_hex_parser(
            "Address",
            "[0-9a-fA-F]{40}",
            "0x and 40 hexadecimal digits, in any case",
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
    ),
    Bytes: strawberry.scalar(
        name="Bytes",
        description="Bytes as 0x hex.",
        specified_by_url="https://ethereum.org/developers/docs/apis/json-rpc/#unformatted-data-encoding",
        serialize=_serialize_bytes,
        parse_value=_hex_parser(
            "Bytes", "(?:[0-9a-fA-F]{2})*", "0x and an even number of hexadecimal digits", "0x01ff"
        ),
    ),
    Bytes32: strawberry.scalar(
        name="Bytes32",
        description="32 bytes as 0x hex.",
        specified_by_url="https://ethereum.org/developers/docs/apis/json-rpc/#unformatted-data-encoding",
        serialize=_serialize_bytes,
        parse_value=_hex_parser("Bytes32", "[0-9a-fA-F]{64}", "0x and 64 hexadecimal digits", f"0x{'ab' * 32}"),
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "A time in UTC by RFC 3339, with Z. A time on chain after the year 9999 is null; "
            "`eventTimeSeconds` and the raw log have its seconds."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=rfc_3339,
        parse_value=_parse_date_time,
    ),
}
