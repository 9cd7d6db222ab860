"""Any URL or connection string that libpq reads names the database; no message shows a part of a password."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import make_url

from schema.tables.database import DatabaseError, connect, database_name
from tests.support.certindex import Certindex, certindex_api
from tests.support.index.awkward_fleet import awkward_fleet
from tests.support.index.indexing import engine_of, read_tables
from tests.support.pgbouncer import running_pooler

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


def test_a_certificate_and_a_password_file_open_a_server_that_wants_both(
    postgres_url: str, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is reached over IPv6 and TLS, shows a certificate and wants one."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for owner in ("ours", "theirs"):
            write_certificate(folder, owner)
        (folder / "users").write_text('"reader" "a:word"\n')
        (folder / "pgpass").write_text("::1:*:*:reader:a\\:word\n")
        (folder / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(folder / "pgpass"))
        server_settings: dict[str, Any] = {
            "listen_addr": "127.0.0.1,::1",
            "auth_type": "scram-sha-256",
            "auth_file": folder / "users",
            "client_tls_sslmode": "verify-full",
            "client_tls_ca_file": folder / "ours.crt",
            "client_tls_cert_file": folder / "ours.crt",
            "client_tls_key_file": folder / "server.key",
        }
        shutil.copy(folder / "ours.key", folder / "server.key")
        (folder / "server.key").chmod(0o644)  # the server has another user
        with running_pooler(postgres_url, sessions=2, **server_settings) as server:
            place = f"postgresql://reader@[::1]:{server.port}/{make_url(postgres_url).database}?sslmode=verify-full"

            def url(root: str, ours: str) -> str:
                return f"{place}&sslrootcert={folder}/{root}.crt&sslcert={folder}/{ours}.crt&sslkey={folder}/{ours}.key"

            done = certindex("status", database_url=url("ours", "ours"))
            assert (done.status, done.err) == (0, "")
            assert "certificate verify failed" in certindex("status", database_url=url("theirs", "ours")).err
            assert "unknown ca" in certindex("status", database_url=url("ours", "theirs")).err
            monkeypatch.delenv("PGPASSFILE")
            monkeypatch.setenv("HOME", name)
            assert "no password supplied" in certindex("status", database_url=url("ours", "ours")).err


def write_certificate(folder: Path, name: str) -> None:
    """Writes NAME.key and NAME.crt: a certificate of ::1, which signs itself."""
    address = [*("-subj", "/CN=::1"), *("-addext", "subjectAltName=IP:::1")]
    files = [*("-keyout", str(folder / f"{name}.key")), *("-out", str(folder / f"{name}.crt"))]
    command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-noenc", "-days", "2", *address, *files]
    subprocess.run(command, check=True, capture_output=True)
    (folder / f"{name}.key").chmod(0o600)
    (folder / f"{name}.crt").chmod(0o644)


def test_the_search_path_names_the_schema_of_the_tables(postgres_url: str, certindex: Certindex) -> None:
    with engine_of(postgres_url) as engine, engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA fleet")
    url = f"{postgres_url}?options=-csearch_path%3Dfleet"
    with awkward_fleet(url) as indexer:
        rows = read_tables(indexer.engine, 1)
        assert certindex("rebuild", "--into", "next", database_url=url).status == 0
        assert read_tables(indexer.engine, 1) == rows
        with indexer.engine.begin() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM fleet.event").scalar_one() == len(rows["event"])
            assert connection.exec_driver_sql("SELECT count(*) FROM public.event").scalar_one() == 0


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
