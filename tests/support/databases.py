"""Databases that several tests share."""

import secrets
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text

from tests.support.postgres import plain_url


def module_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of an empty database of the kind that a fixture's parameter names, for all tests of a module."""
    return lasting_database(request.param, request, tmp_path_factory)


def lasting_database(kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of an empty database that is there as long as its server."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('database') / 'module.db'}"
    server_url = request.getfixturevalue("postgres_server_url")
    name = f"certindex_module_{secrets.token_hex(6)}"
    with psycopg.connect(plain_url(server_url), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}


def run_for_ever(connection: Connection) -> Any:
    return connection.execute(text(ENDLESS[connection.dialect.name])).all()
