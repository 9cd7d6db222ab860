"""Polygon's state-sync logs: indexed though no bloom has them, and never said to be proven or complete."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from indexer.chain.log_filter import LogFilter
from indexer.chain.wire import RawLog
from indexer.commands.sync import sync
from indexer.errors import TryAgain
from indexer.opening import open_chain
from indexer.proof.state_sync import state_sync_transaction, uncovered_transaction
from indexer.settings import Settings
from schema.tables.values import position
from schema.vocabulary import FailureCause, VerificationLevel
from tests.support.certindex import Certindex
from tests.support.chain.devchain import Anvil
from tests.support.chain.factory import Factory
from tests.support.chain.fakechain import emitted
from tests.support.index.verifying import FINALITY, Indexed, indexed, settings_for
from tests.support.rpc.faultproxy import Exchange, of_node
from tests.support.rpc.provider import Provider
from tests.support.rpc.state_sync import StateSync

RPC, RECEIPTS = VerificationLevel.RPC, VerificationLevel.RECEIPTS
NOTE = "log {} came by Polygon's state sync: its receipt is outside the receipts root"


class Polygon:
    """A chain with state-sync logs: in a block with other events (`mixed`), in one without (`alone`), in one that is
    not final (`unsafe`).
    """

    def __init__(self, chain_id: int = 137) -> None:
        self.chain = Anvil("--chain-id", str(chain_id))
        self.factory = Factory(self.chain)
        self.factory.mint(number=1)
        self.mixed = self.chain.block_number
        self.chain.mine(2)
        self.alone = self.chain.block_number
        self.factory.mint(number=2)
        self.chain.mine(FINALITY)
        self.factory.mint(number=3)
        self.unsafe = self.chain.block_number
        transfers = [self._transfer(token) for token in (1, 2)]
        self.sync = StateSync(
            self.chain, {self.mixed: [*transfers, transfers[0]], self.alone: transfers, self.unsafe: transfers}
        )
        self.count = 7

    def _transfer(self, token: int) -> Any:
        owner, user = (bytes.fromhex(account[2:]) for account in (self.factory.owner, self.factory.user))
        log = emitted("Transfer", **{"from": owner}, to=user, tokenId=token)
        return replace(log, address=bytes.fromhex(self.factory.contract.address[2:]))


@pytest.fixture(scope="module")
def polygon() -> Iterator[Polygon]:
    polygon = Polygon()
    with polygon.chain:
        yield polygon


@contextmanager
def nodes(polygon: Polygon, *return_state_sync: bool, receipts: bool = True) -> Iterator[list[str]]:
    """Yields URLs of nodes; each returns state-sync logs or leaves them out. Without `receipts` only their logs."""

    def returned(exchange: Exchange) -> bool:
        return (receipts or exchange.method == "eth_getLogs") and polygon.sync.returned(exchange)

    upstream = of_node(polygon.chain.url)
    providers = [Provider(upstream) for _ in return_state_sync]
    try:
        for provider, returns in zip(providers, return_state_sync, strict=True):
            provider.__enter__()
            if returns:
                provider.proxy.inject(returned)
        yield [provider.url for provider in providers]
    finally:
        for provider in providers:
            provider.__exit__()


def index(polygon: Polygon, database_url: str, urls: Sequence[str], **settings: Any) -> None:
    asyncio.run(sync(_settings(polygon, database_url, urls, **settings)))


def _settings(polygon: Polygon, database_url: str, urls: Sequence[str], **settings: Any) -> Settings:
    return settings_for(polygon.factory, database_url, **{"rpc_urls": tuple(urls), "looks": 2} | settings)


def of_state_sync(polygon: Polygon, database: Indexed) -> int:
    names = {bytes.fromhex(name[2:]) for name in polygon.sync.receipts}
    return sum(bytes(hash) in names for (hash,) in database.rows("SELECT transaction_hash FROM event"))


def levels(database: Indexed) -> dict[int, int]:
    return dict(database.rows("SELECT number, level FROM block WHERE digest IS NOT NULL"))


@pytest.mark.parametrize(
    ("returns", "quorum"), [((True,), 1), ((True, False), 1), ((False, True), 1), ((True, False), 2), ((True, True), 2)]
)
def test_state_sync_logs_are_indexed_at_level_rpc_with_a_note(
    polygon: Polygon, database_url: str, returns: tuple[bool, ...], quorum: int
) -> None:
    with nodes(polygon, *returns) as urls:
        index(polygon, database_url, urls, quorum=quorum)
    with indexed(polygon.factory, database_url) as database:
        assert of_state_sync(polygon, database) == polygon.count
        with_state_sync = {polygon.mixed, polygon.alone, polygon.unsafe}
        assert {number for number, level in levels(database).items() if level == RPC} == with_state_sync
        expected = [
            (number, FailureCause.UNKNOWN_FORM, NOTE.format(polygon.sync.first_index(number)))
            for number in sorted(with_state_sync)
        ]
        assert database.failures() == expected
        assert database.rows("SELECT count(*) FROM disagreement") == [(0,)]


def test_verify_and_attest_say_what_stands_outside_the_root(
    polygon: Polygon, sqlite_url: str, certindex: Certindex, tmp_path: Path
) -> None:
    path = tmp_path / "attestation.json"
    with nodes(polygon, True) as urls:
        index(polygon, sqlite_url, urls)
        options = ("--rpc-urls", urls[0])
        verified = certindex("verify", *options, database_url=sqlite_url)
        assert verified.status == 1
        for number in (polygon.mixed, polygon.alone):
            assert f"block {number}: UNKNOWN_FORM: log" in verified.out
        assert "unverifiable=2 alarms=0" in verified.out
        with indexed(polygon.factory, sqlite_url) as database:
            assert {levels(database)[number] for number in (polygon.mixed, polygon.alone)} == {RPC}
            assert {levels(database)[number] for number in (polygon.mixed - 1, polygon.alone + 1)} == {RECEIPTS}
        attested = certindex("attest", "-o", str(path), *options, database_url=sqlite_url)
    assert attested.status == 0, attested.out + attested.err
    assert "all there are" not in attested.out
    assert "not covered are logs that came by state sync, outside the receipts root (5 are stored)" in attested.out
    document = json.loads(path.read_text())
    assert "NOT COVERED: logs that came by state sync" in document["statement"]
    assert document["uncoveredBlocks"] == document["blocks"]
    listed = [(event["block"], event["transactionHash"]) for event in document["uncoveredEvents"]]
    names = {number: polygon.sync.of_block[hex(number)]["transactionHash"] for number in (polygon.mixed, polygon.alone)}
    assert listed == [(number, names[number]) for number in [polygon.mixed] * 3 + [polygon.alone] * 2]


def test_state_sync_logs_that_were_lost_are_found_by_verify_and_attest(
    polygon: Polygon, sqlite_url: str, certindex: Certindex
) -> None:
    with nodes(polygon, False, True) as (without, with_them):
        index(polygon, sqlite_url, [without])
        with indexed(polygon.factory, sqlite_url) as database:
            assert of_state_sync(polygon, database) == 0
        unaware = certindex("attest", "--rpc-urls", without, database_url=sqlite_url)
        assert unaware.status == 0
        assert "NOT COVERED" in json.loads(unaware.out)["statement"]
        both = ("--rpc-urls", f"{without},{with_them}")
        verified = certindex("verify", *both, database_url=sqlite_url)
        assert verified.status == 1
        assert f"block {polygon.mixed}: WRONGLY_STORED: log" in verified.out
        assert "state sync: its receipt is outside the receipts root, and it is not stored" in verified.out
        for first, last in ((polygon.mixed, polygon.mixed), (polygon.alone, polygon.alone)):
            block = ("--from", str(first), "--to", str(last))
            attested = certindex("attest", *block, *both, database_url=sqlite_url)
            assert attested.status == 1
            assert f"block {first}: " in attested.out
            assert "state sync" in attested.out
            assert "not stored" in attested.out


def test_stored_state_sync_logs_that_no_node_has_any_more_are_no_alarm(
    polygon: Polygon, sqlite_url: str, certindex: Certindex
) -> None:
    with nodes(polygon, True, receipts=False) as urls:
        index(polygon, sqlite_url, urls)
    with nodes(polygon, False) as urls:
        verified = certindex("verify", "--rpc-urls", urls[0], database_url=sqlite_url)
        attested = certindex("attest", "--rpc-urls", urls[0], database_url=sqlite_url)
    assert (verified.status, "alarms=0" in verified.out) == (1, True)
    assert "outside the receipts root; no provider returned this receipt" in verified.out
    assert len(json.loads(attested.out)["uncoveredEvents"]) == 5


def test_a_block_that_is_read_by_its_receipts_has_its_state_sync_logs(polygon: Polygon, sqlite_url: str) -> None:
    def refuse(exchange: Exchange) -> bool:
        if exchange.method != "eth_getLogs":
            return False
        exchange.refuse("query returned more than 10000 results", code=-32005)
        return True

    with Provider(of_node(polygon.chain.url)) as provider:
        provider.proxy.inject(polygon.sync.returned)
        provider.proxy.inject(refuse)
        index(polygon, sqlite_url, [provider.url], looks=1)
    with indexed(polygon.factory, sqlite_url) as database:
        assert of_state_sync(polygon, database) == polygon.count


async def test_on_another_chain_such_logs_are_refused(sqlite_url: str) -> None:
    other = Polygon(1)
    with other.chain, nodes(other, True) as urls:
        opened = await open_chain(_settings(other, sqlite_url, urls))
        header = await opened.chain.header(other.mixed)
        with pytest.raises(TryAgain, match="that the header's bloom excludes"):
            await opened.chain.block_logs(header)
        await opened.pool.close()
        opened.engine.dispose()


@pytest.mark.parametrize(
    ("chain_id", "number", "uncovered"),
    [
        (137, 80_084_799, True),
        (137, 80_084_800, False),
        (80002, 28_899_615, True),
        (80002, 28_899_616, False),
        (109, 10**9, True),
        (1, 5, False),
        (31337, 5, False),
    ],
)
def test_state_sync_logs_are_outside_the_root_on_bor_chains_up_to_madhugiri(
    chain_id: int, number: int, uncovered: bool
) -> None:
    hash = b"\x11" * 32
    expected = state_sync_transaction(number, hash) if uncovered else None
    assert uncovered_transaction(chain_id, number, hash) == expected


def test_answers_are_united_if_they_differ_in_state_sync_logs_only() -> None:
    block_hash = b"\x11" * 32

    def log(index: int, transaction: bytes, data: bytes = b"") -> RawLog:
        return RawLog(position(7, index), bytes(20), b"", data, transaction, 0, None, 7, block_hash)

    first, second = log(0, b"\1" * 32), log(1, b"\2" * 32)
    synced, other = (log(2, state_sync_transaction(7, block_hash), data) for data in (b"", b"other"))
    polygon, ethereum = LogFilter(137, ()), LogFilter(1, ())
    assert polygon.union([[first], [first, synced]]) == polygon.union([[first, synced], [first]]) == [first, synced]
    assert polygon.union([[], [synced]]) == [synced]
    assert polygon.union([[first, synced], [first, second, synced]]) is None
    assert polygon.union([[first, synced], [first, other]]) is None
    assert polygon.union([[synced], [msgspec.structs.replace(synced, position=position(7, 3))]]) is None
    assert ethereum.union([[first], [first, synced]]) is None
