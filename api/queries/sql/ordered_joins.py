"""Joins whose order is ours: from the keys asked for to the rows they name, never from whole tables to the keys.

SQLite without statistics may begin with a table and judge every row of it against every key. There CROSS JOIN means:
in this order. PostgreSQL orders joins by its statistics.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Join
from sqlalchemy.ext.compiler import compiles


class Steps(Join):
    """A join that goes on from left to right."""

    inherit_cache = True

    def step(self, table: FromClause, condition: ColumnElement[bool]) -> "Steps":
        """Returns the join with one more table at its end."""
        return Steps(self, table, condition)


@compiles(Steps)
def _in_any_order(join: Steps, compiler: Any, **kwargs: Any) -> str:
    text: str = compiler.visit_join(join, **kwargs)
    return text


@compiles(Steps, "sqlite")
def _in_this_order(join: Steps, compiler: Any, **kwargs: Any) -> str:
    left = compiler.process(join.left, **{**kwargs, "asfrom": True})
    right = compiler.process(join.right, **{**kwargs, "asfrom": True})
    condition = compiler.process(join.onclause, **{**kwargs, "asfrom": False})
    return f"{left} CROSS JOIN {right} ON {condition}"
