"""What tests run on: a real chain, and each of the two real databases."""

import gc
import math
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from functools import cache

import httpx
import hypothesis
import pytest
from sqlalchemy import Engine, make_url

from api.reading import cached_counts
from schema.tables.database import connect
from tests.support.api.asking import Api, asking
from tests.support.certindex import Certindex, runner
from tests.support.chain.devchain import Anvil
from tests.support.chain.factory import Factory
from tests.support.databases import KINDS, Databases, Kind, NewDatabase
from tests.support.fleet import Fleet
from tests.support.index.fleet import build_fleet, index_fleet
from tests.support.index.indexing import Engines, engine_of
from tests.support.memory import folder_in_memory
from tests.support.pgbouncer import Pooler, running_pooler
from tests.support.postgres import PostgresServer

hypothesis.settings.register_profile(
    "untimed",
    deadline=None,
    derandomize="EXPLORED_EXAMPLES" not in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("untimed")  # a busy machine fails no test

StartAnvil = Callable[..., Anvil]


@pytest.fixture(autouse=True)
def plain_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps no count because a busy machine took long for it: tests count statements, and look at their plans."""
    monkeypatch.setattr(cached_counts, "LONG_SECONDS", math.inf)


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Reads the certificates of authorities once: httpx does it for each client, which takes longer than a request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture
def anvil() -> Iterator[StartAnvil]:
    """Starts chains with options of the anvil program: `anvil("--no-mining")`. All of them end with the test."""
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


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Makes databases, as the fixtures below do; the PostgreSQL server is started for the first that needs it."""

    def server_url() -> str:
        return str(request.getfixturevalue("postgres_server_url"))

    def pooler() -> Pooler:
        running: Pooler = request.getfixturevalue("pooler")
        return running

    is_pooled = request.config.getoption("pooler")
    if is_pooled:
        pooler()  # it runs until the databases are closed
    databases = Databases(tmp_path_factory.mktemp("databases"), server_url, pooler if is_pooled else None)
    yield databases
    databases.close()


@pytest.fixture(params=KINDS)
def new_database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[NewDatabase]:
    """Makes databases with tables and no rows and returns their URLs, first on SQLite, then on PostgreSQL."""
    with databases.temporary(request.param) as new_database:
        yield new_database


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """The URL of a database with tables and no rows, first on SQLite, then on PostgreSQL."""
    return new_database()


@pytest.fixture(params=KINDS)
def new_empty_database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[NewDatabase]:
    """Makes databases without tables and returns their URLs, first on SQLite, then on PostgreSQL."""
    with databases.temporary(request.param, empty=True) as new_database:
        yield new_database


@pytest.fixture
def sqlite_url(databases: Databases) -> str:
    return databases.new("sqlite")


@pytest.fixture
def new_postgres_database(databases: Databases) -> Iterator[NewDatabase]:
    """Makes PostgreSQL databases with tables and no rows, for what SQLite does not have."""
    with databases.temporary("postgresql") as new_database:
        yield new_database


@pytest.fixture
def postgres_url(new_postgres_database: NewDatabase) -> str:
    return new_postgres_database()


@pytest.fixture(scope="module", params=KINDS)
def new_module_database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[NewDatabase]:
    """Makes databases that the tests of a module share, first on SQLite, then on PostgreSQL."""
    with databases.temporary(request.param) as new_database:
        yield new_database


@pytest.fixture(scope="module")
def module_database_url(new_module_database: NewDatabase) -> str:
    """The URL of a database that the tests of a module share, first on SQLite, then on PostgreSQL."""
    return new_module_database()


@pytest.fixture(scope="module")
def module_postgres_url(databases: Databases) -> Iterator[str]:
    with databases.temporary("postgresql") as new_database:
        yield new_database()


@pytest.fixture(scope="module")
def engine(module_database_url: str) -> Iterator[Engine]:
    """A writer's engine for the tests of a module, each of which indexes a chain of its own.

    First on SQLite, then on PostgreSQL.
    """
    with engine_of(module_database_url) as engine:
        yield engine


@pytest.fixture(scope="module")
def engines(new_module_database: NewDatabase) -> Iterator[Engines]:
    with engine_of(new_module_database()) as live, engine_of(new_module_database()) as fresh:
        yield Engines(live, fresh)


@pytest.fixture(scope="module")
def sqlite_engine(databases: Databases) -> Iterator[Engine]:
    """A writer's engine on SQLite for the tests of a module, each of which indexes a chain of its own."""
    with engine_of(databases.new("sqlite")) as engine:
        yield engine


@pytest.fixture(scope="module")
def postgres_engine(module_postgres_url: str) -> Iterator[Engine]:
    """A writer's engine on PostgreSQL for the tests of a module, each of which indexes a chain of its own."""
    with engine_of(module_postgres_url) as engine:
        yield engine


@pytest.fixture
def fresh_engine(database_url: str) -> Iterator[Engine]:
    """A writer's engine on a database without rows, first on SQLite, then on PostgreSQL."""
    with engine_of(database_url) as engine:
        yield engine


@pytest.fixture
def reading_engine(database_url: str) -> Iterator[Engine]:
    """A reader's engine on a database without rows, first on SQLite, then on PostgreSQL."""
    engine = connect(database_url, read_only=True)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The server of TEST_POSTGRES_URL, or one of our own for this worker."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        return
    server = PostgresServer()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def pooler(postgres_server_url: str) -> Iterator[Pooler]:
    """PgBouncer before the server's databases: each transaction runs in the next of four sessions."""
    with running_pooler(postgres_server_url, sessions=4) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """The demo fleet, for tests that only read."""
    with build_fleet() as fleet:
        yield fleet


@pytest.fixture(scope="session")
def fleet_database(fleet: Fleet, databases: Databases) -> Callable[[Kind], str]:
    """Returns the URL of the fleet's database of a kind. It is indexed at the first call."""

    @cache
    def url_of(kind: Kind) -> str:
        url = databases.new(kind)
        index_fleet(fleet, url)
        return url

    return url_of


@pytest.fixture(scope="module", params=KINDS)
def api(request: pytest.FixtureRequest, fleet_database: Callable[[Kind], str]) -> Iterator[Api]:
    """The API over the demo fleet, first on SQLite, then on PostgreSQL."""
    with asking(fleet_database(request.param)) as api:
        yield api


@pytest.fixture
def certindex(capsys: pytest.CaptureFixture[str]) -> Certindex:
    """Runs commands of `certindex` in this process: `certindex("status", database_url=url).out`."""
    return runner(capsys)


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "only tests of PostgreSQL, with PgBouncer between: each transaction runs in another session of the server"
    parser.addoption("--pooler", action="store_true", help=help)


def pytest_configure() -> None:
    """Keeps temporary files in memory, unless PYTEST_DEBUG_TEMPROOT names a folder; collects tests without garbage.

    So do the programs that tests start: PostgreSQL makes a database on a disk in thirty times the time.
    """
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and (folder := folder_in_memory()):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None  # read the environment again
    gc.disable()


def pytest_collection_finish() -> None:
    """Lets the garbage collector run again, and rarely. What was imported and collected lives to the end.

    It is never visited. With Python's own thresholds, a quarter of the CPU of tests in this process looks for garbage.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs slow files first, so that the workers end together, and of these first the ones that depend on no clock.

    Lets tests that explore take their time.
    """
    if config.getoption("pooler"):
        config.hook.pytest_deselected(items=[item for item in items if not _takes_a_pooler(item)])
        items[:] = [item for item in items if _takes_a_pooler(item)]
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("slow", "untimed")])
    if os.environ.get("EXPLORED_EXAMPLES"):
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


def _takes_a_pooler(item: pytest.Item) -> bool:
    """Returns whether a test may use PostgreSQL, but needs no session of the server for itself."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker("direct"):
        return False
    names, parameters = item.fixturenames, list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    is_of_sqlite = "sqlite" in parameters or ("sqlite_url" in names and "postgresql" not in parameters)
    return "databases" in names and (not is_of_sqlite or any("postgres" in name for name in names))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test is a failed one: what a machine lacks, setup must bring."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which this suite does not allow: {report.longrepr}"
    return report
