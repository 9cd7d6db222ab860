"""Exports the whole register: every table, by chain and month, as it is at one block of each chain.

A row is in the month of its key, the log that named it first, and stays there. An export that continues another one has
the events behind that one's block, and the rows of other tables that differ between the two blocks: they are read at
both and compared as text. If a reorg removed the earlier block, its removed events are listed, and those tables are
written as a whole: the earlier rows show a state that no longer exists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from api.exports.download import CHUNK_ROWS
from api.exports.formats import FORMATS, File
from api.exports.points import Point, points_of
from api.exports.register.files import OutputFile, new_folder
from api.exports.register.manifest import (
    NAME,
    VERSION,
    Block,
    Manifest,
    ManifestError,
    Replaced,
    Since,
    WrittenFile,
    read_manifest,
)
from api.exports.register.parts import Before, Month, months_of, state_before
from api.exports.table import Table
from api.graphql.paging.connections import RowList
from api.queries.sql.as_of import Pin
from api.queries.sql.listings import BY_POSITION
from api.queries.sql.pages import Place
from api.reading.snapshot import Snapshot, open_snapshot_now
from schema.tables.database import DatabaseError, database_name

ALL_ROWS = {"scope": "ALL"}
"""Variables that a table may have, with the values that leave no row out."""


@dataclass(frozen=True)
class Register:
    """The tables of a database."""

    engine: Engine
    tables: Mapping[str, Table]

    def export(self, target: Path, format: str, as_of: Any = None, since: Path | None = None) -> Manifest:
        """Writes a folder of files, and returns its manifest.

        Raises BadUserInput, ManifestError, FolderError, ParquetMissing.
        """
        earlier = read_manifest(since) if since else None
        if earlier and earlier[0].format != format:
            raise ManifestError(
                f"{since} is of an export in the format {earlier[0].format}: add --format {earlier[0].format}."
            )
        with open_snapshot_now(self.engine) as snapshot:
            parts = list(self._parts(snapshot, format, as_of, earlier[0] if earlier else None))
        blocks = [part.block for part in parts]
        with new_folder(target) as folder:
            if not parts:
                raise DatabaseError(f"No chain is indexed yet in {database_name(self.engine)}: certindex sync")
            files = [file for part in parts for file in self._write(folder, part)]
            replaced = [Replaced(name, part.pin.chain_id) for part in parts for name in part.replaced(self.tables)]
            retractions = [each for part in parts if part.before for each in part.before.retractions]
            continued = Since(earlier[1], earlier[0].blocks) if earlier else None
            manifest = Manifest(VERSION, format, blocks, files, continued, replaced, retractions)
            (folder / NAME).write_bytes(manifest.encode())
        return manifest

    def _parts(self, snapshot: Snapshot, format: str, as_of: Any, earlier: Manifest | None) -> "Iterator[_Part]":
        pins = [pin for pin in self._lists(snapshot, "devices", as_of).pins if pin.block is not None]
        old = {block.chain: block for block in earlier.blocks} if earlier else {}
        gone = set(old) - {pin.chain_id for pin in pins}
        if gone:
            raise ManifestError(f"The manifest is of chain {min(gone)}, of which no block is indexed here.")
        for pin, point in zip(pins, points_of(snapshot, pins), strict=True):
            before = state_before(snapshot, pin, old[pin.chain_id]) if pin.chain_id in old else None
            yield _Part(format, pin, point, before, list(months_of(snapshot, pin)))

    def _lists(self, snapshot: Snapshot, name: str, as_of: Any) -> RowList:
        table = self.tables[name]
        variables = {key: value for key, value in ALL_ROWS.items() if key in table.parameters}
        return table.open(snapshot, {**variables, "asOf": as_of})

    def _write(self, folder: Path, part: "_Part") -> Iterator[WrittenFile]:
        for name, table in self.tables.items():
            with open_snapshot_now(self.engine) as snapshot:
                query = self._lists(snapshot, name, None).query._replace(order=BY_POSITION)
            reading = _Reading(self.engine, table, part, RowList(query, 0, _WHOLE, (part.pin,)))
            for month in part.months:
                file = reading.write(folder, month)
                if file is not None:
                    yield file


_WHOLE: Any = None
"""Stands for the window of a list, which each chunk has of its own."""


@dataclass(frozen=True)
class _Part:
    """The part of one chain."""

    format: str
    pin: Pin
    point: Point
    before: Before | None
    months: Sequence[Month]

    @property
    def block(self) -> Block:
        block, point = self.pin.block, self.point
        assert block is not None  # only chains with a block have a part
        digest = f"0x{point.digest.hex()}" if point.digest else None
        return Block(point.chain_id, point.number, f"0x{point.hash.hex()}", block.time, digest)

    def replaced(self, tables: Mapping[str, Table]) -> list[str]:
        """Returns the names of the tables that take the place of earlier ones."""
        is_lost = self.before is not None and self.before.is_lost
        return [name for name, table in tables.items() if not table.has_events] if is_lost else []

    def compared(self, table: Table) -> Pin | None:
        """Returns the pin at which the earlier export has a table's rows, None if it has none that count."""
        return None if self.before is None or self.before.is_lost or table.has_events else self.before.pin


@dataclass(frozen=True)
class _Reading:
    """The rows of one table of a chain."""

    engine: Engine
    table: Table
    part: _Part
    rows: RowList

    def write(self, folder: Path, month: Month) -> WrittenFile | None:
        """Writes the file of a month, None if there is no row for it."""
        chain_id = self.part.pin.chain_id
        file: OutputFile | None = None
        try:
            for texts in self._chunks(month):
                if file is None:
                    file = OutputFile(folder, self._name(month), self._writer())
                file.write(texts)
            return file.end(self.table.name, chain_id, month.name) if file else None
        finally:
            if file:
                file.close()

    def _name(self, month: Month) -> str:
        part = self.part
        return f"{self.table.name}/chain={part.pin.chain_id}/month={month.name}/{part.point.number}.{part.format}"

    def _writer(self) -> Any:
        return FORMATS[self.part.format].make(File(self.table.name, self.table.columns, [self.part.point]))

    def _chunks(self, month: Month) -> Iterator[Sequence[str]]:
        chain_id, before = self.part.pin.chain_id, self.part.before
        first = month.after
        if before is not None and self.table.has_events:
            first = max(first, before.pin.position)
        if first >= month.last:
            return
        place: Place | None = Place(None, chain_id, first)
        end = Place(None, chain_id, month.last + 1)
        notation = FORMATS[self.part.format].notation
        while place is not None:
            with open_snapshot_now(self.engine) as snapshot:
                texts, behind = self.table.read(snapshot, self.rows, place, CHUNK_ROWS, notation, end)
                texts = self._changed(snapshot, texts, place, behind or end)
            place = behind
            if texts:
                yield texts

    def _changed(self, snapshot: Snapshot, texts: Sequence[str], after: Place, last: Place) -> Sequence[str]:
        """Returns the rows that an earlier export does not have as they are."""
        pin = self.part.compared(self.table)
        if pin is None or not texts:
            return texts
        old = RowList(self.rows.query, 0, _WHOLE, (pin,))
        end = last._replace(id=last.id + 1)
        earlier, _ = self.table.read(snapshot, old, after, len(texts), FORMATS[self.part.format].notation, end)
        known = set(earlier)
        return [text for text in texts if text not in known]
