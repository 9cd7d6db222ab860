"""A PostgreSQL server and its hot standby, with one database that has the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy import make_url

from tests.support.index.indexing import engine_of
from tests.support.postgres import TUNING, PostgresServer, plain_url

NAME = "certindex"


@dataclass
class Pair:
    """A primary and its hot standby."""

    first: PostgresServer
    second: PostgresServer

    @property
    def url(self) -> str:
        """The URL with both hosts, of the one that takes writes."""
        hosts = f"127.0.0.1:{self.first.port},127.0.0.1:{self.second.port}"
        return f"postgresql://postgres@{hosts}/{NAME}?target_session_attrs=read-write"

    def url_of(self, server: PostgresServer) -> str:
        return make_url(server.url).set(database=NAME).render_as_string(hide_password=False)

    def fail_over(self) -> None:
        """The primary dies, and the standby is promoted."""
        self.first.crash()
        self.second.promote()


@contextmanager
def running_pair(*tuning: str) -> Iterator[Pair]:
    """Runs two servers, with further settings of the standby."""
    first = PostgresServer()
    with psycopg.connect(plain_url(first.url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME} TEMPLATE template0".encode())
    second = PostgresServer((*TUNING, *tuning), primary=first)
    pair = Pair(first, second)
    try:
        with engine_of(pair.url_of(first)):
            second.wait_for(first)
        yield pair
    finally:
        second.stop()
        first.stop()
