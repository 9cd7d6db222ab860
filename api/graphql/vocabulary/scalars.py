"""The scalars: how values look in requests and answers, and what is said when one does not fit."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from api.queries.sql.times import LAST_SECOND
from schema.abi.keccak import checksummed

BigInt = NewType("BigInt", int)
Address = NewType("Address", bytes)
Bytes = NewType("Bytes", bytes)
Bytes32 = NewType("Bytes32", bytes)

MAX_DIGITS = 100
SHOWN = 80


def date_time(seconds: int | None) -> datetime | None:
    """Returns unix seconds as a time in UTC, None where there is none or it lies after the year 9999."""
    return None if seconds is None or not 0 <= seconds <= LAST_SECOND else EPOCH + timedelta(seconds=seconds)


def block_time(seconds: int) -> datetime:
    """Returns a block's time. Every block has one: on a chain that lives past the year 9999 its last second."""
    return EPOCH + timedelta(seconds=min(seconds, LAST_SECOND))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def big_int(number: int | None) -> BigInt | None:
    """Returns a number where there is one."""
    return None if number is None else BigInt(number)


def address(value: bytes | None) -> Address | None:
    """Returns an address where there is one."""
    return None if value is None else Address(value)


def bytes32(value: bytes | None) -> Bytes32 | None:
    """Returns 32 bytes where there are some."""
    return None if value is None else Bytes32(value)


def _parse_big_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_DIGITS:
        return value
    if isinstance(value, str) and len(value) <= MAX_DIGITS and DECIMAL.fullmatch(value):
        return int(value)
    raise _misfit("BigInt", value, f'a whole number as a decimal string of at most {MAX_DIGITS} digits. Example: "42"')


def _parse_address(value: Any) -> bytes:
    if isinstance(value, str) and ADDRESS.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise _misfit(
        "Address",
        value,
        '0x and 40 hexadecimal digits, in any case. Example: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"',
    )


def _parse_bytes(value: Any) -> bytes:
    if isinstance(value, str) and BYTES.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise _misfit("Bytes", value, '0x and an even number of hexadecimal digits. Example: "0x01ff"')


def _parse_bytes32(value: Any) -> bytes:
    if isinstance(value, str) and BYTES32.fullmatch(value):
        return bytes.fromhex(value[2:])
    raise _misfit("Bytes32", value, f'0x and 64 hexadecimal digits. Example: "0x{"ab" * 32}"')


def _parse_date_time(value: Any) -> datetime:
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        try:
            # a leap second counts as the second after it, and seconds are all that a chain knows
            leap = value[17:19] == "60"
            parsed = datetime.fromisoformat((value[:17] + "59" + value[19:] if leap else value).upper())
            return parsed.astimezone(UTC) + timedelta(seconds=leap)
        except (ValueError, OverflowError):
            pass
    raise _misfit("DateTime", value, 'a time by RFC 3339, best in UTC. Example: "2025-01-31T12:00:00Z"')


DECIMAL = re.compile("-?[0-9]+", re.ASCII)
ADDRESS = re.compile("0[xX][0-9a-fA-F]{40}", re.ASCII)
BYTES = re.compile("0[xX](?:[0-9a-fA-F]{2})*", re.ASCII)
BYTES32 = re.compile("0[xX][0-9a-fA-F]{64}", re.ASCII)
RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,30})?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _misfit(scalar: str, value: Any, wanted: str) -> GraphQLError:
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
    told = f'"{shown}"' if isinstance(value, str) else shown
    return GraphQLError(f"{scalar} cannot be {told}: write {wanted}")


def rfc_3339(value: datetime) -> str:
    """Returns a time in UTC as it is written in answers."""
    return value.isoformat().replace("+00:00", "Z")


def _tell_bytes(value: bytes) -> str:
    return f"0x{value.hex()}"


SCALARS: dict[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description=(
            "A whole number of any size: a decimal string; as input also an exact integer literal or number, "
            "never a float."
        ),
        specified_by_url="https://docs.soliditylang.org/en/latest/types.html#integers",
        serialize=str,
        parse_value=_parse_big_int,
    ),
    Address: strawberry.scalar(
        name="Address",
        description="20 bytes, EIP-55 out; any case in, checksummed or not.",
        specified_by_url="https://eips.ethereum.org/EIPS/eip-55",
        serialize=checksummed,
        parse_value=_parse_address,
    ),
    Bytes: strawberry.scalar(
        name="Bytes",
        description="Bytes as 0x hex.",
        specified_by_url="https://ethereum.org/developers/docs/apis/json-rpc/#unformatted-data-encoding",
        serialize=_tell_bytes,
        parse_value=_parse_bytes,
    ),
    Bytes32: strawberry.scalar(
        name="Bytes32",
        description="32 bytes as 0x hex.",
        specified_by_url="https://ethereum.org/developers/docs/apis/json-rpc/#unformatted-data-encoding",
        serialize=_tell_bytes,
        parse_value=_parse_bytes32,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "RFC 3339 in UTC with Z. A chain time after the year 9999 is null; its seconds stay in "
            "`eventTimeSeconds` and the raw log."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=rfc_3339,
        parse_value=_parse_date_time,
    ),
}
