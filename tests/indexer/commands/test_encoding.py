"""A PostgreSQL database in another encoding than UTF-8 is refused at the start, with the statement that makes one."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import make_url, text

from tests.support.certindex import Certindex
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.index.indexing import engine_of
from tests.support.postgres import plain_url
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider

NOWHERE = ("--rpc-urls", "http://127.0.0.1:1")
COMMANDS = (
    ("run", *NOWHERE),
    ("run", "--serve", *NOWHERE),
    ("sync", *NOWHERE),
    ("status",),
    ("rebuild",),
    ("rebuild", "--check"),
    ("rollback", "--to", "1"),
    ("reconcile", *NOWHERE),
    ("reconcile", "--complete", *NOWHERE),
    ("verify", *NOWHERE),
    ("prove", "1"),
    ("attest", *NOWHERE),
    ("digest",),
)
FOREIGN = "серийный-номер-序列-🔋"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_every_command_names_the_encoding_and_the_statement(
    postgres_server_url: str, certindex: Certindex, encoding: str
) -> None:
    with database(postgres_server_url, encoding) as url:
        for command in COMMANDS:
            done = certindex(*command, database_url=url)
            assert done.status == 1, command
            assert f"cannot be used: its encoding is {encoding}" in done.err
            assert "CREATE DATABASE" in done.err
            assert "Traceback" not in done.err
        api = [sys.executable, "-m", "api", "--port", "0", "--database-url", url]
        ended = subprocess.run(api, capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert f"its encoding is {encoding}" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_the_database_that_the_message_names_holds_every_text(
    postgres_server_url: str, certindex: Certindex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with database(postgres_server_url, "LATIN1") as url:
        message = certindex("status", database_url=url).err
        [statement] = re.findall("CREATE DATABASE .*", message)
        name = statement.split()[2]
        with psycopg.connect(plain_url(postgres_server_url), autocommit=True) as server:
            server.execute(statement.encode())
            named = make_url(url).set(database=name).render_as_string(hide_password=False)
            try:
                sync_a_foreign_serial(certindex, named)
            finally:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def sync_a_foreign_serial(certindex: Certindex, url: str) -> None:
    node = FakeNode(finality=2)
    node.mine(emitted("CertificateMinted", tokenId=7, manufacturerId=1, hardwareLicenseId=10, serialNumber=FOREIGN))
    with Provider(of_fake(node)) as provider:
        contracts = f"certificate=0x{CERTIFICATE.hex()}"
        assert certindex("sync", "--rpc-urls", provider.url, "--contracts", contracts, database_url=url).status == 0
    with engine_of(url) as engine, engine.begin() as connection:
        assert connection.execute(text("SELECT serial_number FROM device_version")).scalar_one() == FOREIGN


@contextmanager
def database(server_url: str, encoding: str) -> Iterator[str]:
    """Yields the URL of an empty database in an encoding."""
    name = f"certindex_{encoding.lower()}_{os.getpid()}"
    with psycopg.connect(plain_url(server_url), autocommit=True) as server:
        create = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        server.execute(create.encode())
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
