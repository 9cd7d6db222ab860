"""Any URL or connection string that libpq reads names the database; no message shows a part of a password."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from schema.tables.database import DatabaseError, connect, database_name
from tests.support.certindex import Certindex, certindex_api

FORMS: dict[str, Callable[[int, str], str]] = {
    "postgresql": lambda port, name: f"postgresql://postgres@127.0.0.1:{port}/{name}",
    "postgres": lambda port, name: f"postgres://postgres@127.0.0.1:{port}/{name}",
    "sqlalchemy": lambda port, name: f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}",
    "hosts": lambda port, name: f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{port}/{name}",
    "primary": lambda port, name: (
        f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{port}/{name}?target_session_attrs=read-write&connect_timeout=5"
    ),
    "sqlalchemy hosts": lambda port, name: f"postgresql+psycopg://postgres@127.0.0.1:1,127.0.0.1:{port}/{name}",
    "hosts in the query": lambda port, name: (
        f"postgresql+psycopg://postgres@/{name}?host=127.0.0.1:1&host=127.0.0.1:{port}"
    ),
    "sqlalchemy options": lambda port, name: (
        f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}?options=-c+work_mem%3D8MB"
    ),
    "all in the query": lambda port, name: f"postgresql:///?host=127.0.0.1&port={port}&user=postgres&dbname={name}",
    "options": lambda port, name: (
        f"postgresql://postgres@127.0.0.1:{port}/{name}?application_name=a&sslmode=prefer&options=-c%20work_mem%3D8MB"
    ),
    "keywords": lambda port, name: f"host=127.0.0.1 port={port} dbname='{name}' user=postgres",
    "keywords with spaces": lambda port, name: f" host = 127.0.0.1 port = {port} dbname={name} user=postgres",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_same_database(postgres_url: str, certindex: Certindex, form: str) -> None:
    parsed = make_url(postgres_url)
    assert parsed.port is not None
    url = FORMS[form](parsed.port, str(parsed.database))
    done = certindex("status", database_url=url)
    assert (done.status, done.err) == (0, "")
    assert str(parsed.database) in done.out


def test_the_environment_and_a_service_file_name_the_database(
    postgres_url: str, certindex: Certindex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parsed = make_url(postgres_url)
    file = tmp_path / "services"
    file.write_text(f"[fleet]\nhost=127.0.0.1\nport={parsed.port}\ndbname={parsed.database}\nuser=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    for url in ("service=fleet", "postgresql:///?service=fleet"):
        assert certindex("status", database_url=url).status == 0
    parts = {"HOST": "127.0.0.1", "PORT": parsed.port, "DATABASE": parsed.database, "USER": "postgres"}
    for name, value in parts.items():
        monkeypatch.setenv(f"PG{name}", str(value))
    assert certindex("status", database_url="postgresql://").status == 0


def test_a_socket_is_looked_for_where_the_url_says(certindex: Certindex, tmp_path: Path) -> None:
    encoded = str(tmp_path).replace("/", "%2F")
    for url in (f"host={tmp_path} dbname=a", f"postgresql:///a?host={tmp_path}", f"postgresql://{encoded}/a"):
        done = certindex("status", database_url=url)
        assert done.status == 1
        assert f'"{tmp_path}/.s.PGSQL.5432" failed' in done.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hush@hush@127.0.0.1:1/a",
        "postgresql://me:hush/hush@127.0.0.1:1/a",
        "postgresql://me:hush:hush@127.0.0.1:1/a",
        "postgresql://me:hush?hush@127.0.0.1:1/a",
        "postgresql://me:hush#hush@127.0.0.1:1/a",
        "postgresql://me:hush%hush@127.0.0.1:1/a",
        "postgresql+psycopg://me:hush@hush@127.0.0.1:1/a",
        "postgresql://127.0.0.1:1/a?user=me&password=hush%hush",
        "host=127.0.0.1 port=1 dbname=a user=me password=hush hush",
        "host=127.0.0.1 port=1 dbname=a user=me password='hush",
        "postgresql://me:hush@127.0.0.1:1/a",
        "host=127.0.0.1 port=1 dbname=a user=me password='hush hush'",
        "mysql://me:hush@hush@127.0.0.1:1/a",
    ],
)
def test_no_message_shows_a_part_of_the_password(certindex: Certindex, url: str) -> None:
    done = certindex("status", database_url=url)
    assert done.status != 0
    assert "hush" not in done.err
    assert "Traceback" not in done.err
    if "mysql" in url:
        ended = certindex_api("--port", "0", "--database-url", url)
        assert (ended.returncode, "hush" in ended.stderr) == (2, False)


def test_a_connection_to_a_machine_that_vanishes_is_given_up_within_seconds(postgres_url: str) -> None:
    for url, seconds in ((postgres_url, 5), (f"{postgres_url}?keepalives_idle=77", 77)):
        engine = connect(url)
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            with socket.socket(fileno=os.dup(driver.fileno())) as connected:
                assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == seconds
                assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        engine.dispose()


def test_an_engine_is_named_without_its_password() -> None:
    engine = connect("postgresql://me:hush@a:1,b:2/c?sslpassword=hush")
    assert database_name(engine) == "postgresql://me@a,b/c"
    assert "hush" not in repr(engine)


def test_what_libpq_cannot_read_is_refused_with_an_example() -> None:
    for scheme in ("postgresql", "postgresql+psycopg"):
        with pytest.raises(DatabaseError, match=r"libpq cannot read it.*Example: "):
            connect(f"{scheme}://a/b?no_such_parameter=1")
    for url in ("no_such_parameter=1", "host=a =b"):
        with pytest.raises(DatabaseError, match=r"libpq cannot read it.*Example: "):
            connect(url)
