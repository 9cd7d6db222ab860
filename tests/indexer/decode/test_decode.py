"""Hostile values from a raw log to the tables: nothing stops the indexer, and nothing is lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from indexer.errors import Stop
from indexer.store.watch_set import WatchedContract
from schema.events import Kind
from schema.profile.model import load_profile
from schema.tables.values import MAX_BLOCK_NUMBER, OPEN
from schema.vocabulary import EndOfLifeStatus, EventFlag
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted, emitted_by
from tests.support.chain.hostile import HOSTILE, UINT256, Hostile, minted
from tests.support.index.indexing import Indexer


@pytest.mark.parametrize("finality", [0, 64], ids=["backfilled", "followed"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
async def test_nothing_that_a_chain_carries_stops_the_indexer_or_is_lost(
    engine: Engine, hostile: Hostile, finality: int
) -> None:
    node = FakeNode(finality=finality)
    node.mine(*hostile.logs, after=hostile.after)
    for logs in hostile.also:
        node.mine(*logs)
    indexer = Indexer(engine, node)
    await indexer.catch_up()
    before = indexer.tables()
    for table, expected in hostile.holds.items():
        check_rows(table, expected, before[table])
    sent = [log for block in node.blocks for log in block.logs]
    assert [(log.topics, log.data) for log in sent] == [(row["topics"], row["data"]) for row in before["event"]]
    indexer.rebuild()
    assert indexer.tables() == before
    indexer.store.roll_back_to(indexer.store.checkpoint(), 0)
    await indexer.catch_up()
    assert indexer.tables() == before


def check_rows(table: str, expected_rows: Any, rows: list[dict[str, Any]]) -> None:
    named = [{column: row[column] for column in expected} for expected, row in zip(expected_rows, rows, strict=True)]
    assert named == [dict(expected) for expected in expected_rows], table


async def test_a_block_number_that_has_no_position_is_a_stop_that_says_so(engine: Engine) -> None:
    far = MAX_BLOCK_NUMBER + 1

    class FarNode(FakeNode):
        """Its second block has a number that no chain will reach."""

        def answer(self, method: str, params: list[Any]) -> Any:
            tag = params[0] if method == "eth_getBlockByNumber" else None
            if tag in (hex(far), "latest", "safe", "finalized"):
                return super().answer(method, ["0x1", False]) | {"number": hex(far)}
            if method == "eth_getLogs":
                return [log | {"blockNumber": hex(far)} for log in self._logs({**params[0], "fromBlock": "0x1"})]
            return super().answer(method, params)

    node = FarNode()
    node.mine(*minted())
    indexer = Indexer(engine, node, contracts=(WatchedContract("certificate", CERTIFICATE, far, False),))
    with pytest.raises(Stop, match=f"block {far} has no position.*blocks to {MAX_BLOCK_NUMBER}"):
        await indexer.step()


PROFILE = """
name = "wide-codes"

[[event]]
contract = "certificate"
signature = "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)"
fact = "DeviceTransferred"
fields = { token_id = "tokenId", sender = "from", recipient = "to" }

[[event]]
contract = "certificate"
signature = "Ended(uint256 indexed id, uint256 how, uint256 wiped, uint256 at)"
fact = "EndOfLifeRecorded"
fields = { token_id = "id", process = "how", sanitization = "wiped", occurred_at = "at" }

[[event]]
contract = "certificate"
signature = "Reset(uint256 indexed id, uint256 why, uint256 at)"
fact = "FactoryReset"
fields = { token_id = "id", reason = "why", reset_at = "at" }

[[event]]
contract = "certificate"
signature = "Updated(uint256 indexed id, string version, uint256 result)"
fact = "FirmwareUpdated"
fields = { token_id = "id", to_version = "version", result = "result" }
"""


async def test_codes_and_times_of_256_bits_in_a_foreign_contract_saturate(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "wide.toml"
    path.write_text(PROFILE)
    node = FakeNode()
    node.mine(
        emitted("Transfer", to=b"\xa1" * 20, tokenId=1),
        emitted_by("Ended(uint256 indexed id, uint256 how, uint256 wiped, uint256 at)", 1, UINT256, UINT256, UINT256),
        emitted_by("Reset(uint256 indexed id, uint256 why, uint256 at)", 1, UINT256, UINT256),
        emitted_by("Updated(uint256 indexed id, string version, uint256 result)", 1, "1.0.0", UINT256),
    )
    indexer = Indexer(engine, node, profile=load_profile(str(path)))
    await indexer.catch_up()
    tables = indexer.tables()
    expected: Mapping[str, Any] = {
        "end_of_life_step": [{"process": OPEN, "sanitization": OPEN, "occurred_at": OPEN}],
        "factory_reset": [{"reason": OPEN, "reset_at": OPEN}],
        "firmware_update": [{"result": OPEN}],
        "device_version": [{"end_of_life_status": EndOfLifeStatus.UNKNOWN, "sanitization": -1}],
        "event": [
            {"kind": Kind.DEVICE_TRANSFERRED, "flags": 0},
            {"event_time": OPEN, "flags": EventFlag.UNKNOWN_CODE | EventFlag.TIME_IN_FUTURE},
            {"event_time": OPEN, "flags": EventFlag.UNKNOWN_CODE | EventFlag.TIME_IN_FUTURE},
            {"event_time": None, "flags": EventFlag.UNKNOWN_CODE | EventFlag.AFTER_END_OF_LIFE},
        ],
    }
    for table, rows in expected.items():
        check_rows(table, rows, tables[table])
