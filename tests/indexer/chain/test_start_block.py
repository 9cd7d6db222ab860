"""START_BLOCK=auto: the first block of each contract is searched for once, and never guessed."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from indexer.chain.start_block import find_start_block
from indexer.commands.sync import sync
from indexer.errors import Stop
from indexer.rpc.pool import open_pool
from indexer.settings import Settings, contracts
from tests.conftest import StartAnvil
from tests.support.certindex import Certindex
from tests.support.chain.factory import Anvil, Artifact, Contract, Factory
from tests.support.index.indexing import engine_of
from tests.support.index.verifying import FINALITY
from tests.support.rpc.faultproxy import Exchange, Fault, FaultProxy, of_node

STATES = ("eth_getCode", "eth_getTransactionCount")
KEPT_STATES = 20
ANVIL_CHAIN_ID = 31337


@dataclass(frozen=True, slots=True)
class World:
    """A chain with two contracts, the first of block 6, which mints in block 9, the second of block 30. All final."""

    chain: Anvil
    elder: str
    younger: str

    @property
    def contracts(self) -> str:
        return f"certificate={self.elder},certificate={self.younger}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Anvil() as chain:
        chain.mine(5)
        factory = Factory(chain)
        factory.mint()
        chain.mine(20)
        younger = Contract.deploy(chain, Artifact.read(), "https://younger.example/")
        chain.mine(FINALITY)
        yield World(chain, factory.contract.address, younger.address)


def starts(database_url: str) -> dict[str, tuple[int, bool]]:
    """Return of each watched contract the first block that is indexed, and whether it is watched from its first."""
    with engine_of(database_url) as engine, engine.begin() as connection:
        found = connection.execute(text("SELECT address, start_block, whole FROM contract"))
        return {"0x" + bytes(address).hex(): (start, bool(whole)) for address, start, whole in found}


async def test_each_contract_is_indexed_from_the_block_of_its_creation(
    world: World, database_url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    async with FaultProxy(of_node(world.chain.url)) as proxy:
        assert await sync(searching(proxy.url, world, database_url)) == 0
        assert starts(database_url) == {world.elder: (6, True), world.younger: (30, True)}
        assert f"START_BLOCK=auto: certificate={world.elder} begins at block 6" in caplog.text
        assert f"blocks={world.chain.block_number - 5} " in capsys.readouterr().out
        proxy.calls.clear()
        assert await sync(searching(proxy.url, world, database_url)) == 0
        assert "eth_getCode" not in proxy.calls, "what was found is remembered"
    with engine_of(database_url) as engine, engine.begin() as connection:
        found = connection.execute(text("SELECT count(*) FROM event")).scalar_one()
    assert found == len(world.chain.logs(world.elder)) + len(world.chain.logs(world.younger))


def searching(url: str, world: World, database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        rpc_urls=(url,),
        contracts=contracts(world.contracts),
        start_block="auto",
        looks=1,
    )


def older(exchange: Exchange, *, than: int) -> bool:
    """Tell whether a request is about the state of a block that is older."""
    return exchange.method in STATES and exchange.params[1] != "latest" and int(exchange.params[1], 16) < than


def refused(exchange: Exchange) -> bool:
    if not older(exchange, than=KEPT_STATES):
        return False
    exchange.refuse("missing trie node 7e1f (path ) state 0x7e1f is not available")
    return True


def answered_with_nothing(exchange: Exchange) -> bool:
    if not older(exchange, than=KEPT_STATES):
        return False
    exchange.result = "0x" if exchange.method == "eth_getCode" else "0x0"
    return True


async def answered_with_the_newest(exchange: Exchange) -> bool:
    if exchange.method not in STATES:
        return False
    exchange.reply = await exchange.upstream(exchange.method, [exchange.params[0], "latest"])
    return True


def slow_states(exchange: Exchange) -> bool:
    exchange.delay = 0.3 if exchange.method in STATES else 0.0
    return bool(exchange.delay)


@pytest.mark.parametrize("fault", [refused, answered_with_nothing, answered_with_the_newest])
async def test_a_node_without_old_states_is_found_out_and_nothing_is_stored(
    fault: Fault, world: World, sqlite_url: str
) -> None:
    async with FaultProxy(of_node(world.chain.url)) as proxy:
        proxy.inject(fault)
        with pytest.raises(Stop, match=f"the first block of certificate={world.elder} cannot be found") as told:
            await sync(searching(proxy.url, world, sqlite_url))
    assert "Set START_BLOCK to the block of its creation" in str(told.value)
    assert "archive node in RPC_URLS" in str(told.value)
    assert "a-secret-key" not in str(told.value)
    assert starts(sqlite_url) == {}


async def test_a_full_node_beside_an_archive_node_is_still_asked_for_logs(world: World) -> None:
    """That it keeps no old states says nothing of its logs."""
    async with FaultProxy(of_node(world.chain.url)) as full, FaultProxy(of_node(world.chain.url)) as archive:
        full.inject(refused)
        archive.inject(slow_states)  # else the pool may always choose it
        async with open_pool([full.url, archive.url], ANVIL_CHAIN_ID) as pool:
            final = world.chain.block_number - FINALITY
            [host] = [host for host in pool.hosts if host.endpoint.url == full.url]
            for _ in range(50):
                assert await find_start_block(pool, "certificate", bytes.fromhex(world.elder[2:]), final) == 6
                if host.exclusion("eth_getCode", range(1, 2)) is not None:
                    break
            assert host.exclusion("eth_getCode", range(1, 2)) is not None
            assert host.exclusion("eth_getLogs", range(1, 2)) is None


def test_of_a_contract_that_is_not_final_yet_the_blocks_above_the_final_one_are_indexed(
    anvil: StartAnvil, sqlite_url: str, certindex: Certindex
) -> None:
    chain = anvil()
    chain.mine(FINALITY + 3)
    factory = Factory(chain)
    final = int(chain.block("finalized")["number"], 16)
    options = ("--rpc-urls", chain.url, "--contracts", f"certificate={factory.contract.address}")
    assert certindex("sync", *options, "--start-block", "auto", database_url=sqlite_url).status == 0
    assert starts(sqlite_url) == {factory.contract.address: (final + 1, True)}


def test_where_there_is_no_contract_there_is_nothing_to_search_for(
    world: World, sqlite_url: str, certindex: Certindex
) -> None:
    nowhere = "0x" + "11" * 20
    options = ("--rpc-urls", world.chain.url, "--contracts", f"certificate={nowhere}", "--start-block", "auto")
    refused = certindex("sync", *options, database_url=sqlite_url)
    assert refused.status == 1
    assert f"there is no contract at certificate={nowhere}. Correct CONTRACTS" in refused.err
    final = world.chain.block_number - FINALITY
    assert f"Example: START_BLOCK={final + 1}" in refused.err


def test_a_start_that_the_chain_has_not_reached_is_warned_of(
    world: World, sqlite_url: str, certindex: Certindex, caplog: pytest.LogCaptureFixture
) -> None:
    head = world.chain.block_number
    asked = ("sync", "--rpc-urls", world.chain.url, "--contracts", world.contracts, "--start-block")
    certindex(*asked, str(head + 1), database_url=sqlite_url)
    assert "nothing is indexed" not in caplog.text
    with caplog.at_level(logging.WARNING):
        certindex(*asked, str(head + 2), database_url=sqlite_url + ".early")
    assert (
        f"indexing begins at block {head + 2}, and the node's newest is block {head}: nothing is indexed" in caplog.text
    )


def test_a_database_keeps_the_start_block_that_it_has_and_says_so(
    world: World, sqlite_url: str, certindex: Certindex, caplog: pytest.LogCaptureFixture
) -> None:
    options = ("--rpc-urls", world.chain.url, "--contracts", f"certificate={world.elder}")
    assert certindex("sync", *options, "--start-block", "8", database_url=sqlite_url).status == 0
    assert certindex("sync", *options, "--start-block", "auto", database_url=sqlite_url).status == 0
    assert starts(sqlite_url) == {world.elder: (8, False)}
    assert f"certificate={world.elder} is indexed from block 8, not from its first block" in caplog.text


async def test_a_contract_of_the_first_block_is_believed_of_a_node_that_keeps_its_states(world: World) -> None:
    address = bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c")  # there from the start of a development chain
    async with open_pool([world.chain.url], ANVIL_CHAIN_ID) as pool:
        assert await find_start_block(pool, "certificate", address, world.chain.block_number - FINALITY) == 0
