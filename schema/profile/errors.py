"""Errors of a profile: what is wrong, in which file, rule and field, and how to correct it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn

from schema.tables.values import MAX_BLOCK_NUMBER


class ProfileError(ValueError):
    """A profile is invalid, or the addresses it is compiled for are. The message names the place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a profile: the file, then the rule, then the field."""

    path: tuple[str, ...]

    def inside(self, part: str) -> "Place":
        return Place((*self.path, part))

    def refuse(self, message: str) -> NoReturn:
        raise ProfileError(f"{': '.join(self.path)}: {message}")

    def table(self, value: object, keys: Iterable[str] = (), example: str = "") -> Mapping[str, Any]:
        """Returns the value if it is a TOML table that has no other keys than `keys`; empty `keys` allow any."""
        if not isinstance(value, dict):
            self.refuse(f"expected a table, found {toml(value)}{example and f'. Example: {example}'}")
        names = tuple(keys)
        for key in value:
            if names and key not in names:
                self.refuse(f"unknown key {key!r}{suggestion(key, names)}")
        return value

    def text(self, table: Mapping[str, Any], key: str, example: str) -> str:
        """Returns the text of a required key. It must not be empty."""
        value = table.get(key)
        if not isinstance(value, str) or not value:
            problem = "is missing" if value is None else f"is {toml(value)}, expected a text"
            self.refuse(f"{key!r} {problem}. Example: {key} = {toml(example)}")
        return value

    def block_number(self, table: Mapping[str, Any], key: str, default: int) -> int:
        value = table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_BLOCK_NUMBER:
            self.refuse(f"{key!r} is {toml(value)}, expected a block number")
        return value

    def flag(self, table: Mapping[str, Any], key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self.refuse(f"{key!r} is {toml(value)}, expected true or false")
        return value


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Returns the end of an error message: the choice closest to a wrong name, else all choices."""
    names = sorted(map(str, choices))
    close = get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names)}" if names else "; there are none"


def toml(value: object) -> str:
    """Returns a value as TOML writes it, at most 80 characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else "a number of more than 256 bits"
    written = f'"{value}"' if isinstance(value, str) else str(value)
    return written if len(written) <= 80 else f"{written[:77]}..."
