"""Joins in a fixed order: from the keys to the rows that they name.

Without statistics SQLite may begin with a whole table and compare each of its rows with each key. On SQLite the join is
therefore written as CROSS JOIN, which keeps the order of its tables. PostgreSQL orders joins by its own statistics.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Join
from sqlalchemy.ext.compiler import compiles


class OrderedJoin(Join):
    """A join of tables from left to right."""

    inherit_cache = True

    def then(self, table: FromClause, condition: ColumnElement[bool]) -> "OrderedJoin":
        """Returns the join with one more table at its end."""
        return OrderedJoin(self, table, condition)


@compiles(OrderedJoin)
def _join(join: OrderedJoin, compiler: Any, **kwargs: Any) -> str:
    text: str = compiler.visit_join(join, **kwargs)
    return text


@compiles(OrderedJoin, "sqlite")
def _cross_join(join: OrderedJoin, compiler: Any, **kwargs: Any) -> str:
    left = compiler.process(join.left, **{**kwargs, "asfrom": True})
    right = compiler.process(join.right, **{**kwargs, "asfrom": True})
    condition = compiler.process(join.onclause, **{**kwargs, "asfrom": False})
    return f"{left} CROSS JOIN {right} ON {condition}"
