"""Refusals of a profile: what is wrong, in which file, rule and field, and the way out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

LAST_BLOCK = 2**43 - 1
"""The highest block for which the database has room."""


class ProfileError(ValueError):
    """A profile, or the contracts it is compiled for, that cannot be right. The message names the place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a profile something stands: the file, then the rule, then the field."""

    path: tuple[str, ...]

    def inside(self, part: str) -> "Place":
        return Place((*self.path, part))

    def refuse(self, what: str) -> NoReturn:
        raise ProfileError(f"{': '.join(self.path)}: {what}")

    def table(self, value: object, known: Iterable[str] = (), example: str = "") -> Mapping[str, Any]:
        """Return the value as a TOML table; refuse another value, and keys that are not known (none given: any key)."""
        if not isinstance(value, dict):
            self.refuse(f"expected a table, found {toml(value)}{example and f'. Example: {example}'}")
        names = tuple(known)
        for key in value:
            if names and key not in names:
                self.refuse(f"unknown key {key!r}{suggestion(key, names)}")
        return value

    def text(self, table: Mapping[str, Any], key: str, example: str) -> str:
        """Return the non-empty text of a required key."""
        value = table.get(key)
        if not isinstance(value, str) or not value:
            found = "is missing" if value is None else f"is {toml(value)}, expected a text"
            self.refuse(f"{key!r} {found}. Example: {key} = {toml(example)}")
        return value

    def count(self, table: Mapping[str, Any], key: str, default: int) -> int:
        """Return a block number, `default` where the key is absent."""
        value = table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LAST_BLOCK:
            self.refuse(f"{key!r} is {toml(value)}, expected a block number")
        return value

    def flag(self, table: Mapping[str, Any], key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self.refuse(f"{key!r} is {toml(value)}, expected true or false")
        return value


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Return the tail of a refusal: the name that was probably meant, else all there are."""
    names = sorted(map(str, choices))
    close = get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names)}" if names else "; there are none"


def toml(value: object) -> str:
    """Write a value as the profile has it, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else "a number of more than 256 bits"
    written = f'"{value}"' if isinstance(value, str) else str(value)
    return written if len(written) <= 80 else f"{written[:77]}..."
