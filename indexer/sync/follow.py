"""Reading the blocks above the final ones: one by one along parent hashes, the logs by block hash."""

from indexer.chain.batch import Batch
from indexer.chain.chain import Chain
from indexer.chain.headers import Heads
from indexer.errors import TryAgain
from indexer.rpc.gather import gather
from indexer.store import Checkpoint
from schema.tables.notices import UNKNOWN_HASH


async def fetch_next(chain: Chain, before: Checkpoint, heads: Heads, most: int) -> Batch:
    """Returns the next blocks on top of the checkpoint, with and without events."""
    first, last = before.number + 1, min(before.number + most, heads.latest.number)
    headers = await chain.headers(range(first, min(last + 1, heads.latest.number)))
    headers += [heads.latest] if last == heads.latest.number else []
    if before.hash not in (headers[0].parent_hash, UNKNOWN_HASH):
        raise TryAgain(f"Block {first} is no child of the block {before.number} that is indexed: the chain moved.")
    chain.check_links(headers)
    logs = await gather(*map(chain.block_logs, headers))
    if (await chain.header(last)).hash != headers[-1].hash:
        raise TryAgain(f"Block {last} changed while its logs were read; they are read again.")
    blocks = [await chain.confirm(header, block_logs) for header, block_logs in zip(headers, logs, strict=True)]
    return Batch(blocks, headers[-1])
