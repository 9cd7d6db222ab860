"""The text of an answer: JSON of bounded size, in which invisible characters are visible.

An agent reads every byte of an answer, and pays for it. If an answer is too large, a list loses its last rows, which
the next page has; then long texts and nested lists are cut, and say so.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

Json = dict[str, Any]

MAX_BYTES = 19_000
"""Of an answer inside its JSON-RPC response, so that the whole response is smaller than 20 kB."""

BOUNDS = ((500, 25), (200, 10), (80, 3))
"""Longest text in characters, and longest list within a row or a device, from the most to the least generous."""

WHOLE = {"tokenDID", "address", "owner"}
"""Names of values that are never cut: they are keys of other calls, and of known size."""

_INVISIBLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool answers: `head`, and, if `name` is set, a page of rows under that name.

    `cursors` are those of the rows, to continue after each of them; `more` is whether others follow the last one.
    """

    head: Json
    name: str = ""
    rows: Sequence[Json] = ()
    cursors: Sequence[str | int] = ()
    more: bool = False

    def write(self) -> str | None:
        """Returns the text, with as many rows as fit. Returns None if not even one does."""
        for bound in BOUNDS:
            head, rows = _cut(self.head, *bound), [_cut(row, *bound) for row in self.rows]
            count = bisect_right(range(len(rows) + 1), MAX_BYTES, key=partial(self._size, head, rows)) - 1
            # a page of a list has a row: otherwise it would have no cursor
            if count >= min(len(rows), 1):
                return self._text(head, rows[:count])
        return None

    def _size(self, head: Json, rows: Sequence[Json], count: int) -> int:
        return size_of(self._text(head, rows[:count]))

    def _text(self, head: Json, rows: Sequence[Json]) -> str:
        if not self.name:
            return write_json(head)
        is_last = len(rows) == len(self.rows) and not self.more
        return write_json({**head, self.name: rows, "next": None if is_last else self.cursors[len(rows) - 1]})


def write_json(value: Any) -> str:
    """Returns compact JSON in which invisible characters are escaped, so that no text is hidden from a reader."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _INVISIBLE.sub(lambda match: match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1], text)


def size_of(text: str) -> int:
    """Returns the bytes of a text inside a JSON-RPC response."""
    return len(json.dumps(text))  # in ASCII, as the library writes it


def _cut(value: Any, longest: int, most: int) -> Any:
    """Returns JSON with its long texts and its long lists cut."""
    match value:
        case dict():
            return {name: item if name in WHOLE else _cut(item, longest, most) for name, item in value.items()}
        case list():
            rest = [f"… {len(value) - most} more"] if len(value) > most else []
            return [_cut(item, longest, most) for item in value[:most]] + rest
        case str() if len(value) > longest:
            return f"{value[:longest]}… ({len(value)} characters)"
    return value
