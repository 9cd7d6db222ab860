"""The formats of an export. Each writes the beginning of a file, its rows chunk by chunk, and its end."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from api.exports.columns import Column
from api.graphql.plan.write import CSV, JSON, Notation


class FileWriter(Protocol):
    """Writes one file."""

    def begin(self) -> bytes: ...
    def write(self, texts: Sequence[str]) -> bytes: ...
    def end(self) -> bytes: ...


class _Lines:
    """Rows that are lines; a file of CSV begins with one of names, unless it continues another."""

    def __init__(self, head: str) -> None:
        self._head = head

    def begin(self) -> bytes:
        return self._head.encode()

    def write(self, texts: Sequence[str]) -> bytes:
        return "".join(texts).encode()

    def end(self) -> bytes:
        return b""


Make = Callable[[Sequence[Column], Sequence[str], bool], FileWriter]
"""Makes the writer of a file from its columns, the blocks that it is read at, and whether it continues another file."""


class Format(NamedTuple):
    """A format. `notation` is that of the texts that its writer takes."""

    media_type: str
    notation: Notation
    make: Make


def _csv(columns: Sequence[Column], _: Sequence[str], continues: bool) -> FileWriter:
    return _Lines("" if continues else ",".join(column.name for column in columns) + "\n")


def _ndjson(_columns: Sequence[Column], _points: Sequence[str], _continues: bool) -> FileWriter:
    return _Lines("")


FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv; charset=utf-8; header=present", CSV, _csv),
    "ndjson": Format("application/x-ndjson", JSON, _ndjson),
}
