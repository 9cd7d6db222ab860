"""What tests run on: a real chain, and each of the two real databases."""

import os
import secrets
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from sqlalchemy import make_url

from scripts.devchain import Anvil
from scripts.fleet import Fleet
from tests.support.api.asking import Api, asking
from tests.support.certindex import Certindex, runner
from tests.support.chain.factory import Factory
from tests.support.databases import lasting_database
from tests.support.index.fleet import build_fleet, index_fleet
from tests.support.postgres import PostgresServer, plain_url

StartAnvil = Callable[..., Anvil]
NewDatabase = Callable[[], str]


@pytest.fixture
def anvil() -> Iterator[StartAnvil]:
    """Start chains with options of the anvil program: `anvil("--no-mining")`. All of them end with the test."""
    started: list[Anvil] = []

    def start(*options: str, port: int = 0) -> Anvil:
        started.append(Anvil(*options, port=port))
        return started[-1]

    yield start
    for chain in started:
        chain.stop()


@pytest.fixture(scope="session")
def factory_chain() -> Iterator[Factory]:
    with Anvil() as chain:
        yield Factory(chain)


@pytest.fixture
def factory(factory_chain: Factory) -> Iterator[Factory]:
    """The reference contract with a manufacturer at work; every test begins at the same block."""
    untouched = factory_chain.chain.snapshot()
    yield factory_chain
    factory_chain.chain.revert(untouched)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewDatabase]:
    """Make empty databases and return their URLs, first on SQLite, then on PostgreSQL."""
    kind: Literal["sqlite", "postgresql"] = request.param
    if kind == "sqlite":
        yield lambda: f"sqlite:///{tmp_path / f'{secrets.token_hex(4)}.db'}"
        return
    yield from _postgres_databases(request.getfixturevalue("postgres_server_url"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a database that the tests of a module share, first on SQLite, then on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'shared.db'}"
        return
    for new_database in _postgres_databases(request.getfixturevalue("postgres_server_url")):
        yield new_database()


@pytest.fixture(scope="module")
def module_postgres_url(postgres_server_url: str) -> Iterator[str]:
    for new_database in _postgres_databases(postgres_server_url):
        yield new_database()


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """Return the URL of an empty database, first on SQLite, then on PostgreSQL."""
    return new_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'only.db'}"


@pytest.fixture
def new_postgres_database(postgres_server_url: str) -> Iterator[NewDatabase]:
    """Make empty PostgreSQL databases, for what SQLite does not have."""
    yield from _postgres_databases(postgres_server_url)


@pytest.fixture
def postgres_url(new_postgres_database: NewDatabase) -> str:
    return new_postgres_database()


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The server of TEST_POSTGRES_URL, or one of our own for this worker."""
    if given := os.environ.get("TEST_POSTGRES_URL"):
        yield make_url(given).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    server = PostgresServer()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The demo fleet, for tests that only read."""
    with build_fleet() as fleet:
        yield fleet


@pytest.fixture(scope="session")
def fleet_database(
    request: pytest.FixtureRequest, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Return the URL of the fleet's database of a kind; it is indexed when it is first asked for."""

    @cache
    def url_of(kind: str) -> str:
        url = lasting_database(kind, request, tmp_path_factory)
        index_fleet(fleet, url)
        return url

    return url_of


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, fleet_database: Callable[[str], str]) -> Iterator[Api]:
    """Ask about the demo fleet, first on SQLite, then on PostgreSQL."""
    with asking(fleet_database(request.param)) as asked:
        yield asked


@pytest.fixture
def certindex(capsys: pytest.CaptureFixture[str]) -> Certindex:
    """Run commands of `certindex` in this process: `certindex("status", database_url=url).out`."""
    return runner(capsys)


def _postgres_databases(server_url: str) -> Iterator[NewDatabase]:
    made: list[str] = []
    with psycopg.connect(plain_url(server_url), autocommit=True) as server:

        def new_database() -> str:
            made.append(f"certindex_test_{secrets.token_hex(6)}")
            server.execute(f"CREATE DATABASE {made[-1]} TEMPLATE template0".encode())
            return make_url(server_url).set(database=made[-1]).render_as_string(hide_password=False)

        yield new_database
        for name in made:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow files first, so that two processes end together; let tests that explore take their time."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if os.environ.get("EXPLORED_EXAMPLES"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one: what a machine lacks, setup must bring."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which this suite does not allow: {report.longrepr}"
    return report
