"""The formats of an export. Each writes the beginning of a file, its rows chunk by chunk, and its end."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from api.exports.columns import Column
from api.exports.parquet import ParquetWriter
from api.exports.points import Point
from api.graphql.plan.write import CSV, JSON, QUOTED_CELLS, Notation


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


class File(NamedTuple):
    """What a file is of: its table and columns, and the blocks that it is read at.

    `continues`: it is the rest of another file.
    """

    table: str
    columns: Sequence[Column]
    points: Sequence[Point]
    continues: bool = False


class Format(NamedTuple):
    """A format. `notation` is that of the texts that its writer takes. `resumes`: another file may complete one."""

    media_type: str
    notation: Notation
    make: Callable[[File], FileWriter]
    resumes: bool = True


def _csv(file: File) -> FileWriter:
    return _Lines("" if file.continues else ",".join(column.name for column in file.columns) + "\n")


def _ndjson(_: File) -> FileWriter:
    return _Lines("")


def _parquet(file: File) -> FileWriter:
    return ParquetWriter(file.table, file.columns, file.points)


FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv; charset=utf-8; header=present", CSV, _csv),
    "ndjson": Format("application/x-ndjson", JSON, _ndjson),
    "parquet": Format("application/vnd.apache.parquet", QUOTED_CELLS, _parquet, resumes=False),
}
