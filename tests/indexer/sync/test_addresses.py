"""Logs that name their device by its address: the device that has it, whatever blocks are read at once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from indexer.store.watch_set import WatchedContract
from indexer.sync.backfill import Pace
from schema.events import Kind
from schema.profile.model import load_profile
from schema.tables.indexes import ADDRESS_INDEX
from schema.tables.values import block_of
from schema.vocabulary import EndOfLifeStatus, EventFlag
from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import FakeNode, Log, emitted_by
from tests.support.index.indexing import Engines, Indexer, index_afresh

PROFILE = load_profile(str(REPOSITORY / "tests" / "support" / "chain" / "roster.toml"))
ROSTER, FLEET = b"r" * 20, b"f" * 20
CONTRACTS = (WatchedContract("roster", ROSTER, 0, True), WatchedContract("fleet", FLEET, 0, True))
OWNER = "0x" + "aa" * 20
FINALITY = 4


def unit(number: int) -> str:
    """Returns an address; 0 is the zero address."""
    return f"0x{number:040x}"


class Op(NamedTuple):
    """What a log does: mints a device, or something to the device with an address."""

    what: str
    address: int
    other: int = 0


def logs_of(op: Op, token: int) -> list[Log]:
    device = unit(op.address)
    if op.what == "mint":
        issued = emitted_by("Issued(address indexed owner, uint256 id)", OWNER, token, address=ROSTER)
        enrolled = emitted_by("Enrolled(address indexed device, address owner)", device, OWNER, address=ROSTER)
        return [issued, replace(enrolled, transaction=issued.transaction)]
    logs: dict[str, tuple[str, list[Any]]] = {
        "note": ("Noted(address indexed device, string document)", [device, f"{token}"]),
        "test": ("Tested(address[] devices, bool[] passed)", [(device, unit(op.other)), (True, False)]),
        "rekey": ("Rekeyed(address indexed device, address successor)", [device, unit(op.other)]),
        "mount": ("Mounted(address indexed device, uint256 vehicle)", [device, 7]),
        "remove": ("Removed(address indexed device)", [device]),
    }
    signature, values = logs[op.what]
    return [emitted_by(signature, *values, address=ROSTER)]


@dataclass
class Model:
    """The devices with their addresses: what each event is about, by the rule of the documentation."""

    addresses: dict[int, int] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)
    expected: list[int | None] = field(default_factory=list)

    def mine(self, number: int, ops: Sequence[Op], token: int) -> None:
        before = dict(self.addresses)
        for op in ops:
            token += 1
            if op.what == "mint":
                self.addresses[token] = op.address
                self.expected += [None, token]
                continue
            device = self.device_at(op.address, number, before)
            self.expected.append(device)
            if op.what == "test":
                self.expected.append(self.device_at(op.other, number, before))
            if op.what == "rekey" and device is not None:
                self.addresses[device] = op.other
        for device, address in self.addresses.items():
            if before.get(device) != address:
                self.since[device] = number

    def device_at(self, address: int, number: int, before: dict[int, int]) -> int | None:
        has = [device for device, own in self.addresses.items() if own == address != 0]
        since = {device: self.since[device] if before.get(device) == address else number for device in has}
        return max(has, key=lambda device: (since[device], device), default=None)


ADDRESSES = st.integers(0, 3)
OPS = st.builds(
    Op, st.sampled_from(["mint", "mint", "note", "test", "rekey", "rekey", "mount", "remove"]), ADDRESSES, ADDRESSES
)
HISTORIES = st.lists(st.lists(OPS, max_size=5), min_size=2, max_size=10)


@given(
    blocks=HISTORIES,
    lost=st.lists(st.lists(OPS, max_size=5), max_size=2),
    pace_blocks=st.integers(1, 4),
    followed=st.integers(1, 3),
)
@settings(max_examples=25, derandomize=True, deadline=None, database=None)
def test_events_are_about_the_device_that_has_the_address(
    engines: Engines, blocks: list[list[Op]], lost: list[list[Op]], pace_blocks: int, followed: int
) -> None:
    """Backfilled or followed in parts of any size, after a reorg and after a rebuild."""
    node, model, tokens = FakeNode(finality=FINALITY), Model(), 0
    for number, ops in enumerate(blocks, 1):
        model.mine(number, ops, tokens)
        node.mine(*(log for token, op in enumerate(ops, tokens + 1) for log in logs_of(op, token)))
        tokens += len(ops)

    async def live() -> Indexer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("indexer.sync.backfill.FOLLOWED_BLOCKS", followed)
            patch.setattr("indexer.store.rewriting.EVENTS_A_CHUNK", 3)
            pace = Pace(pace_blocks, most=pace_blocks, side_by_side=1)
            pace.followed = followed
            indexer = Indexer(engines.live, node, profile=PROFILE, contracts=CONTRACTS, pace=pace)
            kept = list(node.blocks)
            if len(kept) > FINALITY + 1:
                node.switch_to(kept[:-2])
                for token, ops in enumerate(lost, 900):
                    node.mine(*(log for op in ops for log in logs_of(op, token)))
                await indexer.catch_up()
                node.switch_to(kept)
            await indexer.catch_up()
            rows = indexer.tables()
            indexer.rebuild()
            assert indexer.tables() == rows
            return indexer

    indexer = asyncio.run(live())
    assert devices(indexer) == model.expected
    assert indexer.tables() == index_afresh(engines.fresh, node, profile=PROFILE, contracts=CONTRACTS)


def devices(indexer: Indexer) -> list[int | None]:
    """Returns the token of the device that each event is about."""
    numbers = {row["id"]: int.from_bytes(row["token_id"], "big") for row in indexer.rows("device")}
    return [numbers.get(row["device_id"]) for row in indexer.rows("event")]


async def test_an_address_that_no_device_has_is_an_event_with_a_flag(engine: Engine) -> None:
    node = FakeNode(finality=0)
    node.mine(*logs_of(Op("note", 1), 1), *logs_of(Op("mount", 1), 1), *logs_of(Op("note", 0), 1))
    node.mine(*logs_of(Op("mint", 1), 5), *logs_of(Op("remove", 1), 5), *logs_of(Op("test", 1, 2), 5))
    indexer = Indexer(engine, node, profile=PROFILE, contracts=CONTRACTS)
    await indexer.catch_up()
    unknown, rows = EventFlag.UNKNOWN_DEVICE, indexer.rows("event")
    assert [(row["kind"], row["flags"] & unknown, row["vehicle_id"] is not None) for row in rows] == [
        (Kind.DEVICE_ATTRIBUTE_SET, unknown, False),
        (Kind.DEVICE_PAIRED, unknown, True),
        (Kind.DEVICE_ATTRIBUTE_SET, unknown, False),
        (Kind.UNMAPPED, 0, False),
        (Kind.DEVICE_MINTED, 0, False),
        (Kind.END_OF_LIFE_RECORDED, 0, False),
        (Kind.TEST_RECORDED, 0, False),
        (Kind.TEST_RECORDED, unknown, False),
    ]
    assert devices(indexer) == [None, None, None, None, 5, 5, 5, None]
    versions = indexer.rows("device_version")
    assert [row["end_of_life_status"] for row in versions] == [EndOfLifeStatus.DECOMMISSIONED]
    assert {block_of(row["position"]) for row in indexer.rows("test_result")} == {2}


async def test_a_backfill_builds_the_index_of_addresses_when_it_needs_it(engine: Engine) -> None:
    node = FakeNode(finality=0)
    node.mine(*logs_of(Op("mint", 1), 1))
    node.mine(*logs_of(Op("note", 1), 1))
    indexer = Indexer(engine, node, profile=PROFILE, contracts=CONTRACTS, pace=Pace(1, most=1, side_by_side=1))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {ADDRESS_INDEX.name}")
    built: dict[int, bool] = {}
    while not indexer.store.checkpoint().backfilled:
        await indexer.step()
        built.setdefault(indexer.store.checkpoint().number, index_exists(engine))
    assert built == {0: False, 1: False, 2: True}


def index_exists(engine: Engine) -> bool:
    catalog = "sqlite_master WHERE name" if engine.dialect.name == "sqlite" else "pg_indexes WHERE indexname"
    with engine.begin() as connection:
        return bool(connection.exec_driver_sql(f"SELECT count(*) FROM {catalog} = '{ADDRESS_INDEX.name}'").scalar())
