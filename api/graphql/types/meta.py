"""`_meta`: how fresh, how final and how well verified the answers are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import NotReady
from api.graphql.inputs.min_block import MinBlock, awaited_of
from api.graphql.types.blocks import Block, to_block
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes32, date_time
from api.queries.chains import ChainCounts, chain_counts, disagreements
from api.queries.sql.as_of import BlockPoint
from api.reading.readiness import lag_seconds

VERSION = version("certindex")
MOST_CONTRACTS = 100
LATEST_DISAGREEMENTS = 10
INT32_MAX = 2**31 - 1


@strawberry.type(description="A contract of which every log is indexed.")
class WatchedContract:
    address: Address = strawberry.field(description="Where it is.")
    role: str = strawberry.field(description="What the profile calls it.")
    start_block: BigInt = strawberry.field(description="The first block that is indexed.")


@strawberry.type(description="What one provider answered of the blocks of a disagreement.")
class ProviderAnswer:
    host: str = strawberry.field(description="Host and port of the provider.")
    log_count: BigInt = strawberry.field(description="How many logs it gave; the database holds them.")
    digest: Bytes32 = strawberry.field(description="Keccak-256 of the logs.")


@strawberry.type(description="A finalized range on which two providers gave different logs.")
class Disagreement:
    first_block: BigInt = strawberry.field(description="The first block on which they differ.")
    last_block: BigInt = strawberry.field(description="The last block on which they differ.")
    answers: list[ProviderAnswer] = strawberry.field(description="Both answers.")
    first_seen_at: datetime = strawberry.field(description="When it was found.")
    last_seen_at: datetime = strawberry.field(description="When it was found again.")
    resolved_at: datetime | None = strawberry.field(
        description="When enough providers gave the same and the blocks were stored; null: they are not."
    )


@strawberry.type(description="How far one network is indexed.")
class ChainStatus:
    chain_id: BigInt = strawberry.field(description="The network, by EIP-155.")
    profile: str = strawberry.field(description="The profile that reads its logs.")
    contracts: list[WatchedContract] = strawberry.field(description="What is watched, at most 100.")
    head: Block | None = strawberry.field(description="Newest block that a provider told of.")
    finalized: Block | None = strawberry.field(description="The newest block that no reorg takes back.")
    indexed: Block | None = strawberry.field(description="The newest block that answers stand at.")
    polled_at: datetime | None = strawberry.field(
        description="When a provider last answered; old means the head is unknown, not that the chain is still."
    )
    lag_blocks: BigInt | None = strawberry.field(description="The head's height minus the indexed block's.")
    lag_seconds: int | None = strawberry.field(
        description="Chain time: the head's minus the indexed block's, so a chain that stands still has no lag."
    )
    synced: bool = strawberry.field(description="Backfill is over, lag and `polledAt` are within the settings.")
    verified_through: BigInt | None = strawberry.field(
        description="Every block with events up to here is verified to RECEIPTS."
    )
    undecodable_events: BigInt = strawberry.field(description="Logs that a rule claims and whose bytes do not fit.")
    orphaned_blocks: BigInt = strawberry.field(description="Blocks that reorgs took back.")
    disagreements: BigInt = strawberry.field(description="Finalized ranges on which providers gave different logs.")
    latest_disagreements: list[Disagreement] = strawberry.field(description="The newest ten of them, newest first.")
    failing_since: datetime | None = strawberry.field(description="Since when indexing fails; null while it does not.")
    failing_block: BigInt | None = strawberry.field(description="The block that cannot be indexed, while it fails.")
    last_error: str | None = strawberry.field(description="What it fails with, in the words of the provider.")
    digest: Bytes32 | None = strawberry.field(
        description="Commits to every event from the first start block to `digestThrough`."
    )
    digest_through: BigInt | None = strawberry.field(description="The block up to which the digest goes.")


@strawberry.type(description="How fresh, how final and how well verified the answers are.")
class Meta:
    version: str = strawberry.field(description="Of the software.")
    chains: list[ChainStatus] = strawberry.field(description="One a network, at most 100.")


async def meta(context: Context, chain_id: int | None) -> Meta:
    """Returns the state of each network, or of one. Depends on the clock and on each poll: never kept."""
    context.is_volatile = True
    found = await context.runner.read(chain_counts)
    disputed = await context.runner.read(disagreements, LATEST_DISAGREEMENTS)
    chains = [chain for id, chain in context.snapshot.chains.items() if chain_id is None or id == chain_id]
    return Meta(
        version=VERSION,
        chains=[
            _status(context, chain, found[chain.chain_id], disputed.get(chain.chain_id, ())) for chain in chains[:100]
        ],
    )


def await_block(context: Context, min_block: int | None, chain_id: int | None) -> None:
    """Has the request wait for a block that is not indexed yet. Raises NotReady then; BadUserInput."""
    if min_block is None or min_block is UNSET:
        return
    wanted = MinBlock(min_block, None if chain_id is UNSET else chain_id, "minBlock")
    awaited = awaited_of(context.snapshot.chains, wanted)
    if awaited is not None:
        context.awaited = awaited
        raise NotReady(f"Block {awaited[1]} of chain {awaited[0]} is not indexed yet.")


def _status(context: Context, chain: Row[Any], tally: ChainCounts, disputed: Sequence[Row[Any]]) -> ChainStatus:
    contracts = context.snapshot.contracts.get(chain.chain_id, ())
    head_known = chain.head_number is not None
    return ChainStatus(
        chain_id=BigInt(chain.chain_id),
        profile=chain.profile,
        contracts=[
            WatchedContract(address=Address(row.address), role=row.role, start_block=BigInt(row.start_block))
            for row in contracts[:MOST_CONTRACTS]
        ],
        head=_block(chain, chain.head_number, chain.head_hash, chain.head_time),
        finalized=_block(chain, chain.finalized_number, chain.finalized_hash, chain.finalized_time),
        indexed=_block(chain, chain.indexed_number, chain.indexed_hash, chain.indexed_time),
        polled_at=date_time(chain.polled_at),
        lag_blocks=BigInt(max(0, chain.head_number - chain.indexed_number)) if head_known else None,
        lag_seconds=min(INT32_MAX, lag_seconds(chain.head_time, chain.indexed_time)) if head_known else None,
        synced=_synced(context, chain),
        verified_through=None if tally.verified_through is None else BigInt(tally.verified_through),
        undecodable_events=BigInt(tally.undecodable_events),
        orphaned_blocks=BigInt(tally.orphaned_blocks),
        disagreements=BigInt(tally.disagreements),
        latest_disagreements=list(map(_disagreement, disputed)),
        failing_since=date_time(chain.failing_since),
        failing_block=None if chain.failing_since is None else BigInt(chain.indexed_number + 1),
        last_error=chain.last_error,
        digest=Bytes32(chain.digest) if chain.digest else None,
        digest_through=BigInt(chain.digest_number),
    )


def _disagreement(row: Row[Any]) -> Disagreement:
    return Disagreement(
        first_block=BigInt(row.first_block),
        last_block=BigInt(row.last_block),
        answers=[
            ProviderAnswer(host=row.host, log_count=BigInt(row.log_count), digest=Bytes32(row.digest)),
            ProviderAnswer(
                host=row.other_host, log_count=BigInt(row.other_log_count), digest=Bytes32(row.other_digest)
            ),
        ],
        first_seen_at=datetime.fromtimestamp(row.first_seen_at, UTC),
        last_seen_at=datetime.fromtimestamp(row.last_seen_at, UTC),
        resolved_at=date_time(row.resolved_at),
    )


def _block(chain: Row[Any], number: int | None, hash: bytes | None, time: int | None) -> Block | None:
    if number is None or number < 0 or not hash or time is None:
        return None
    return to_block(BlockPoint(chain.chain_id, number, hash, time))


def _synced(context: Context, chain: Row[Any]) -> bool:
    freshness = context.freshness
    return (
        bool(chain.backfilled)
        and lag_seconds(chain.head_time, chain.indexed_time) <= freshness.max_lag_seconds
        and chain.polled_at is not None
        and context.now() - chain.polled_at <= freshness.poll_stale_seconds
    )
