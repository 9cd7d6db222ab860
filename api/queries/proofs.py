"""Proofs of events, and why a block could not be verified."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from api.queries.sql import tables
from api.queries.sql.keys import Key, key_rows
from schema.abi.rlp import decode, items, string


class Proof(NamedTuple):
    """A receipt's proof. `nodes` lead from the receipts root to it, root first; `header` is RLP."""

    block_hash: bytes
    header: bytes
    nodes: Sequence[bytes]
    first_log_index: int


def proofs(connection: Connection, names: Sequence[tuple[int, int, int]]) -> list[Proof | None]:
    """Returns the proof of each (chain id, block number, transaction index), None where there is none."""
    # a key's position is the transaction here: blocks are few, and so are their transactions with events
    keys = key_rows(connection, [Key(chain_id, number, index, 0) for chain_id, number, index in names])
    proof, header, block = tables.receipt_proof.c, tables.verified_header.c, tables.block.c
    rows = connection.execute(
        select(keys.c.place, block.hash, header.rlp, proof.nodes, proof.first_log_index).select_from(
            keys.join(
                tables.receipt_proof,
                (proof.chain_id == keys.c.chain_id)
                & (proof.block_number == keys.c.id)
                & (proof.transaction_index == keys.c.position),
            )
            .join(tables.verified_header, (header.chain_id == proof.chain_id) & (header.number == proof.block_number))
            .join(tables.block, (block.chain_id == proof.chain_id) & (block.number == proof.block_number))
        )
    )
    found: list[Proof | None] = [None] * len(names)
    for row in rows:
        nodes = [string(node) for node in items(decode(row.nodes))]
        found[row.place] = Proof(row.hash, row.rlp, nodes, row.first_log_index)
    return found


def verification_notes(connection: Connection, names: Sequence[tuple[int, int]]) -> list[str | None]:
    """Returns why the block of each (chain id, number) could not be verified, None for one that may still be."""
    keys = key_rows(connection, [Key(chain_id, number, 0, 0) for chain_id, number in names])
    failure = tables.verification_failure.c
    rows = connection.execute(
        select(keys.c.place, failure.reason).select_from(
            keys.join(
                tables.verification_failure,
                (failure.chain_id == keys.c.chain_id) & (failure.number == keys.c.id),
            )
        )
    )
    found: list[str | None] = [None] * len(names)
    for row in rows:
        found[row.place] = row.reason
    return found
