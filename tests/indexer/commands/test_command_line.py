"""The command line: output, exit status and refusals of each command."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from alembic.command import upgrade
from sqlalchemy import Connection, create_engine, make_url, text

from indexer import registration
from indexer.commands.sync import sync
from indexer.settings import Settings
from indexer.store.watch_set import WatchedContract, register
from schema.profile.model import SHIPPED, load_profile
from schema.tables.database import REVISION, _config, connect, migrate
from schema.tables.indexes import SECONDARY_INDEXES
from scripts.processes import Child
from tests.conftest import StartAnvil
from tests.support.certindex import Certindex, runner
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.factory import Factory, report
from tests.support.chain.fakechain import CERTIFICATE, FakeNode
from tests.support.index.indexing import engine_of, read_tables
from tests.support.index.verifying import settings_for
from tests.support.postgres import plain_url
from tests.support.processes import free_ports, until
from tests.support.rpc.faultproxy import Exchange, FaultProxy, of_fake

pytestmark = pytest.mark.slow

CHAIN_ID = 31337
SECRET = "s3cretk3y"
NEVER_ASKED = "http://127.0.0.1:1"
SETTINGS = [name.upper() for name in Settings.__dataclass_fields__]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def certindex(capsys: pytest.CaptureFixture[str]) -> Certindex:
    return runner(capsys)


@pytest.fixture
def empty_url(sqlite_url: str) -> str:
    """The URL of a database whose file exists and is empty."""
    Path(sqlite_url.removeprefix("sqlite:///")).touch()
    return sqlite_url


@pytest.fixture
def devices(factory: Factory) -> Factory:
    """Three devices with something to tell."""
    for number in (1, 2, 3):
        factory.mint(number=number)
    factory.send("recordQualityInspection", 1, report(), sender=factory.maker)
    factory.send("factoryReset", 2, 1_700_000_300, 1)
    return factory


@pytest.fixture
def start(devices: Factory, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts commands on the devices' chain in processes of their own; all of them end with the test."""
    started: list[Child] = []

    def start(*arguments: str, **environment: str) -> Child:
        started.append(Child(command(*arguments), environment=os.environ | settings_of(devices) | environment))
        return started[-1]

    yield start
    for child in started:
        child.stop()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "indexer", *arguments]


def settings_of(factory: Factory) -> dict[str, str]:
    return {"RPC_URLS": factory.chain.url, "CONTRACTS": f"certificate={factory.contract.address}"}


def options_of(factory: Factory) -> list[str]:
    return ["--rpc-urls", factory.chain.url, "--contracts", f"certificate={factory.contract.address}"]


def run_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=os.environ | environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def tables(database_url: str) -> dict[str, Any]:
    engine = create_engine(database_url)
    try:
        return read_tables(engine, CHAIN_ID)
    finally:
        engine.dispose()


def writer(database_url: str) -> str | None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        name: str | None = connection.execute(text("SELECT writer FROM chain")).scalar_one_or_none()
    engine.dispose()
    return name


# What they do


def test_sync_catches_up_and_status_reports_the_block(devices: Factory, database_url: str) -> None:
    head = devices.chain.block_number
    done = run_command("sync", **settings_of(devices), DATABASE_URL=database_url)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert re.fullmatch(rf"synced block={head} blocks={head + 1} events=\d+ elapsed=\S+s rate=\d+/s\n", done.stdout), (
        done.stdout
    )
    assert f"block {head} of {head}" in done.stderr
    status = run_command("status", "--json", DATABASE_URL=database_url)
    [fields] = json.loads(status.stdout)
    logs = devices.chain.logs(devices.contract.address)
    assert (status.returncode, fields["chain_id"], fields["indexed_number"], fields["lag_blocks"]) == (
        0,
        CHAIN_ID,
        head,
        0,
    )
    assert (fields["events"], fields["undecodable"], fields["reorgs"]) == (len(logs), 0, 0)
    assert fields["indexed_hash"] == devices.chain.block(head)["hash"]
    assert fields["contracts"][0]["address"] == devices.contract.address
    assert (fields["backfilled"], fields["writer"]) == (True, None)


@pytest.mark.parametrize(
    "command", ["status", "digest", "rebuild", "rebuild --check", "rebuild --into b", "rollback --to 1"]
)
def test_a_file_that_does_not_exist_is_named_and_not_created(
    sqlite_url: str, certindex: Certindex, command: str
) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    failed = certindex(*command.split(), database_url=sqlite_url)
    assert failed.status == 1
    assert f"The database {file} cannot be used: there is no such file. Start the indexer" in failed.err
    assert not file.exists()


def test_status_is_printed_as_text_too(devices: Factory, empty_url: str, certindex: Certindex) -> None:
    empty = certindex("status", database_url=empty_url)
    assert (empty.status, "is empty: start the indexer (certindex run)" in empty.err) == (1, True)
    certindex("sync", *options_of(devices), database_url=empty_url)
    status = certindex("status", database_url=empty_url)
    assert status.status == 0
    assert f"chain {CHAIN_ID} (device-certificate)" in status.out
    assert f"indexed    block {devices.chain.block_number} of 20" in status.out
    assert f"certificate {devices.contract.address} from block 0 (from its first block)" in status.out


def test_sync_goes_on_from_where_it_stopped(devices: Factory, sqlite_url: str, certindex: Certindex) -> None:
    first = certindex("sync", *options_of(devices), database_url=sqlite_url)
    again = certindex("sync", *options_of(devices), database_url=sqlite_url)
    assert (first.status, again.status) == (0, 0)
    assert "blocks=0 events=0" in again.out
    devices.mint(number=4)
    assert "blocks=1 events=2" in certindex("sync", *options_of(devices), database_url=sqlite_url).out


async def test_sync_waits_for_a_node_that_lags_behind_its_reported_head(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = FakeNode(finality=1)
    node.mine_blocks(5)
    heads = 0
    pauses: list[tuple[int, float]] = []

    async def pause(seconds: float) -> None:
        pauses.append((heads, seconds))

    def lag(exchange: Exchange) -> bool:
        nonlocal heads
        if exchange.asked_tag != "latest":
            return False
        heads += 1
        if 2 <= heads <= 4:  # once the target is known
            exchange.result = node.answer("eth_getBlockByNumber", ["0x3", False])
        return True

    async with FaultProxy(of_fake(node)) as proxy:
        settings = Settings(
            rpc_urls=(proxy.url,), database_url=sqlite_url, contracts=(("certificate", CERTIFICATE),), poll_interval=0.2
        )
        assert await sync(settings) == 0
        node.mine()
        proxy.inject(lag)
        monkeypatch.setattr("indexer.commands.sync.asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": pause}))
        assert await sync(settings) == 0
    assert [(head, seconds) for head, seconds in pauses if seconds == 0.2] == [(2, 0.2), (3, 0.2), (4, 0.2)]


def test_rebuild_rewrites_the_same_rows(devices: Factory, database_url: str, certindex: Certindex) -> None:
    certindex("sync", *options_of(devices), database_url=database_url)
    before = tables(database_url)
    done = certindex("rebuild", database_url=database_url)
    assert done.status == 0
    assert re.fullmatch(rf"rebuilt chain={CHAIN_ID} events=(\d+) facts=\1 elapsed=\S+s\n", done.out)
    assert tables(database_url) == before


def test_rebuild_finds_again_what_was_read_in_the_events_and_keeps_all_indexes(
    devices: Factory, database_url: str, certindex: Certindex
) -> None:
    certindex("sync", *options_of(devices), database_url=database_url)
    before, indexes = tables(database_url), indexes_of(database_url)
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE event SET kind = 0, device_id = NULL, flags = 64 WHERE position % 2 = 0"))
    engine.dispose()
    assert tables(database_url) != before
    assert certindex("rebuild", database_url=database_url).status == 0
    assert tables(database_url) == before
    assert indexes_of(database_url) == indexes > {index.name for index in SECONDARY_INDEXES}


def indexes_of(database_url: str) -> set[str | None]:
    engine = connect(database_url)
    with engine.begin() as connection:
        catalog = "pg_indexes" if engine.dialect.name == "postgresql" else "sqlite_master WHERE type = 'index'"
        name = "indexname" if engine.dialect.name == "postgresql" else "name"
        names = set(connection.execute(text(f"SELECT {name} FROM {catalog}")).scalars())
    engine.dispose()
    return names


def test_rebuild_reads_the_events_by_another_profile_which_sync_then_keeps(
    devices: Factory, database_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    options = options_of(devices)
    certindex("sync", *options, database_url=database_url)
    shipped = (SHIPPED / "device_certificate.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(shipped.replace('"device-certificate"', '"mine"').replace('serial_number = "serialNumber"\n', ""))
    assert certindex("rebuild", "--profile", str(mine), database_url=database_url).status == 0
    rows = tables(database_url)["device_version"]
    assert {row["serial_number"] for row in rows} == {None}
    refused = certindex("sync", *options, "--profile", "device-certificate", database_url=database_url)
    assert refused.status == 1
    assert "read by another text of a profile than 'device-certificate'" in refused.err
    assert "certindex rebuild --profile device-certificate" in refused.err
    assert certindex("sync", *options, "--profile", str(mine), database_url=database_url).status == 0
    assert certindex("sync", *options, database_url=database_url).status == 0
    assert certindex("rebuild", "--profile", "device-certificate", database_url=database_url).status == 0
    assert {row["serial_number"] for row in tables(database_url)["device_version"]} != {None}


def test_rebuild_without_a_profile_keeps_the_stored_one(
    devices: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text((SHIPPED / "device_certificate.toml").read_text().replace('"device-certificate"', '"mine"'))
    certindex("sync", *options_of(devices), "--profile", str(mine), database_url=sqlite_url)
    mine.unlink()
    assert certindex("rebuild", database_url=sqlite_url).status == 0
    assert "chain 31337 (mine)" in certindex("status", database_url=sqlite_url).out


def test_a_rebuild_by_a_profile_of_other_roles_is_refused_and_changes_nothing(
    devices: Factory, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    certindex("sync", *options_of(devices), database_url=sqlite_url)
    before = tables(sqlite_url)
    other = tmp_path / "other.toml"
    shipped = (SHIPPED / "device_certificate.toml").read_text()
    other.write_text(shipped.replace('contract = "certificate"', 'contract = "passport"'))
    refused = certindex("rebuild", "--profile", str(other), database_url=sqlite_url)
    assert refused.status == 2
    assert "unknown role 'certificate'" in refused.err
    assert (tables(sqlite_url), writer(sqlite_url)) == (before, None)


def test_rollback_takes_back_what_lies_above_and_sync_brings_it_again(
    devices: Factory, database_url: str, certindex: Certindex
) -> None:
    certindex("sync", *options_of(devices), database_url=database_url)
    before, head = tables(database_url), devices.chain.block_number
    done = certindex("rollback", "--to", str(head - 2), database_url=database_url)
    assert (done.status, done.out) == (0, f"rolled back chain={CHAIN_ID} from={head} to={head - 2} events=2\n")
    assert tables(database_url)["block"][-1]["number"] == head - 2
    certindex("sync", *options_of(devices), database_url=database_url)
    assert tables(database_url) == before


def test_a_rollback_to_no_block_below_is_refused(devices: Factory, sqlite_url: str, certindex: Certindex) -> None:
    certindex("sync", *options_of(devices), database_url=sqlite_url)
    head = devices.chain.block_number
    refused = certindex("rollback", "--to", str(head), database_url=sqlite_url)
    assert refused.status == 1
    assert f"--to {head}: chain {CHAIN_ID} is indexed to block {head}; nothing is stored above." in refused.err
    for wrong in ("yesterday", "-2", "1e3"):
        refused = certindex("rollback", f"--to={wrong}", database_url=sqlite_url)
        assert refused.status == 2
        assert f'"{wrong}" is not a block number. Example: --to 35000000' in refused.err


def test_run_follows_the_chain_until_it_is_signaled(
    devices: Factory, database_url: str, start: Callable[..., Child], certindex: Certindex
) -> None:
    follower = start("run", DATABASE_URL=database_url, POLL_INTERVAL="0.05")
    until(lambda: "backfill finished" in follower.last_output, "the backfill")
    devices.mint(number=4)
    until(lambda: len(tables(database_url)["device"]) == 4, "the new device")
    devices.chain.reorg(1)
    until(lambda: len(tables(database_url)["device"]) == 3, "the reorg")
    for refused in (
        certindex("rebuild", database_url=database_url),
        certindex("rollback", "--to", "1", database_url=database_url),
        certindex("sync", *options_of(devices), database_url=database_url),
    ):
        assert refused.status == 1
        assert f"Chain {CHAIN_ID} is being written by {socket.gethostname()}:{follower.pid}:" in refused.err
        assert "Stop that indexer first" in refused.err
    follower.stop()
    assert (follower.exit_status, "Traceback" in follower.last_output) == (0, False), follower.last_output
    assert writer(database_url) is None
    assert certindex("rollback", "--to", "1", database_url=database_url).status == 0


def test_a_second_run_stands_by_and_takes_over_from_one_that_was_killed(
    devices: Factory, database_url: str, start: Callable[..., Child]
) -> None:
    first = start("run", DATABASE_URL=database_url, POLL_INTERVAL="0.05")
    until(lambda: "backfill finished" in first.last_output, "the first")
    second = start("run", DATABASE_URL=database_url, POLL_INTERVAL="0.05")
    until(lambda: "standing by: another indexer writes" in second.last_output, "the second to stand by")
    first.kill()
    devices.mint(number=4)
    until(lambda: len(tables(database_url)["device"]) == 4, "the second to take over")
    second.stop(by=signal.SIGINT)
    assert second.exit_status == 0


def test_run_outlives_an_outage_of_its_database(
    devices: Factory, postgres_url: str, start: Callable[..., Child]
) -> None:
    follower = start("run", DATABASE_URL=postgres_url, POLL_INTERVAL="0.05")
    until(lambda: "backfill finished" in follower.last_output, "the backfill")
    with closed(postgres_url):
        devices.mint(number=4)
        until(lambda: "again in 1.0s: the database failed" in follower.last_output, "two failures")
    until(lambda: len(tables(postgres_url)["device"]) == 4, "the new device")
    follower.stop()
    assert (follower.exit_status, "Traceback" in follower.last_output) == (0, False), follower.last_output


@contextmanager
def closed(database_url: str) -> Iterator[None]:
    """Refuse connections to a database, and end those that are open."""
    url = make_url(database_url)
    with psycopg.connect(plain_url(str(url.set(database="postgres"))), autocommit=True) as server:
        server.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false".encode())
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
        yield
        server.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true".encode())


# What they refuse


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("rpc-urls", "", "RPC_URLS is not set. Example: RPC_URLS=http"),
        (
            "rpc-urls",
            "ftp://node",
            '--rpc-urls is "ftp://node": no http:// or https:// URL.*Example: --rpc-urls http',
        ),
        ("rpc-urls", "http://node:99999", '--rpc-urls is "http://node:99999": .*Example: --rpc-urls http'),
        ("rpc-urls", "http://[::1", '--rpc-urls is "http://.*Example: --rpc-urls http'),
        ("rpc-urls", ",", '--rpc-urls is ",": no URL'),
        ("contracts", "certificate", '--contracts is "certificate": .*not role=0xaddress.*Example: --contracts certif'),
        ("contracts", "certificate=0x12", '--contracts is .*"0x12" of certificate has 2 hex digits, an address has 40'),
        ("start-block", "-1", '--start-block is "-1": not a whole number from 0'),
        ("start-block", "genesis", '--start-block is "genesis": not a whole number.*Example: --start-block 35000000'),
        ("chain-id", "0", '--chain-id is "0": not a whole number from 1.*Example: --chain-id 137'),
        ("finality-depth", "many", '--finality-depth is "many": .*Example: --finality-depth 128'),
        ("poll-interval", "0", '--poll-interval is "0": not a number of seconds.*Example: --poll-interval 0.5'),
        ("port", "65536", '--port is "65536": not a whole number from 0 to 65535. Example: --port 8000'),
        ("looks", "0", '--looks is "0": not a whole number'),
        ("quorum", "0", '--quorum is "0": not a whole number'),
        ("database-url", "mysql://here/x", '--database-url is "mysql://here/x": not a URL of SQLite.*Example: --data'),
        ("profile", "nonesuch", "there is no profile 'nonesuch'. There are device_certificate"),
        ("profile", "./nonesuch.toml", "nonesuch.toml"),
    ],
)
def test_a_bad_setting_is_refused_by_name_with_its_value_and_an_example(
    sqlite_url: str, certindex: Certindex, option: str, value: str, words: str
) -> None:
    options = {"rpc-urls": NEVER_ASKED, "database-url": sqlite_url} | {option: value}
    refused = certindex("sync", *(part for name, text in options.items() for part in (f"--{name}", text)))
    assert refused.status == 2
    assert re.search(words, refused.err, re.DOTALL), refused.err


def test_all_bad_settings_of_the_environment_are_reported_at_once_without_a_traceback() -> None:
    refused = run_command("run", RPC_URLS="nowhere", START_BLOCK="first", POLL_INTERVAL="2s")
    assert (refused.returncode, refused.stdout) == (2, "")
    for key in ("RPC_URLS", "START_BLOCK", "POLL_INTERVAL"):
        assert re.search(rf'{key} is ".+": .+ Example: {key}=\S', refused.stderr), refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contracts": "passport=0x" + "11" * 20}, "unknown role 'passport' among the contracts"),
        ({"contracts": "certificate=0x" + "11" * 20}, "CONTRACTS names certificate=0x1111.*another DATABASE_URL"),
        ({"chain-id": "137"}, "is a node of chain 31337, not of chain 137. Correct RPC_URLS or CHAIN_ID"),
        ({"start-block": "0"}, "START_BLOCK=0 lies before block 2.*START_BLOCK=2"),
    ],
)
def test_settings_that_contradict_what_is_indexed_are_refused(
    devices: Factory, sqlite_url: str, certindex: Certindex, changes: dict[str, str], words: str
) -> None:
    options = [*options_of(devices), "--start-block", "2"]
    assert certindex("sync", *options, database_url=sqlite_url).status == 0
    before = tables(sqlite_url)
    changed = [part for name, value in changes.items() for part in (f"--{name}", value)]
    refused = certindex("sync", *options, *changed, database_url=sqlite_url)
    assert refused.status in (1, 2)
    assert re.search(words, refused.err, re.DOTALL), refused.err
    assert tables(sqlite_url) == before


def test_contracts_that_are_left_out_are_named(devices: Factory, sqlite_url: str, certindex: Certindex) -> None:
    both = f"certificate={devices.contract.address},certificate=0x{'11' * 20}"
    done = certindex("sync", *options_of(devices), "--contracts", both, database_url=sqlite_url)
    assert done.status == 0, done.err
    refused = certindex("sync", *options_of(devices), database_url=sqlite_url)
    assert refused.status == 1
    assert f"CONTRACTS leaves out certificate=0x{'11' * 20}" in refused.err


def test_a_contract_that_is_named_twice_is_watched_once(
    devices: Factory, sqlite_url: str, certindex: Certindex
) -> None:
    twice = ",".join(2 * [f"certificate={devices.contract.address}"])
    done = certindex("sync", *options_of(devices), "--contracts", twice, database_url=sqlite_url)
    assert done.status == 0, done.err


def test_without_contracts_the_profile_must_know_the_network(
    devices: Factory, sqlite_url: str, certindex: Certindex
) -> None:
    refused = certindex("sync", "--rpc-urls", devices.chain.url, database_url=sqlite_url)
    assert refused.status in (1, 2)
    assert "CONTRACTS is not set" in refused.err
    assert "Example: CONTRACTS=certificate=0x" in refused.err


def test_a_node_that_does_not_answer_is_waited_for(anvil: StartAnvil, tmp_path: Path) -> None:
    [port] = free_ports(1)
    waiting = Child(
        command("sync"),
        environment=os.environ
        | {
            "RPC_URLS": f"http://user:{SECRET}@127.0.0.1:{port}/?key={SECRET}",
            "CONTRACTS": "certificate=0x" + "11" * 20,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'waiting.db'}",
        },
    )
    try:
        until(lambda: "again in" in waiting.last_output, "the first failure")
        assert f"http://127.0.0.1:{port}/... did not answer" in waiting.last_output
        anvil(port=port).mine(3)
        until(lambda: waiting.exit_status is not None, "the end")
    finally:
        waiting.stop()
    assert waiting.exit_status == 0, waiting.last_output
    assert "synced block=3" in waiting.last_output
    assert SECRET not in waiting.last_output


@pytest.mark.parametrize(
    "url", [f"ftp://node/v3/{SECRET}", f"http://u:{SECRET}@node:99999/", f"htp://node/?k={SECRET}", f"node/{SECRET}"]
)
def test_a_key_in_a_bad_url_is_not_shown(sqlite_url: str, certindex: Certindex, url: str) -> None:
    refused = certindex("sync", "--rpc-urls", url, database_url=sqlite_url)
    assert refused.status == 2
    assert "--rpc-urls is " in refused.err
    assert SECRET not in refused.err


def test_a_database_that_cannot_be_used_is_named(certindex: Certindex, tmp_path: Path) -> None:
    for command_name in ("status", "rebuild"):
        refused = certindex(command_name, database_url=f"sqlite:///{tmp_path}/no/such/folder.db")
        assert refused.status == 1
        assert "there is no folder" in refused.err
    refused = certindex("status", database_url=f"postgresql://me:{SECRET}@127.0.0.1:1/x")
    assert (refused.status, SECRET in refused.err) == (1, False)
    assert "cannot be used" in refused.err


def test_a_command_that_is_no_indexer_leaves_the_database_of_an_earlier_release_as_it_is(
    database_url: str, certindex: Certindex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RPC_URLS", NEVER_ASKED)
    engine = connect(database_url)
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        upgrade(config, "0001")
    into = str(tmp_path / "next.db") if engine.dialect.name == "sqlite" else "next"
    for command in (
        *("status", "digest", "prove 1", "verify", "attest", "reconcile"),
        *("rebuild", "rebuild --check", f"rebuild --into {into}", "rollback --to 1"),
    ):
        refused = certindex(*command.split(), database_url=database_url)
        assert refused.status == 1, command
        assert f"is at revision 0001, this release reads {REVISION}: start the indexer of this release" in refused.err
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"
    engine.dispose()


@pytest.mark.parametrize("command_name", ["rebuild", "rollback"])
def test_a_command_on_a_database_without_the_chain_says_what_it_holds(
    empty_url: str, certindex: Certindex, command_name: str
) -> None:
    to = ("--to", "1") if command_name == "rollback" else ()
    refused = certindex(command_name, *to, database_url=empty_url)
    assert refused.status == 1
    assert "is empty: start the indexer (certindex run)" in refused.err
    migrate(connect(empty_url))
    refused = certindex(command_name, *to, database_url=empty_url)
    assert refused.status == 1
    assert "The database holds no chain yet: certindex run or sync begins one" in refused.err
    status = certindex("status", database_url=empty_url)
    assert status.out == f"No chain is indexed yet in {empty_url.removeprefix('sqlite:///')}: certindex sync\n"
    refused = certindex(command_name, *to, "--chain-id", "5", database_url=empty_url)
    assert "CHAIN_ID=5: the database holds no such chain" in refused.err


def test_help_explains_every_setting_with_an_example(certindex: Certindex) -> None:
    done = certindex("run", "--help")
    assert done.status == 0
    help_text = " ".join(done.out.split())
    for name in SETTINGS:
        assert f"--{name.lower().replace('_', '-')}" in help_text
        assert re.search(rf"Example: {name}=\S", help_text), name


@pytest.mark.parametrize(("module", "program"), [("indexer", "certindex"), ("api", "certindex-api")])
def test_each_program_prints_its_version(module: str, program: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{program} {version('certindex')}\n"


@pytest.mark.parametrize("command", ["indexer status", "indexer check -", "api schema"])
@pytest.mark.parametrize("buffered", ["", "1"])
def test_output_that_cannot_be_written_is_reported_in_one_line(command: str, buffered: str, empty_url: str) -> None:
    migrate(connect(empty_url))
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", *command.split()],
            env=os.environ | {"DATABASE_URL": empty_url, "PYTHONUNBUFFERED": buffered},
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    program = "certindex-api" if command.startswith("api") else "certindex"
    message = f"{program}: standard output cannot be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, message)


def test_a_closed_pipe_causes_no_message(empty_url: str) -> None:
    migrate(connect(empty_url))
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "indexer", "status"],
            env=os.environ | {"DATABASE_URL": empty_url},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_database_that_has_lost_its_profile_or_its_contracts_is_refused(
    devices: Factory, database_url: str, certindex: Certindex
) -> None:
    certindex("sync", *options_of(devices), database_url=database_url)
    with engine_of(database_url) as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM profile"))
    done = certindex("sync", *options_of(devices), database_url=database_url)
    assert done.status == 1
    assert f"holds chain {CHAIN_ID} without the profile that it was read by: somebody changed it" in done.err
    with engine_of(database_url) as engine, engine.begin() as connection:
        connection.execute(text("DELETE FROM contract"))
    done = certindex("digest", database_url=database_url)
    assert (done.status, "holds no contract of the chain: somebody changed it" in done.err) == (1, True), done.err


@pytest.mark.parametrize("moment", ["read_profile_text", "read_watch_set"])
async def test_an_indexer_that_begins_while_another_one_registers_the_chain_goes_on(
    factory: Factory, database_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    contract = WatchedContract("certificate", bytes.fromhex(factory.contract.address[2:]), 0, whole=True)
    read = getattr(registration, moment)
    registered: list[int] = []

    def and_register(connection: Connection, chain_id: int) -> Any:
        row = read(connection, chain_id)
        if not registered:
            registered.append(chain_id)
            with engine_of(database_url) as engine, engine.begin() as another:
                register(another, chain_id, load_profile("device-certificate"), [contract])
        return row

    monkeypatch.setattr(registration, moment, and_register)
    assert await sync(settings_for(factory, database_url)) == 0
    assert registered == [CHAIN_ID]
