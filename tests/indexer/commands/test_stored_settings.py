"""Settings that the database knows may be left out at the next start; a setting that differs from it is named."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from schema.profile.model import load_profile
from schema.tables.database import connect
from tests.support.certindex import Certindex
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.processes import caught_up, until
from tests.support.profile import store_earlier_text
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

OTHER = "0x" + "11" * 20
CONTRACTS = f"certificate=0x{CERTIFICATE.hex()}"


@pytest.fixture
def node() -> FakeNode:
    node = FakeNode(finality=2)
    for number in range(1, 6):
        node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=number))
    return node


@pytest.fixture
def url(node: FakeNode) -> Iterator[str]:
    with Provider(of_fake(node)) as provider:
        yield provider.url


@pytest.fixture
def mine_toml(tmp_path: Path) -> Path:
    """A profile of one's own, which is no shipped one."""
    file = tmp_path / "mine.toml"
    text = load_profile("device-certificate").text
    file.write_text(text.replace('name = "device-certificate"', 'name = "mine"') + "\n# mine\n")
    return file


def test_after_the_first_start_the_nodes_and_the_database_are_enough(
    node: FakeNode, url: str, database_url: str, certindex: Certindex, mine_toml: Path
) -> None:
    first = ("--contracts", CONTRACTS, "--start-block", "3", "--profile", str(mine_toml))
    assert certindex("sync", "--rpc-urls", url, *first, database_url=database_url).status == 0
    mine_toml.unlink()
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=9))
    done = certindex("sync", "--rpc-urls", url, database_url=database_url)
    assert (done.status, "Traceback" in done.err) == (0, False), done.err
    assert caught_up(database_url, node)
    for command in (("status",), ("rebuild",), ("rebuild", "--check"), ("digest",), ("rollback", "--to", "5")):
        assert certindex(*command, database_url=database_url).status == 0, command
    with indexers(database_url, RPC_URLS=url, CONTRACTS="") as start:
        indexer = start()
        until(lambda: caught_up(database_url, node), "it to go on", indexer)
    assert first_block(database_url) == 3


def test_a_setting_that_differs_is_named_and_nothing_changes(
    node: FakeNode, url: str, database_url: str, certindex: Certindex, mine_toml: Path
) -> None:
    options = ("--rpc-urls", url)
    first = ("--contracts", CONTRACTS, "--start-block", "3")
    assert certindex("sync", *options, *first, database_url=database_url).status == 0
    for changed, words in {
        ("--contracts", f"certificate={OTHER}"): f"CONTRACTS names certificate={OTHER}",
        ("--contracts", f"{CONTRACTS},certificate={OTHER}"): f"CONTRACTS names certificate={OTHER}",
        ("--contracts", f"passport={OTHER}"): "unknown role 'passport'",
        ("--start-block", "1"): "START_BLOCK=1 lies before block 3",
        ("--profile", str(mine_toml)): f"certindex rebuild --profile {mine_toml}",
        ("--chain-id", "137"): f"chain {node.chain_id}, not of chain 137",
    }.items():
        refused = certindex("sync", *options, *changed, database_url=database_url)
        assert refused.status in (1, 2), changed
        assert words in refused.err
    assert first_block(database_url) == 3


def test_the_command_that_a_changed_profile_names_repairs_the_start(
    url: str, database_url: str, certindex: Certindex, mine_toml: Path
) -> None:
    options = ("--rpc-urls", url, "--profile", str(mine_toml))
    assert certindex("sync", *options, "--contracts", CONTRACTS, database_url=database_url).status == 0
    mine_toml.write_text(mine_toml.read_text() + "\n# changed\n")
    refused = certindex("sync", *options, database_url=database_url)
    command = refused.err.strip().split("certindex rebuild ")[1].split()
    assert certindex("rebuild", *command, database_url=database_url).status == 0
    assert certindex("sync", *options, database_url=database_url).status == 0


def test_what_stays_as_it_is_stored_is_logged(
    url: str,
    database_url: str,
    certindex: Certindex,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ("--rpc-urls", url)
    first = ("--contracts", CONTRACTS, "--start-block", "3")
    assert certindex("sync", *options, *first, database_url=database_url).status == 0
    assert certindex("sync", *options, *first, database_url=database_url).status == 0
    assert "stays so" not in caplog.text
    assert certindex("sync", *options, "--start-block", "4", database_url=database_url).status == 0
    assert f"START_BLOCK=4: {CONTRACTS} is indexed from block 3, and stays so" in caplog.text

    engine = connect(database_url)
    with engine.begin() as connection:  # an earlier release shipped another text
        store_earlier_text(connection, monkeypatch)
    engine.dispose()
    assert certindex("sync", *options, database_url=database_url).status == 0
    assert "certindex rebuild --profile device-certificate" in caplog.text


def test_a_node_of_another_chain_begins_no_second_chain_unless_a_setting_says_so(
    url: str, sqlite_url: str, certindex: Certindex
) -> None:
    assert certindex("sync", "--rpc-urls", url, "--contracts", CONTRACTS, database_url=sqlite_url).status == 0
    other = FakeNode(finality=2)
    other.mine_blocks(3)
    with Provider(of_fake(other)) as provider:
        options = ("sync", "--rpc-urls", provider.url)
        refused = certindex(*options, database_url=sqlite_url)
        assert refused.status == 1
        assert f"set CHAIN_ID={other.chain_id}" in refused.err
        named = ("--chain-id", str(other.chain_id), "--contracts", CONTRACTS)
        assert certindex(*options, *named, database_url=sqlite_url).status == 0


def first_block(url: str) -> int:
    engine = connect(url)
    with engine.begin() as connection:
        block: int = connection.execute(text("SELECT min(start_block) FROM contract")).scalar_one()
    engine.dispose()
    return block
