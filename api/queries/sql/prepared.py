"""Prepared statements: SQLAlchemy compiles a statement once, the driver executes it.

To execute a statement that it has compiled before, SQLAlchemy takes several times as long as SQLite does, because it
makes cache keys, contexts and results again. The SQL, the order of the parameters and the types of the columns are the
same every time, and are kept here.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import Connection, Dialect, Row, Select

from schema.tables.database import wrapped_error

MAX_PREPARED = 1_024

Process = Callable[[Any], Any]
Values = Mapping[str, Any]


def fetch(connection: Connection, statement: Select[Any], values: Values) -> Sequence[Row[Any]]:
    """Returns all rows of a statement that will be executed again. Raises DBAPIError.

    `values` are those of the parameters to which the statement itself gives no value.
    """
    prepared = _prepare(statement, connection.dialect)
    return connection.execute(statement, values).all() if prepared is None else prepared.fetch(connection, values)


def fetch_tuples(connection: Connection, statement: Select[Any], values: Values) -> Sequence[tuple[Any, ...]]:
    """Returns the same rows without names: tuples, those of the driver itself if no column has to be converted."""
    prepared = _prepare(statement, connection.dialect)
    if prepared is None:
        return [tuple(row) for row in connection.execute(statement, values)]
    return prepared.fetch_tuples(connection, values)


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
        self._convert = _conversion(
            [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        )
        # the columns of its rows have names, like those of SQLAlchemy's rows
        shape = cast(Any, namedtuple)("Row", [column.key for column in columns], rename=True)
        self._to_row: Callable[[Sequence[Any]], Row[Any]] = shape._make
        self._error: type[Exception] = dialect.loaded_dbapi.Error

    def fetch(self, connection: Connection, values: Values) -> Sequence[Row[Any]]:
        return [self._to_row(row) for row in self.fetch_tuples(connection, values)]

    def fetch_tuples(self, connection: Connection, values: Values) -> Sequence[tuple[Any, ...]]:
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
        converted: Sequence[tuple[Any, ...]] = rows if self._convert is None else self._convert(rows)
        return converted

    def _bound(self, values: Values) -> dict[str, Any]:
        bound = dict(values)
        for name, process in self._bind_processors.items():
            if name in bound:
                bound[name] = process(bound[name])
        return bound


def _processors(processors: Iterable[tuple[str, Process | None]]) -> dict[str, Process]:
    return {name: process for name, process in processors if process is not None}


def _conversion(processors: Sequence[Process | None]) -> Callable[[Any], Any] | None:
    """Returns the function that converts the cells of rows by their columns' types, None if no cell needs it."""
    if not any(processors):
        return None
    cells = [f"r[{place}]" if process is None else f"f{place}(r[{place}])" for place, process in enumerate(processors)]
    names = {f"f{place}": process for place, process in enumerate(processors)}
    conversion: Callable[[Any], Any] = eval(f"lambda rows: [({', '.join(cells)},) for r in rows]", names)
    return conversion
