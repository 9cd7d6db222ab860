"""The parameter `asOf` of addresses: a date, a time, a block number or a block hash."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Any, TypeVar

from api.graphql.errors import BadUserInput
from schema.times import utc_text

DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?", re.ASCII)
NUMBER = re.compile(r"\d{1,20}", re.ASCII)
HASH = re.compile(r"0[xX][0-9a-fA-F]{64}", re.ASCII)
ParsedT = TypeVar("ParsedT")
LAST_MOMENT = time_of_day(23, 59, 59)


@dataclass(frozen=True, slots=True)
class AsOf:
    """A point in the past. `text` is the parameter, `variable` the input of GraphQL's."""

    text: str
    variable: dict[str, Any]
    instant: datetime | None = None

    @property
    def block(self) -> str | None:
        """The block's number or hash, None if the point is an instant."""
        return None if self.instant else str(next(iter(self.variable.values())))


def parse_as_of(text: str, now: datetime, name: str = "asOf") -> AsOf | None:
    """Returns the point that a parameter names, None for the present. Raises BadUserInput, which names the parameter.

    A date is the end of that day in UTC, as in an audit; today is the present. A time without a zone is in UTC.
    """
    text = text.strip()
    if not text:
        return None
    if DATE.fullmatch(text):
        day = _parsed(date.fromisoformat, text, name)
        return None if day == now.date() else _at(text, datetime.combine(day, LAST_MOMENT, UTC))
    if TIME.fullmatch(text):
        return _at(text, _parsed(_instant, text, name))
    if NUMBER.fullmatch(text):
        return AsOf(text, {"block": text})
    if HASH.fullmatch(text):
        return AsOf(text, {"blockHash": text})
    raise _wrong(text, name)


def as_of_variable(text: str, name: str = "asOf") -> dict[str, Any] | None:
    """Returns the input `AsOf` of a parameter, None for the present. Raises BadUserInput, which names the parameter."""
    point = parse_as_of(text, datetime.now(UTC), name)
    return None if point is None else point.variable


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _at(text: str, instant: datetime) -> AsOf:
    return AsOf(text, {"timestamp": utc_text(instant)}, instant)


def _parsed(parse: Callable[[str], ParsedT], text: str, name: str) -> ParsedT:
    try:
        return parse(text)
    except (ValueError, OverflowError):
        raise _wrong(text, name) from None


def _wrong(text: str, name: str) -> BadUserInput:
    return BadUserInput(
        f"{name} is “{text[:80]}”. Give a date (2025-06-01), a time (2025-06-01T12:00Z), a block number or a block "
        "hash."
    )
