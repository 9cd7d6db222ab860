"""`_meta`: how fresh, how final and how well verified the data is."""

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.plan.fields import column
from api.graphql.types.blocks import Block, to_block
from api.graphql.vocabulary.scalars import INT32_MAX, Address, BigInt, Bytes32, block_time, date_time, to_big_int
from api.queries.chains import ChainCounts, chain_counts, disagreements, standbys
from api.queries.sql.as_of import BlockPoint
from api.reading.readiness import is_waiting, lag_seconds
from api.reading.replica import Replica as ReplicaState
from schema.tables.notices import STANDBY_SECONDS

VERSION = version("certindex")
MOST_CONTRACTS = 100
LATEST_DISAGREEMENTS = 10
MOST_STANDBYS = 10

ChainIdArgument = Annotated[
    BigInt | None, strawberry.argument(description="The EIP-155 chain id of one network; all networks without it.")
]


@strawberry.type(description="A contract whose logs are all indexed.")
class WatchedContract:
    address: Address = column("The address of the contract.")
    role: str = column("The role of the contract in the profile.")
    start_block: BigInt = column("The first block from which its logs are indexed.")


@strawberry.type(description="The logs that one provider returned for the blocks of a disagreement.")
class ProviderAnswer:
    host: str = strawberry.field(description="The host and port of the provider.")
    log_count: BigInt = strawberry.field(
        description="The number of logs that the provider returned. The database stores them."
    )
    digest: Bytes32 = strawberry.field(description="The keccak-256 hash of the logs.")


@strawberry.type(description="A finalized block range for which two providers returned different logs.")
class Disagreement:
    row: strawberry.Private[Row[Any]]
    first_block: BigInt = column("The first block for which the logs differ.", source="row.first_block")
    last_block: BigInt = column("The last block for which the logs differ.", source="row.last_block")
    answers: list[ProviderAnswer] = strawberry.field(description="The answers of both providers: at most 2.")
    first_seen_at: datetime = column(
        "The time at which the disagreement was first found, by the indexer's clock.",
        block_time,
        source="row.first_seen_at",
    )
    last_seen_at: datetime = column(
        "The time at which the disagreement was last found, by the indexer's clock.",
        block_time,
        source="row.last_seen_at",
    )
    resolved_at: datetime | None = column(
        "The time at which enough providers returned the same logs and the blocks were stored, by the "
        "indexer's clock. Null until then.",
        date_time,
        source="row.resolved_at",
    )


@strawberry.type(description="The state of the index of one network.")
class ChainStatus:
    row: strawberry.Private[Row[Any]]
    chain_id: BigInt = column("The EIP-155 chain id of the network.", source="row.chain_id")
    profile: str = column("The name of the profile that maps its logs to facts.", source="row.profile")
    rebuild_due: bool = strawberry.field(
        description="Whether the profile of this release differs from the one that the events were decoded by. "
        "Until an operator runs `certindex rebuild`, the facts that only the new profile decodes are missing."
    )
    contracts: list[WatchedContract] = strawberry.field(description="The watched contracts, at most 100.")
    head: Block | None = strawberry.field(
        description="The newest block that a provider returned. Null before the first poll."
    )
    finalized: Block | None = strawberry.field(
        description="The newest finalized block, which no reorg removes. Null if none is known."
    )
    indexed: Block | None = strawberry.field(
        description="The newest indexed block, at which responses are read. Null if none is indexed."
    )
    polled_at: datetime | None = column(
        "The time at which a provider last answered, by the indexer's clock. Null before the first "
        "answer. If it is old, the head is unknown; it does not mean that the chain has stopped.",
        date_time,
        source="row.polled_at",
    )
    lag_blocks: BigInt | None = strawberry.field(
        description="The number of the head minus the number of the indexed block. Null if no head is known."
    )
    lag_seconds: int | None = strawberry.field(
        description="The timestamp of the head minus that of the indexed block, in seconds. A chain that stands "
        "still has no lag. Null if no head is known."
    )
    backfilled: bool = strawberry.field(
        description="Whether all blocks that were final at the start of the index have been indexed. Until then, later "
        "events are missing."
    )
    synced: bool = strawberry.field(
        description="Whether the backfill is complete, and the lag and the age of `polledAt` are within the settings "
        "`MAX_LAG_SECONDS` and `POLL_STALE_SECONDS`."
    )
    verified_through: BigInt | None = strawberry.field(
        description="The last block such that every block with events up to it is verified to RECEIPTS. Null if "
        "there is none."
    )
    undecodable_events: BigInt = strawberry.field(
        description="The number of logs that a rule of the profile matches but whose bytes cannot be decoded."
    )
    orphaned_blocks: BigInt = strawberry.field(description="The number of blocks that reorgs removed.")
    disagreements: BigInt = strawberry.field(
        description="The number of finalized block ranges for which providers returned different logs."
    )
    latest_disagreements: list[Disagreement] = strawberry.field(
        description="The newest disagreements, newest first, at most 10."
    )
    writer: str | None = column(
        "The indexer that writes this network, as it names itself. Null while none does.", source="row.writer"
    )
    standbys: list[str] = strawberry.field(
        description="The indexers that wait to take over, longest wait first, at most 10."
    )
    failing_since: datetime | None = column(
        "The time since which indexing fails, by the indexer's clock. Null while it does not fail.",
        date_time,
        source="row.failing_since",
    )
    failing_block: BigInt | None = strawberry.field(
        description="The block that cannot be indexed. Null while indexing does not fail."
    )
    stopped: bool = strawberry.field(
        description="Whether indexing has stopped until an operator acts: trying again would fail the same way."
    )
    last_error: str | None = strawberry.field(
        description="The last error message of a provider or of the indexer. Null if there is none."
    )
    digest: Bytes32 | None = strawberry.field(
        description="A hash that commits to every event from the first start block to `digestThrough`. Null if there "
        "is none yet."
    )
    digest_through: BigInt | None = column("The last block that `digest` covers.", source="row.digest_number")


@strawberry.type(description="A replica of the database that the indexer writes.")
class Replica:
    state: strawberry.Private[ReplicaState]
    replayed_at: datetime | None = column(
        "The time of the newest commit that the replica has, by the clock of the database that the indexer writes. An "
        "indexer commits at each poll. Null if nothing was replayed since the replica started.",
        date_time,
        source="state.replayed_at",
    )
    lag_seconds: int | None = strawberry.field(
        description="The age of that commit in seconds, by this server's clock. Null if `replayedAt` is null."
    )


@strawberry.type(description="How fresh, how final and how well verified the data is.")
class Meta:
    version: str = strawberry.field(description="The version of certindex.")
    replica: Replica | None = strawberry.field(
        description="The replica that the response was read from. Null if it was read from the database that the "
        "indexer writes. `chains` is as the replica has it: its head is not newer than `replayedAt`."
    )
    chains: list[ChainStatus] = strawberry.field(description="The state of each network, at most 100.")


def meta(
    context: Context,
    rows: Sequence[Any],
    *,
    min_block: Annotated[
        BigInt | None, strawberry.argument(description="The minimum indexed block, on the network `chainId`.")
    ] = UNSET,  # it is awaited before the request is executed
    chain_id: ChainIdArgument = UNSET,
) -> list[Meta]:
    """Returns the state of all networks, or of one. The response is not cached: it depends on the clock."""
    context.is_volatile = True
    counts = context.read.now(chain_counts)
    latest = context.read.now(disagreements, LATEST_DISAGREEMENTS)
    waiting = context.read.now(standbys, int(context.now()) - STANDBY_SECONDS)
    chains = [
        _status(context, chain, counts[id], latest.get(id, ()), waiting[id])
        for id, chain in context.snapshot.chains.items()
        if chain_id in (None, UNSET, id)
    ]
    return [Meta(version=VERSION, replica=_replica(context.snapshot.replica, context.now()), chains=chains[:100])]


def _replica(state: ReplicaState | None, now: float) -> Replica | None:
    lag = None if state is None else state.lag_seconds(now)
    return None if state is None else Replica(state=state, lag_seconds=None if lag is None else min(INT32_MAX, lag))


def _status(
    context: Context, chain: Row[Any], counts: ChainCounts, latest: Sequence[Row[Any]], waiting: Sequence[str]
) -> ChainStatus:
    contracts = context.snapshot.contracts.get(chain.chain_id, ())
    head_known = chain.head_number is not None
    return ChainStatus(
        row=chain,
        rebuild_due=chain.chain_id in context.snapshot.chains_to_rebuild,
        contracts=contracts[:MOST_CONTRACTS],  # type: ignore[arg-type]  # rows of WatchedContract
        head=_block(chain, chain.head_number, chain.head_hash, chain.head_time),
        finalized=_block(chain, chain.finalized_number, chain.finalized_hash, chain.finalized_time),
        indexed=_block(chain, chain.indexed_number, chain.indexed_hash, chain.indexed_time),
        lag_blocks=BigInt(max(0, chain.head_number - chain.indexed_number)) if head_known else None,
        lag_seconds=min(INT32_MAX, lag_seconds(chain.head_time, chain.indexed_time)) if head_known else None,
        backfilled=bool(chain.backfilled),
        synced=_synced(context, chain),
        verified_through=to_big_int(counts.verified_through),
        undecodable_events=BigInt(counts.undecodable_events),
        orphaned_blocks=BigInt(counts.orphaned_blocks),
        disagreements=BigInt(counts.disagreements),
        latest_disagreements=list(map(_disagreement, latest)),
        standbys=list(waiting[:MOST_STANDBYS]),
        stopped=bool(chain.stopped),
        failing_block=None if chain.failing_since is None else BigInt(chain.indexed_number + 1),
        last_error=chain.last_error,
        digest=Bytes32(chain.digest) if chain.digest else None,
    )


def _disagreement(row: Row[Any]) -> Disagreement:
    return Disagreement(
        row=row,
        answers=[
            ProviderAnswer(host=row.host, log_count=BigInt(row.log_count), digest=Bytes32(row.digest)),
            ProviderAnswer(
                host=row.other_host, log_count=BigInt(row.other_log_count), digest=Bytes32(row.other_digest)
            ),
        ],
    )


def _block(chain: Row[Any], number: int | None, hash: bytes | None, time: int | None) -> Any:
    if number is None or number < 0 or not hash or time is None:
        return None
    return to_block(BlockPoint(chain.chain_id, number, hash, time))


def _synced(context: Context, chain: Row[Any]) -> bool:
    freshness = context.freshness
    return (
        bool(chain.backfilled)
        and not is_waiting(chain)
        and lag_seconds(chain.head_time, chain.indexed_time) <= freshness.max_lag_seconds
        and chain.polled_at is not None
        and context.now() - chain.polled_at <= freshness.poll_stale_seconds
    )
