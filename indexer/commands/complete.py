"""`certindex reconcile --complete`: reads from the contracts the values that old events lack.

Unlike the other modules here it declares no options: `reconcile.py` has its option, and imports it late.
"""

import asyncio
from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import bindparam, text

from indexer.decode.completion import missing_from
from indexer.decode.decode import decode
from indexer.opening import OpenedNode, open_node
from indexer.settings import NodeSettings
from indexer.store.checkpoint import read_checkpoint
from indexer.store.contract_calls import load_results
from indexer.store.lease import Lease
from indexer.store.rewriting import StoredBlockEvents
from indexer.sync.rebuild import rebuild
from indexer.verification.contract_answers import call_contract
from schema.events import Kind
from schema.profile.calls import CompiledCall, ContractCall
from schema.tables import rows
from schema.tables.database import read_only_engine
from schema.tables.values import block_of

COMPLETED_KINDS = (Kind.DEVICE_MINTED, Kind.MANUFACTURER_MINTED)


class Missing(Struct, frozen=True):
    """A value that an event leaves out: the call that returns it, and the event's block."""

    call: CompiledCall
    id: int
    block_number: int

    @property
    def contract_call(self) -> ContractCall:
        return self.call.to_id(self.id)


async def complete(settings: NodeSettings) -> int:
    """Reads from the contracts the values that old events lack, stores them and folds all events again."""
    async with open_node(settings, settings.rpc_urls, settings.rpc_headers) as node:
        missing = await asyncio.to_thread(_missing, node)
        with read_only_engine(node.engine).begin() as connection:
            checkpoint = read_checkpoint(connection, node.chain_id)
        final = checkpoint.finalized_number
        block_number = min(checkpoint.number, final) if final > 0 else checkpoint.number
        answers = [answer for value in missing if (answer := await _answer(node, value, block_number)) is not None]
        facts = await _store(node, answers) if answers else 0
    print(
        f"completed chain={node.chain_id} missing={len(missing)} answered={len(answers)} "
        f"block={block_number} facts={facts}"
    )
    return 0


def _missing(node: OpenedNode) -> list[Missing]:
    """Returns the values that events leave out and that no stored answer holds, each call once, in order."""
    reader = node.reader
    by_call: dict[ContractCall, Missing] = {}
    with read_only_engine(node.engine).begin() as connection:
        statement = text(
            """SELECT position, address, topics, data, transaction_hash, transaction_index,
                wide_log_index
            FROM event
            WHERE chain_id = :chain_id AND kind IN :kinds AND item = 0 ORDER BY position"""
        ).bindparams(bindparam("kinds", expanding=True))
        kinds = [kind.value for kind in COMPLETED_KINDS]
        for row in connection.execute(statement, {"chain_id": node.chain_id, "kinds": kinds}):
            log = rows.EventLog(*row)
            block = StoredBlockEvents(block_of(log.position), 0, [log], [log], [])
            for located in decode([block], reader).facts:
                call = missing_from(reader.calls, located.fact)
                if call is not None:
                    missing = Missing(*call, block.number)
                    by_call.setdefault(missing.contract_call, missing)
        results = load_results(connection, node.chain_id, by_call)
    return [missing for call, missing in by_call.items() if call not in results]


async def _answer(node: OpenedNode, missing: Missing, block_number: int) -> rows.Call | None:
    """Returns the contract's answer at the block, else at the event's block; None if it gives none at either."""
    to, data = missing.contract_call
    for number in (block_number, missing.block_number):
        answer = await call_contract(node.pool, to, data, number)
        if answer is not None and missing.call.value(answer) is not None:
            return rows.Call(to, data, number, answer)
    return None


async def _store(node: OpenedNode, answers: Sequence[rows.Call]) -> int:
    lease = Lease(node.engine, node.chain_id)
    async with lease.held():
        store = node.store(lease)
        rebuilt = await asyncio.to_thread(rebuild, store, store.checkpoint(), node.interpretation, answers)
    return rebuilt.facts
