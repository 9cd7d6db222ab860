"""Rolls back to the state after an earlier block, in one transaction. The cost follows the number of later changes."""

import time
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import Connection, text

from indexer.store.checkpoint import Checkpoint
from schema.tables.kinds import IDENTITIES, LIFECYCLE, SPANS, VERIFICATION
from schema.tables.values import OPEN, end_of_block


class Cause(StrEnum):
    FORK = "FORK"
    OPERATOR = "OPERATOR"


class RollbackCounts(Struct, frozen=True):
    """The rows of `block` and `event` that a rollback deleted, and all `rows` that it deleted or opened again."""

    blocks: int
    events: int
    rows: int


def delete_above(
    connection: Connection, before: Checkpoint, ancestor: tuple[int, bytes], cause: Cause
) -> RollbackCounts:
    """Deletes all rows above the ancestor (number, hash); the blocks and events of a fork move to the orphan tables."""
    at = {"chain_id": before.chain_id, "ancestor": ancestor[0], "p": end_of_block(ancestor[0])}
    if cause is Cause.FORK:
        _keep_evidence(connection, before, ancestor, cause)
    rows = _reopen_spans(connection, at)
    above = dict.fromkeys(LIFECYCLE, "position > :p") | dict.fromkeys(IDENTITIES, "id > :p")
    above |= {table: f"{number} > :ancestor" for table, number in VERIFICATION.items()}
    for table, condition in above.items():
        rows += connection.execute(text(f"DELETE FROM {table} WHERE chain_id = :chain_id AND {condition}"), at).rowcount
    judged = "UPDATE chain SET judged_number = :ancestor WHERE chain_id = :chain_id AND judged_number > :ancestor"
    connection.execute(text(judged), at)
    connection.execute(text("DELETE FROM contract WHERE chain_id = :chain_id AND factory_position > :p"), at)
    events = connection.execute(text("DELETE FROM event WHERE chain_id = :chain_id AND position > :p"), at)
    blocks = connection.execute(text("DELETE FROM block WHERE chain_id = :chain_id AND number > :ancestor"), at)
    return RollbackCounts(blocks.rowcount, events.rowcount, rows + blocks.rowcount + events.rowcount)


def _reopen_spans(connection: Connection, at: dict[str, int]) -> int:
    """Deletes and reopens spans. Returns the number of rows."""
    rows = 0
    for table in SPANS.values():
        open_ends = ", ".join(f"{column} = {OPEN if column == 'valid_to' else 'NULL'}" for column in table.end_columns)
        for owner in table.owners.values():
            touched = _touched(owner) if table.events_name_owner else "chain_id = :chain_id"
            deleted = connection.execute(text(f'DELETE FROM "{table.name}" WHERE {touched} AND valid_from > :p'), at)
            reopened = connection.execute(
                text(f'UPDATE "{table.name}" SET {open_ends} WHERE {touched} AND valid_to > :p AND valid_to < {OPEN}'),
                at,
            )
            rows += deleted.rowcount + reopened.rowcount
    return rows


def _touched(owner: str) -> str:
    """Returns the condition that an event above the position names the owner of a span."""
    return f"""chain_id = :chain_id AND ({owner} > :p OR {owner} IN (SELECT {owner} FROM event
        WHERE chain_id = :chain_id AND position > :p AND {owner} IS NOT NULL))"""


def _keep_evidence(connection: Connection, before: Checkpoint, ancestor: tuple[int, bytes], cause: Cause) -> None:
    number = connection.execute(
        text("SELECT coalesce(max(reorg_no), 0) + 1 FROM reorg WHERE chain_id = :chain_id"),
        {"chain_id": before.chain_id},
    ).scalar_one()
    at = {
        "chain_id": before.chain_id,
        "reorg_no": number,
        "cause": cause.value,
        "now": int(time.time()),
        "ancestor": ancestor[0],
        "ancestor_hash": ancestor[1],
        "old_head": before.number,
        "old_head_hash": before.hash,
        "p": end_of_block(ancestor[0]),
    }
    for statement in EVIDENCE:
        connection.execute(text(statement), at)


EVIDENCE = (
    """INSERT INTO reorg (chain_id, reorg_no, cause, happened_at, ancestor_number, ancestor_hash, old_head_number,
        old_head_hash)
    VALUES (:chain_id, :reorg_no, :cause, :now, :ancestor, :ancestor_hash, :old_head, :old_head_hash)""",
    """INSERT INTO orphaned_block (chain_id, reorg_no, number, hash, parent_hash, timestamp)
    SELECT chain_id, :reorg_no, number, hash, parent_hash, timestamp
    FROM block WHERE chain_id = :chain_id AND number > :ancestor""",
    """INSERT INTO orphaned_event (chain_id, reorg_no, position, address, topics, data, transaction_hash,
        transaction_index, wide_log_index, kind, device_contract, device_token_id, manufacturer_token_id,
        hardware_license_token_id, event_time, biz_step, disposition, flags, vehicle_token_id,
        synthetic_device_token_id, item)
    SELECT event.chain_id, :reorg_no, position, address, topics, data, transaction_hash, transaction_index,
        wide_log_index, kind, device.contract, device.token_id, manufacturer.token_id, hardware_license.token_id,
        event_time, biz_step, disposition, flags, vehicle.token_id, synthetic_device.token_id, item
    FROM event LEFT JOIN device ON device.chain_id = event.chain_id AND device.id = event.device_id
    LEFT JOIN manufacturer ON manufacturer.chain_id = event.chain_id AND manufacturer.id = event.manufacturer_id
    LEFT JOIN hardware_license ON hardware_license.chain_id = event.chain_id
        AND hardware_license.id = event.hardware_license_id
    LEFT JOIN vehicle ON vehicle.chain_id = event.chain_id AND vehicle.id = event.vehicle_id
    LEFT JOIN synthetic_device ON synthetic_device.chain_id = event.chain_id
        AND synthetic_device.id = event.synthetic_device_id
    WHERE event.chain_id = :chain_id AND position > :p""",
)
