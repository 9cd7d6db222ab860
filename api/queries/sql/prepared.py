"""Statements that are made once: SQLAlchemy writes the SQL, the driver executes it.

To execute a statement that it has compiled before, SQLAlchemy still takes several times as long as SQLite takes for all
of it: it makes keys, contexts and results anew. What of that an answer needs is a list of parameters and the columns'
types, which are the same every time.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Dialect, Row, Select
from sqlalchemy.exc import DBAPIError

KEPT = 1_024

NameT = TypeVar("NameT", str, int)
Process = Callable[[Any], Any]
Values = Mapping[str, Any]


def fetch(connection: Connection, statement: Select[Any], values: Values) -> Sequence[Row[Any]]:
    """Returns all rows of a statement that is kept to be executed again. Raises DBAPIError.

    `values` are those of its parameters that it has no value for.
    """
    prepared = _prepare(statement, connection.dialect)
    return connection.execute(statement, values).all() if prepared is None else prepared.fetch(connection, values)


@lru_cache(KEPT)
def _prepare(statement: Select[Any], dialect: Dialect) -> "_Prepared | None":
    """Returns None for a statement whose text depends on its values."""
    compiled: Any = statement.compile(dialect=dialect)
    return None if "__[POSTCOMPILE" in compiled.string else _Prepared(statement, compiled, dialect)


class _Prepared:
    def __init__(self, statement: Select[Any], compiled: Any, dialect: Dialect) -> None:
        columns = list(statement.selected_columns)
        self._sql: str = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._binds = _processors(
            (name, parameter.type.dialect_impl(dialect).bind_processor(dialect))
            for name, parameter in compiled.binds.items()
        )
        self._constants = self._bound({name: parameter.effective_value for name, parameter in compiled.binds.items()})
        self._reads = _processors(
            (place, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for place, column in enumerate(columns)
        )
        # its rows are read like SQLAlchemy's: by name
        shape = cast(Any, namedtuple)("Row", [column.key for column in columns], rename=True)
        self._to_row: Callable[[Sequence[Any]], Row[Any]] = shape._make
        self._error: type[Exception] = dialect.loaded_dbapi.Error

    def fetch(self, connection: Connection, values: Values) -> Sequence[Row[Any]]:
        named = self._constants | self._bound(values)
        given: Any = named if self._order is None else [named[name] for name in self._order]
        driver: Any = connection.connection.driver_connection
        # who listens to statements hears of these too
        heard, context = connection.dispatch, SimpleNamespace()
        heard.before_cursor_execute(connection, None, self._sql, given, context, False)
        try:
            found = driver.execute(self._sql, given).fetchall()
        except self._error as error:
            raise DBAPIError(self._sql, None, error) from error
        heard.after_cursor_execute(connection, None, self._sql, given, context, False)
        return [self._to_row(row) for row in (map(self._read, found) if self._reads else found)]

    def _bound(self, values: Values) -> dict[str, Any]:
        bound = dict(values)
        for name, process in self._binds.items():
            if name in bound:
                bound[name] = process(bound[name])
        return bound

    def _read(self, row: Sequence[Any]) -> Sequence[Any]:
        read = list(row)
        for place, process in self._reads.items():
            read[place] = process(read[place])
        return read


def _processors(found: Iterable[tuple[NameT, Process | None]]) -> dict[NameT, Process]:
    return {name: process for name, process in found if process is not None}
