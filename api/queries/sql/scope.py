"""The point at which a SELECT reads: numbers, or columns of the table of keys."""

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    and_,
    case,
    func,
    literal,
    literal_column,
    select,
)

from api.queries.sql import tables
from schema.tables.values import INT64_MAX, OFFSET_BITS

BITS = literal_column(str(OFFSET_BITS), BigInteger)


class Scope(NamedTuple):
    """The key of an object (`keys`, `id`) and where it is read: a chain, a position, a clock in unix seconds.

    `connection`: that of a scope of one point, whose instants are read before the statement. Without it, the statement
    itself finds the block of an instant for each key.
    """

    keys: FromClause
    chain_id: ColumnElement[int]
    id: ColumnElement[int]
    position: ColumnElement[int]
    clock: ColumnElement[int]
    connection: Connection | None = None

    def holds(self, spans: FromClause) -> ColumnElement[bool]:
        """The span is in force: it began at or before the position, and has not ended by it."""
        return in_force(spans, self.chain_id, self.position)

    def began(self, spans: FromClause) -> ColumnElement[bool]:
        """The span began at or before the position, whether it has ended or not."""
        return and_(spans.c.chain_id == self.chain_id, spans.c.valid_from <= self.position)

    def named(self, identities: FromClause) -> ColumnElement[bool]:
        """The first log that names the identity is at or before the position."""
        return and_(identities.c.chain_id == self.chain_id, identities.c.id <= self.position)

    def active_at(self, seconds: int | None) -> "Scope":
        """Returns the scope at an instant: after the last block at or before it, but not after this scope."""
        if seconds is None:
            return self
        end = last_position_by(self, seconds)
        return self._replace(
            position=case((end < self.position, end), else_=self.position), clock=literal(seconds, BigInteger)
        )


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


def first_position_from(scope: Scope, seconds: int) -> ColumnElement[int]:
    """Returns the first position whose block time is at or after an instant; if there is none, the largest int64."""
    block = tables.block.c
    number = _block_number(scope, block.timestamp >= seconds, block.timestamp.asc(), block.number.asc())
    return func.coalesce(number.op("<<")(BITS), literal_column(str(INT64_MAX), BigInteger))


def last_position_by(scope: Scope, seconds: int) -> ColumnElement[int]:
    """Returns the last position whose block time is at or before an instant; if there is none, -1."""
    block = tables.block.c
    number = _block_number(scope, block.timestamp <= seconds, block.timestamp.desc(), block.number.desc())
    return func.coalesce((number + 1).op("<<")(BITS) - 1, literal_column("-1", BigInteger))


def _block_number(scope: Scope, condition: ColumnElement[bool], *order: Any) -> ColumnElement[int]:
    block = tables.block
    number = select(block.c.number).where(block.c.chain_id == scope.chain_id, condition).order_by(*order).limit(1)
    if scope.connection is None:
        return number.correlate(scope.keys).scalar_subquery()
    return literal(scope.connection.scalar(number), BigInteger)
