"""The spans of one table while a batch is folded: open rows, rows to insert, stored rows to close."""

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from schema.tables.values import OFFSET_BITS


class Span(Protocol):
    valid_from: int
    valid_to: int


SpanT = TypeVar("SpanT", bound=Span)
KeyT = TypeVar("KeyT", bound=Hashable)


class RowSpans(Generic[KeyT, SpanT]):
    """Open rows by key. A row that the batch opens may still change; a stored row is only closed.

    With `one_a_block`, the changes of one block make one row, begun at the last of them. `opened` are the rows to
    insert, those that the batch closed again included; `closed` are the stored rows that now have an end.
    """

    def __init__(self, stored: dict[KeyT, SpanT], *, one_a_block: bool) -> None:
        self.open = dict(stored)
        self.opened: list[SpanT] = []
        self.closed: list[SpanT] = []
        self._stored = {id(row): row for row in stored.values()}
        self._before: dict[KeyT, SpanT] = {}
        self._same = OFFSET_BITS if one_a_block else 0

    def start(self, key: KeyT, row: SpanT) -> SpanT:
        """Opens the row."""
        self.open[key] = row
        self.opened.append(row)
        return row

    def end(self, key: KeyT, position: int) -> SpanT:
        """Closes the open row and returns it, so that the caller can add why."""
        return self._close(self.open.pop(key), position)

    def change(self, key: KeyT, position: int) -> SpanT:
        """Returns a copy of the open row that begins at `position`, to be changed in place."""
        row = self.open[key]
        if row.valid_from >> self._same == position >> self._same and id(row) not in self._stored:
            row.valid_from = position
            if key in self._before:
                self._before[key].valid_to = position
            return row
        new: SpanT = row.__copy__()  # type: ignore[attr-defined]  # copy.copy() takes four times as long
        new.valid_from = position
        self._before[key] = self._close(row, position)
        return self.start(key, new)

    def _close(self, row: SpanT, position: int) -> SpanT:
        if id(row) in self._stored:
            # a copy, since the stored row may be in a cache that outlives a failed step
            row = row.__copy__()  # type: ignore[attr-defined]
            self.closed.append(row)
        row.valid_to = position
        return row
