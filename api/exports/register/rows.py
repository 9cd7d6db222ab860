"""Counts the rows of a file."""

import csv
from pathlib import Path
from typing import Any

from api.exports.parquet import EXTRA, ParquetMissing


def row_count(path: Path, format: str) -> int | None:
    """Returns the number of rows of a file, None if the format is not known. Raises ParquetMissing."""
    match format:
        case "csv":
            with path.open(newline="", encoding="utf-8") as lines:
                return sum(1 for _ in csv.reader(lines)) - 1
        case "ndjson":
            with path.open("rb") as lines:
                return sum(1 for _ in lines)
        case "parquet":
            return _parquet_rows(path)
        case _:
            return None


def _parquet_rows(path: Path) -> int:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ParquetMissing(EXTRA) from None
    reader: Any = parquet.read_metadata(path)
    count: int = reader.num_rows
    return count
