"""Prepared statements: SQLAlchemy compiles a statement once, the driver executes it.

To execute a statement that it has compiled before, SQLAlchemy takes several times as long as SQLite does, because it
makes cache keys, contexts and results again. The SQL, the order of the parameters and the types of the columns are the
same every time, and are kept here.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Dialect, Row, Select

from schema.tables.database import wrapped_error

MAX_PREPARED = 1_024

NameT = TypeVar("NameT", str, int)
Process = Callable[[Any], Any]
Values = Mapping[str, Any]


def fetch(connection: Connection, statement: Select[Any], values: Values) -> Sequence[Row[Any]]:
    """Returns all rows of a statement that will be executed again. Raises DBAPIError.

    `values` are those of the parameters to which the statement itself gives no value.
    """
    prepared = _prepare(statement, connection.dialect)
    return connection.execute(statement, values).all() if prepared is None else prepared.fetch(connection, values)


@lru_cache(MAX_PREPARED)
def _prepare(statement: Select[Any], dialect: Dialect) -> "_PreparedSelect | None":
    """Returns None if the text of the SQL depends on the values, as that of an IN does."""
    compiled: Any = statement.compile(dialect=dialect)
    return None if "__[POSTCOMPILE" in compiled.string else _PreparedSelect(statement, compiled, dialect)


class _PreparedSelect:
    def __init__(self, statement: Select[Any], compiled: Any, dialect: Dialect) -> None:
        columns = list(statement.selected_columns)
        self._sql: str = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._bind_processors = _processors(
            (name, parameter.type.dialect_impl(dialect).bind_processor(dialect))
            for name, parameter in compiled.binds.items()
        )
        self._constants = self._bound({name: parameter.effective_value for name, parameter in compiled.binds.items()})
        self._result_processors = _processors(
            (place, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for place, column in enumerate(columns)
        )
        # the columns of its rows have names, like those of SQLAlchemy's rows
        shape = cast(Any, namedtuple)("Row", [column.key for column in columns], rename=True)
        self._to_row: Callable[[Sequence[Any]], Row[Any]] = shape._make
        self._error: type[Exception] = dialect.loaded_dbapi.Error

    def fetch(self, connection: Connection, values: Values) -> Sequence[Row[Any]]:
        named = self._constants | self._bound(values)
        parameters: Any = named if self._order is None else [named[name] for name in self._order]
        driver: Any = connection.connection.driver_connection
        # SQLAlchemy's listeners (statement counts, plans in tests) must see these statements too
        listeners, context = connection.dispatch, SimpleNamespace()
        listeners.before_cursor_execute(connection, None, self._sql, parameters, context, False)
        try:
            rows = driver.execute(self._sql, parameters).fetchall()
        except self._error as error:
            raise wrapped_error(connection, self._sql, error) from error
        listeners.after_cursor_execute(connection, None, self._sql, parameters, context, False)
        return [self._to_row(row) for row in (map(self._processed, rows) if self._result_processors else rows)]

    def _bound(self, values: Values) -> dict[str, Any]:
        bound = dict(values)
        for name, process in self._bind_processors.items():
            if name in bound:
                bound[name] = process(bound[name])
        return bound

    def _processed(self, row: Sequence[Any]) -> Sequence[Any]:
        processed = list(row)
        for place, process in self._result_processors.items():
            processed[place] = process(processed[place])
        return processed


def _processors(processors: Iterable[tuple[NameT, Process | None]]) -> dict[NameT, Process]:
    return {name: process for name, process in processors if process is not None}
