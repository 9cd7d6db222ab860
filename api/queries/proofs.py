"""Proofs of events, and why a block could not be verified."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from api.queries.sql import tables
from api.queries.sql.keys import Key, row_by_key
from api.queries.sql.ordered_joins import OrderedJoin
from api.queries.sql.scope import Scope


class Proof(NamedTuple):
    """The proof of a receipt, as it is stored: RLP, `nodes` as one list from the receipts root to the receipt."""

    block_hash: bytes
    header: bytes
    nodes: bytes
    first_log_index: int


def proofs(connection: Connection, names: Sequence[tuple[int, int, int]]) -> list[Proof | None]:
    """Returns the proof of each (chain id, block number, transaction index), None if there is none."""
    # the position of these keys is the transaction index
    keys = [Key(chain_id, number, index, 0) for chain_id, number, index in names]
    return [
        None if row is None else Proof(row.hash, row.rlp, row.nodes, row.first_log_index)
        for row in _proofs(connection, keys)
    ]


@row_by_key
def _proofs(scope: Scope) -> Select[Any]:
    proof, header, block = tables.receipt_proof.c, tables.verified_header.c, tables.block.c
    return select(block.hash, header.rlp, proof.nodes, proof.first_log_index).select_from(
        OrderedJoin(
            scope.keys,
            tables.receipt_proof,
            (proof.chain_id == scope.chain_id)
            & (proof.block_number == scope.id)
            & (proof.transaction_index == scope.position),
        )
        .then(tables.verified_header, (header.chain_id == proof.chain_id) & (header.number == proof.block_number))
        .then(tables.block, (block.chain_id == proof.chain_id) & (block.number == proof.block_number))
    )


def verification_notes(connection: Connection, names: Sequence[tuple[int, int]]) -> list[str | None]:
    """Returns why the block of each (chain id, number) could not be verified, None if no attempt has failed."""
    rows = _failures(connection, [Key(chain_id, number, 0, 0) for chain_id, number in names])
    return [None if row is None else row.reason for row in rows]


@row_by_key
def _failures(scope: Scope) -> Select[Any]:
    failure = tables.verification_failure.c
    of_block = (failure.chain_id == scope.chain_id) & (failure.number == scope.id)
    return select(failure.reason).select_from(OrderedJoin(scope.keys, tables.verification_failure, of_block))
