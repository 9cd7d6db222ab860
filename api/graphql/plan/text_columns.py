"""How exports write rows: thousands at a time, column by column.

Of a column each distinct value is written once, as most columns repeat few, and what writes many values in one call
does so. Writing row by row, as responses with few rows are written, takes several times as long.
"""

from collections.abc import Callable, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple

from api.graphql.plan.write import TextWriter
from api.reading.read import Shape

Values = Sequence[Any]


class Block(NamedTuple):
    """Rows with their pins, the columns of their cells, and the texts of the fields that are read for them.

    Objects that are no rows of a relation have attributes in place of cells.
    """

    rows: Values
    pins: Values
    cells: Sequence[Values] = ()
    selected: Sequence[Sequence[str]] = ()

    def where(self, present: Values) -> "Block":
        """Returns the rows that a column marks."""
        rows, pins = list(compress(self.rows, present)), list(compress(self.pins, present))
        return block_of(rows, pins) if self.cells else Block(rows, pins)


def block_of(rows: Values, pins: Values, selected: Sequence[Sequence[str]] = ()) -> Block:
    """Returns rows of a relation as a block. Cells behind those of the shortest row are left out: no field has them."""
    return Block(rows, pins, list(zip(*rows, strict=False)), selected)


Cell = Callable[[Block], Values]
"""Returns the values of one cell, a value for each row."""


def cell_of(name: str, shape: Shape | None) -> Cell:
    """Returns what takes a cell of rows of a shape, or of plain objects."""
    match name:
        case "self" | "row":
            return attrgetter("rows")
        case "pin":
            return attrgetter("pins")
    if shape is None:
        attribute = attrgetter(name)
        return lambda block: list(map(attribute, block.rows))
    place = shape.place(name)
    return lambda block: block.cells[place]


TextColumn = Callable[[Block], Sequence[str]]
"""Returns the texts of one field, a text for each row."""

Convert = Callable[..., Any]
"""Returns the value of a field from its cells."""


def constant(text: str) -> TextColumn:
    """Returns the column that has one text in all rows."""
    return lambda block: [text] * len(block.rows)


def selected(index: int) -> TextColumn:
    """Returns the column of the field that was read as the level's nth."""
    return lambda block: block.selected[index]


def repeated(cell: Cell, convert: Convert | None, texts: TextWriter) -> TextColumn:
    """Returns the column of a cell. It converts and writes each distinct value once."""

    def column(block: Block) -> Sequence[str]:
        values = cell(block)
        distinct = list(dict.fromkeys(values))
        written = _written(list(map(convert, distinct)) if convert else distinct, texts)
        if len(written) == 1:
            return [written[0]] * len(values)
        if len(written) == len(values):
            return written
        return list(map(dict(zip(distinct, written, strict=True)).__getitem__, values))

    return column


def made(cells: Sequence[Cell], convert: Convert, texts: TextWriter) -> TextColumn:
    """Returns the column of values that are each made from several cells, or from one that may not be compared."""
    return lambda block: _written(list(map(convert, *[cell(block) for cell in cells])), texts)


def _written(values: Values, texts: TextWriter) -> Sequence[str]:
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        return texts.write(present)
    missing, written = texts.missing(), iter(texts.write(present))
    return [missing if value is None else next(written) for value in values]


def objects(cells: Sequence[Cell], convert: Convert, write: TextColumn, missing: Callable[[], str]) -> TextColumn:
    """Returns the column of objects that are made from cells. `write` writes them, `missing` those that are None."""

    def column(block: Block) -> Sequence[str]:
        values = list(map(convert, *[cell(block) for cell in cells]))
        return _spread(Block(values, block.pins), [value is not None for value in values], write, missing)

    return column


def parts(present: Cell | None, write: TextColumn, missing: Callable[[], str]) -> TextColumn:
    """Returns the column of a part of each row, which is missing where the cell `present` is empty."""
    if present is None:
        return write
    return lambda block: _spread(block, present(block), write, missing)


def _spread(block: Block, present: Values, write: TextColumn, missing: Callable[[], str]) -> Sequence[str]:
    if all(present):
        return write(block)
    text = missing()
    if not any(present):
        return [text] * len(present)
    written = iter(write(block.where(present)))
    return [next(written) if marked else text for marked in present]
