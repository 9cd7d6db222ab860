"""The point at which a SELECT reads: numbers, or columns of the table of keys."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, and_, literal_column

from schema.tables.values import OFFSET_BITS

BITS = literal_column(str(OFFSET_BITS), BigInteger)

ReadNumber = Callable[[Connection, int, Any], int]
"""Reads a number of the chain with an id, as the position of the last log by an instant."""


def no_number(read: ReadNumber, operand: Hashable) -> ColumnElement[int]:
    raise TypeError(f"{read} is not read before this statement")


class Scope(NamedTuple):
    """The key of an object (`keys`, `id`) and where it is read: a chain, a position, a clock in unix seconds.

    `number(read, operand)` is a number of the chain that is read before the statement: a subquery in its place would be
    read for each row.
    """

    keys: FromClause
    chain_id: ColumnElement[int]
    id: ColumnElement[int]
    position: ColumnElement[int]
    clock: ColumnElement[int]
    number: Callable[[ReadNumber, Hashable], ColumnElement[int]] = no_number

    def holds(self, spans: FromClause) -> ColumnElement[bool]:
        """The span is in force: it began at or before the position, and has not ended by it."""
        return in_force(spans, self.chain_id, self.position)

    def began(self, spans: FromClause) -> ColumnElement[bool]:
        """The span began at or before the position, whether it has ended or not."""
        return and_(spans.c.chain_id == self.chain_id, spans.c.valid_from <= self.position)

    def named(self, identities: FromClause) -> ColumnElement[bool]:
        """The first log that names the identity is at or before the position."""
        return and_(identities.c.chain_id == self.chain_id, identities.c.id <= self.position)


def scope_of(keys: FromClause) -> Scope:
    """Returns the scope of each row of a table of keys."""
    return Scope(keys, keys.c.chain_id, keys.c.id, keys.c.position, keys.c.clock)


def in_force(spans: FromClause, chain_id: ColumnElement[int], position: ColumnElement[int]) -> ColumnElement[bool]:
    """The span is in force at a position of a chain."""
    return and_(spans.c.chain_id == chain_id, spans.c.valid_from <= position, spans.c.valid_to > position)


def block_of_log(blocks: FromClause, chain_id: ColumnElement[int], position: ColumnElement[int]) -> ColumnElement[bool]:
    """The block is that of the log at a position of a chain."""
    return and_(blocks.c.chain_id == chain_id, blocks.c.number == block_number_of(position))


def block_number_of(position: ColumnElement[int]) -> ColumnElement[int]:
    """Returns the block number of a position."""
    return position.op(">>", return_type=BigInteger())(BITS)
