"""How far each chain of a database is indexed, as `certindex status` prints it."""

import time
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Row, text

from schema.events import Kind
from schema.profile.releases import differs_from_release
from schema.tables.notices import STANDBY_SECONDS, blocks_to_start, rebuild_text, waiting_text
from schema.tables.values import MAX_BLOCK_NUMBER
from schema.times import utc_seconds_text
from schema.vocabulary import ALARMS, FailureCause

SHOWN_FAILURES = 5
SHOWN_CONTRACTS = 20


class UnverifiedBlock(Struct, frozen=True):
    """A block that could not be verified, and why."""

    number: int
    cause: FailureCause
    reason: str


class StandbyStatus(Struct, frozen=True):
    """An indexer that stands by; times in seconds of Unix time."""

    name: str
    since: int
    seen_at: int


class OpenDisagreement(Struct, frozen=True):
    """Final blocks for which two hosts returned different logs, and that are not indexed for that reason."""

    first_block: int
    last_block: int
    host: str
    log_count: int
    other_host: str
    other_log_count: int
    first_seen_at: int
    last_seen_at: int


class ChainRow(Struct, frozen=True):
    """The columns of `chain` that a status shows as they are; times in seconds of Unix time."""

    chain_id: int
    profile: str
    indexed_number: int
    indexed_time: int
    head_number: int | None
    head_time: int | None
    safe_number: int | None
    finalized_number: int | None
    polled_at: int | None
    backfilled: bool
    writer: str | None
    revision: int
    failing_since: int | None
    last_error: str | None
    head_source: str | None
    stopped: bool


class ChainStatus(ChainRow, frozen=True):
    """The state of one chain.

    `rebuild_due`: this release has another text of its profile, and only a rebuild reads the events by it.
    """

    rebuild_due: bool
    standbys: list[StandbyStatus]
    indexed_hash: str
    digest: str
    contracts: list[dict[str, Any]]
    events: int
    undecodable: int
    reorgs: int
    judged_number: int
    alarms: int
    unverified: int
    failures: list[UnverifiedBlock]
    disagreements: int
    open_disagreements: list[OpenDisagreement]

    @property
    def lag_blocks(self) -> int | None:
        return None if self.head_number is None else max(self.head_number - self.indexed_number, 0)

    @property
    def failing_block(self) -> int | None:
        """The block that cannot be indexed."""
        return None if self.failing_since is None else self.indexed_number + 1

    @property
    def blocks_to_start(self) -> int:
        """By how many blocks the first block to index lies above the head."""
        return blocks_to_start(self.indexed_number, bytes.fromhex(self.indexed_hash[2:]), self.head_number)

    def to_json(self) -> dict[str, Any]:
        derived = ("lag_blocks", "failing_block", "blocks_to_start")
        return asdict(self) | {name: getattr(self, name) for name in derived}

    def to_text(self) -> str:
        lines = [
            f"chain {self.chain_id} ({self.profile})",
            *([f"  rebuild    due: {rebuild_text(self.profile)}"] if self.rebuild_due else []),
            f"  indexed    block {self.indexed_number} of {_time(self.indexed_time)}, {self.indexed_hash}"
            if self.head_number is None or not self.blocks_to_start
            else f"  indexed    nothing: {waiting_text(self.indexed_number, self.head_number)}",
            f"  head       block {_or_unknown(self.head_number)}, {_or_unknown(self.lag_blocks)} behind; "
            f"safe {_or_unknown(self.safe_number)}, finalized {_or_unknown(self.finalized_number)}",
            f"  polled     {_time(self.polled_at)}",
            *([] if self.head_source is None or self.writer is None else [f"  new heads  {self.head_source}"]),
            f"  events     {self.events}, {self.undecodable} undecodable, {self.reorgs} reorgs",
            f"  backfill   {'finished' if self.backfilled else 'under way'}",
            f"  writer     {self.writer or 'none'}",
            *(
                f"  standby    {standby.name} since {_time(standby.since)}, seen {_time(standby.seen_at)}"
                for standby in self.standbys
            ),
            f"  digest     {self.digest}",
            f"  verified   to block {self.judged_number}, {self.alarms} alarms, {self.unverified} not verifiable",
            f"  providers  disagreed {self.disagreements} times on final blocks",
        ]
        lines += [
            f"  disagree   on blocks {row.first_block}..{row.last_block} since {_time(row.first_seen_at)}: "
            f"{row.host} gave {row.log_count} logs, {row.other_host} {row.other_log_count}"
            for row in self.open_disagreements
        ]
        lines += [
            f"  {'alarm' if failure.cause in ALARMS else 'unverified':10} block {failure.number}: {failure.reason}"
            for failure in self.failures
        ]
        for contract in self.contracts[:SHOWN_CONTRACTS]:
            whole = "from its first block" if contract["whole"] else "not from its first block"
            lines.append(
                f"  contract   {contract['role']} {contract['address']} from block {contract['start_block']} ({whole})"
            )
        if len(self.contracts) > SHOWN_CONTRACTS:
            lines.append(f"  contract   and {len(self.contracts) - SHOWN_CONTRACTS} more (--json lists all)")
        if self.failing_since is not None:
            state = "stopped" if self.stopped else "failing"
            lines.append(
                f"  {state:10} at block {self.failing_block} since {_time(self.failing_since)}: {self.last_error}"
            )
        return "\n".join(lines)


def chain_statuses(connection: Connection, chain_id: int | None) -> list[ChainStatus]:
    """Returns the status of one chain; with None, of every chain."""
    columns = ", ".join(ChainRow.__struct_fields__)
    rows = connection.execute(
        text(f"SELECT {columns}, indexed_hash, digest, judged_number FROM chain ORDER BY chain_id")
    )
    return [_status(connection, row) for row in rows.all() if chain_id in (None, row.chain_id)]


def _status(connection: Connection, row: Row[Any]) -> ChainStatus:
    parameters = {
        "chain_id": row.chain_id,
        "undecodable": Kind.UNDECODABLE.value,
        "alarm": min(ALARMS),
        "recent": int(time.time()) - STANDBY_SECONDS,
    }
    contracts = connection.execute(
        text(
            "SELECT role, address, start_block, whole FROM contract WHERE chain_id = :chain_id ORDER BY role, address"
        ),
        parameters,
    )
    counts = connection.execute(
        text(
            """SELECT (SELECT count(*) FROM event WHERE chain_id = :chain_id) AS events,
            (SELECT count(*) FROM event WHERE chain_id = :chain_id AND kind = :undecodable) AS undecodable,
            (SELECT count(*) FROM reorg WHERE chain_id = :chain_id) AS reorgs,
            (SELECT count(*) FROM verification_failure WHERE chain_id = :chain_id AND cause >= :alarm) AS alarms,
            (SELECT count(*) FROM verification_failure WHERE chain_id = :chain_id AND cause < :alarm) AS unverified,
            (SELECT count(*) FROM disagreement WHERE chain_id = :chain_id) AS disagreements"""
        ),
        parameters,
    ).one()
    standbys = connection.execute(
        text(
            """SELECT name, since, seen_at FROM standby
            WHERE chain_id = :chain_id AND seen_at >= :recent ORDER BY since, name"""
        ),
        parameters,
    )
    columns = row._asdict() | counts._asdict()
    columns |= {name: bool(columns[name]) for name in ("backfilled", "stopped")}
    columns |= {name: "0x" + columns[name].hex() for name in ("indexed_hash", "digest")}
    stored = connection.execute(text("SELECT text FROM profile WHERE chain_id = :chain_id"), parameters).scalar()
    return ChainStatus(
        **columns,
        rebuild_due=stored is not None and differs_from_release(row.profile, stored),
        standbys=[StandbyStatus(*row) for row in standbys],
        contracts=[
            {"role": role, "address": "0x" + address.hex(), "start_block": start, "whole": bool(whole)}
            for role, address, start, whole in contracts
        ],
        failures=verification_failures(connection, row.chain_id, 0, MAX_BLOCK_NUMBER, SHOWN_FAILURES),
        open_disagreements=_open_disagreements(connection, row.chain_id),
    )


def _open_disagreements(connection: Connection, chain_id: int) -> list[OpenDisagreement]:
    rows = connection.execute(
        text(
            f"""SELECT {", ".join(OpenDisagreement.__struct_fields__)} FROM disagreement
            WHERE chain_id = :chain_id AND resolved_at IS NULL ORDER BY disagreement_no LIMIT :limit"""
        ),
        {"chain_id": chain_id, "limit": SHOWN_FAILURES},
    )
    return [OpenDisagreement(*row) for row in rows]


def verification_failures(
    connection: Connection, chain_id: int, first: int, last: int, limit: int
) -> list[UnverifiedBlock]:
    """Returns the blocks from first to last that could not be verified, alarms first."""
    rows = connection.execute(
        text(
            """SELECT number, cause, reason FROM verification_failure
            WHERE chain_id = :chain_id AND number >= :first AND number <= :last
            ORDER BY cause DESC, number LIMIT :limit"""
        ),
        {"chain_id": chain_id, "first": first, "last": last, "limit": limit},
    )
    return [UnverifiedBlock(number, FailureCause(cause), reason) for number, cause, reason in rows]


def _time(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    try:
        return utc_seconds_text(seconds)
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def _or_unknown(number: int | None) -> str:
    return "unknown" if number is None else str(number)
