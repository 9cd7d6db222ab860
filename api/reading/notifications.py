"""A connection to PostgreSQL that hears what the indexer notifies."""

from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import Engine

from schema.tables.notices import CHANNEL


class Listener:
    """A connection that does nothing else."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def wait(self, seconds: float) -> bool:
        """Returns after a notification or so many seconds. False: the connection is gone."""
        try:
            async for _ in self._connection.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error:
            return False
        return True

    async def close(self) -> None:
        with suppress(psycopg.Error):
            await self._connection.close()


async def listen(engine: Engine) -> Listener | None:
    """Returns a listener, None where the server lets nobody listen."""
    _, options = engine.dialect.create_connect_args(engine.url)
    try:
        connection = await psycopg.AsyncConnection.connect(**options, autocommit=True)
    except psycopg.Error:
        return None
    try:
        await connection.execute(f"LISTEN {CHANNEL}")
    except BaseException as error:
        await connection.close()
        if isinstance(error, psycopg.Error):
            return None
        raise
    return Listener(connection)
