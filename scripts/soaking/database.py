"""What a database holds after a soak."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import Engine, text

from schema.tables.database import connect
from schema.vocabulary import ALARMS
from tests.support.index.indexing import read_tables

CHAIN_ID = 31337


def scalar(database_url: str, statement: str) -> Any:
    """Returns the value of a query for one row of one column. Raises DBAPIError, NoResultFound."""
    with _reading(database_url) as engine, engine.begin() as connection:
        return connection.execute(text(statement)).scalar_one()


def tables(database_url: str) -> dict[str, list[dict[str, Any]]]:
    with _reading(database_url) as engine:
        return read_tables(engine, CHAIN_ID)


def alarms(database_url: str) -> list[str]:
    """Returns the reasons of the verification failures that are alarms."""
    statement = text("SELECT reason FROM verification_failure WHERE cause >= :alarm")
    with _reading(database_url) as engine, engine.begin() as connection:
        return list(connection.execute(statement, {"alarm": min(ALARMS)}).scalars())


@contextmanager
def _reading(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url, read_only=True)
    try:
        yield engine
    finally:
        engine.dispose()


def digest(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Returns the hash of all rows, each table in the order of its key."""
    return sha256(repr(sorted(tables.items())).encode()).hexdigest()[:16]
