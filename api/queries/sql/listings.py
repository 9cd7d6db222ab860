"""What the lists are: the tables of their rows, which of these rows are in them, their filters and their orders."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, or_, true

from api.queries.sql.filters import Field, Fields, Filter, names_in
from api.queries.sql.relations import Relation
from api.queries.sql.scope import Scope
from api.queries.sql.times import LAST_SECOND


@dataclass(frozen=True)
class Order:
    """By `key` where `present`, then by id; without a key by id alone. Orders of one name and direction are equal.

    `absent` are the conditions under which the key is not present. One of them holds, and an index finds each.
    `present_ascends`: present keys begin at a limit, else they end at one.
    """

    name: str
    key: ColumnElement[Any] | None = field(default=None, compare=False)
    present: ColumnElement[bool] | None = field(default=None, compare=False)
    absent: Sequence[ColumnElement[bool]] = field(default=(), compare=False)
    descending: bool = False
    present_ascends: bool = field(default=False, compare=False)


BY_POSITION = Order("POSITION")
"""By id alone: an id is a position."""


def by_time(name: str, key: ColumnElement[Any]) -> Order:
    """Returns an order by a time, which is absent if RFC 3339 has no form for it. The few absent ones are sorted."""
    return Order(name, key, key <= LAST_SECOND, (key.is_(None), key > LAST_SECOND))


def by_text(name: str, key: ColumnElement[Any]) -> Order:
    """Returns an order by the key column of a text, which is absent if it is empty."""
    return Order(name, key, key > "", (key == "",), present_ascends=True)


def both_directions(*ascending: Order) -> Mapping[tuple[str, bool], Order]:
    """Returns the orders by (name, whether it descends)."""
    return {
        (order.name, descending): replace(order, descending=descending)
        for order in ascending
        for descending in (False, True)
    }


def always(*_: Any) -> ColumnElement[bool]:
    """Holds for every row: the `within` of a list of all rows, the `holds` of rows that only the list restricts."""
    return true()


@dataclass(frozen=True)
class ListPart:
    """One of the tables with the rows of a list: `id` is the row's id there, `holds` whether it is so at a scope."""

    table: FromClause
    id: ColumnElement[int]
    holds: Callable[[Scope, FromClause], ColumnElement[bool]]


@dataclass(frozen=True)
class Listing:
    """A list that has pages, of a parent or of a whole chain. Listings of one name are equal.

    `parts` are the tables that filters and orders use, the main one first; a walk joins only those that it needs.
    `within` is the condition that a row is in the list at a scope. `rows` is the relation of the rows of its pages, and
    `row_id` the column of their ids. `touched` is the condition that an event of an interval is about a row, None if
    the list may change without an event. `settled` are the fields that change only by such events. `shared` are those
    that change by events about other rows too.
    """

    name: str
    parts: Sequence[ListPart] = field(compare=False)
    within: Callable[[Scope], ColumnElement[bool]] = field(compare=False)
    rows: Relation = field(compare=False)
    row_id: ColumnElement[int] = field(compare=False)
    fields: Fields = field(compare=False)
    touched: Callable[[], ColumnElement[bool]] | None = field(default=None, compare=False)
    settled: Set[str] = field(default=frozenset(), compare=False)
    shared: Mapping[str, "SharedField"] = field(default_factory=dict, compare=False)

    def is_settled(self, filter: Filter) -> bool:
        """Returns whether a row that an interval did not touch fits the filter at both of its ends, or at neither."""
        return self.touched is not None and names_in(filter) <= self.settled | self.shared.keys()

    def touched_by(self, filter: Filter) -> Sequence[ColumnElement[bool]]:
        """Returns the condition that the events of an interval may have changed whether a row fits the filter."""
        if self.touched is None:
            return ()
        shared = [self.shared[name].touched() for name in sorted(names_in(filter) & self.shared.keys())]
        return [or_(self.touched(), *shared)]

    @property
    def fields_of_few(self) -> Fields:
        """The fields, as conditions on the few rows that an interval touched."""
        return {**self.fields, **{name: shared.of_few for name, shared in self.shared.items()}}


class SharedField(NamedTuple):
    """A field that compares a row with others. `touched`: an event of an interval is about a row that it compares.

    `of_few` is the same field, as it is fast for few rows: the one for all rows begins with a pass over all.
    """

    touched: Callable[[], ColumnElement[bool]]
    of_few: Field
