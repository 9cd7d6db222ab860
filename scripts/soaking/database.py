"""What a database holds after a soak."""

from hashlib import sha256
from typing import Any

from sqlalchemy import text

from schema.tables.database import connect
from schema.vocabulary import ALARMS
from tests.support.index.indexing import read_tables

CHAIN_ID = 31337


def scalar(database_url: str, statement: str) -> Any:
    """Returns the value of a query for one row of one column. Raises DBAPIError, NoResultFound."""
    engine = connect(database_url, read_only=True)
    try:
        with engine.connect() as connection:
            return connection.execute(text(statement)).scalar_one()
    finally:
        engine.dispose()


def tables(database_url: str) -> dict[str, list[dict[str, Any]]]:
    engine = connect(database_url)
    try:
        return read_tables(engine, CHAIN_ID)
    finally:
        engine.dispose()


def alarms(database_url: str) -> list[str]:
    engine = connect(database_url)
    try:
        with engine.begin() as connection:
            rows = connection.execute(
                text("SELECT reason FROM verification_failure WHERE cause >= :alarm"), {"alarm": min(ALARMS)}
            )
            return [str(reason) for (reason,) in rows]
    finally:
        engine.dispose()


def digest(tables: dict[str, list[dict[str, Any]]]) -> str:
    """Returns the hash of all rows, each table in the order of its key."""
    return sha256(repr(sorted(tables.items())).encode()).hexdigest()[:16]
