"""Parquet: rows become columns of Arrow, and leave in row groups.

A row arrives as a line of cells, in which a text is always between quotes, so that an empty text differs from none.
pyarrow parses the lines by the columns' types: its parser takes less time than to make its arrays from Python's values.
"""

import io
import json
from collections.abc import Sequence
from typing import Any

from api.exports.columns import Column
from api.exports.points import Point

EXTRA = (
    "Parquet needs the package pyarrow, which this server does not have. Its operator installs it with: "
    "pip install 'certindex[parquet]'"
)

GROUP_ROWS = 20_000
GROUP_BYTES = 16_000_000
"""A row group ends at so many rows, or bytes of Arrow: readers read one at a time, and a download keeps one."""

COMPRESSION = "snappy"
"""Every reader of Parquet has it, also those without a native library."""


class ParquetMissing(Exception):
    """The package that writes Parquet is not installed."""


class ParquetWriter:
    """Writes one file, whose metadata state the table and the blocks that it is read at. Raises ParquetMissing."""

    def __init__(self, table: str, columns: Sequence[Column], points: Sequence[Point]) -> None:
        try:
            import pyarrow
            from pyarrow import csv, parquet
        except ImportError:
            raise ParquetMissing(EXTRA) from None
        self._arrow: Any = pyarrow
        self._columns = columns
        self._read_csv: Any = csv.read_csv
        self._names = csv.ReadOptions(column_names=[column.name for column in columns])
        self._lines = csv.ParseOptions(newlines_in_values=True)
        self._types = csv.ConvertOptions(
            column_types={column.name: self._parsed_type(column) for column in columns},
            null_values=[""],
            true_values=["true"],
            false_values=["false"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        self._schema = self._schema_of(table, points)
        self._sink = _Sink()
        self._writer: Any = parquet.ParquetWriter(self._sink, self._schema, compression=COMPRESSION)
        self._pending: list[Any] = []

    def begin(self) -> bytes:
        return self._written()

    def write(self, texts: Sequence[str]) -> bytes:
        content = "".join(texts).encode()
        if content:
            # one block: a row may be of any length
            self._names.block_size = len(content) + 1
            parsed = self._read_csv(
                io.BytesIO(content),
                read_options=self._names,
                parse_options=self._lines,
                convert_options=self._types,
            )
            self._pending.append(self._shaped(parsed))
        if sum(table.num_rows for table in self._pending) >= GROUP_ROWS or (
            sum(table.nbytes for table in self._pending) >= GROUP_BYTES
        ):
            self._write_group()
        return self._written()

    def end(self) -> bytes:
        if self._pending:
            self._write_group()
        self._writer.close()
        return self._written()

    def _write_group(self) -> None:
        self._writer.write_table(self._arrow.concat_tables(self._pending).combine_chunks())
        self._pending = []

    def _written(self) -> bytes:
        return self._sink.take()

    def _parsed_type(self, column: Column) -> Any:
        arrow = self._arrow
        if column.is_list:
            return arrow.string()
        types = {
            "Long": arrow.int64(),
            "Int": arrow.int32(),
            "Boolean": arrow.bool_(),
            "DateTime": arrow.timestamp("s", tz="UTC"),
        }
        return types.get(column.type, arrow.string())

    def _schema_of(self, table: str, points: Sequence[Point]) -> Any:
        facts = {"table": table, "blocks": [point.facts() for point in points]}
        return self._arrow.schema(
            [
                self._arrow.field(column.name, self._type(column), metadata={"description": column.description})
                for column in self._columns
            ],
            metadata={"certindex": json.dumps(facts)},
        )

    def _type(self, column: Column) -> Any:
        if column.is_list:
            return self._arrow.list_(self._arrow.int32() if column.type == "Int" else self._arrow.string())
        return self._parsed_type(column)

    def _shaped(self, parsed: Any) -> Any:
        arrays = [
            self._split(array, field.type) if column.is_list else array
            for column, array, field in zip(self._columns, parsed.columns, self._schema, strict=True)
        ]
        return self._arrow.Table.from_arrays(arrays, schema=self._schema)

    def _split(self, texts: Any, type_: Any) -> Any:
        lists = [None if text is None else text.split() for text in texts.to_pylist()]
        if self._arrow.types.is_integer(type_.value_type):
            lists = [None if each is None else list(map(int, each)) for each in lists]
        return self._arrow.array(lists, type_)


class _Sink:
    """A file that is only written. It keeps what was written until that is taken, and its position."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._position = 0

    def write(self, content: Any) -> int:
        piece = bytes(content)
        self._pieces.append(piece)
        self._position += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """Returns what was written since the last time."""
        content, self._pieces = b"".join(self._pieces), []
        return content

    def tell(self) -> int:
        return self._position

    def flush(self) -> None: ...

    def close(self) -> None: ...
