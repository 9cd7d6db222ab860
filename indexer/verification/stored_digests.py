"""The digests of the stored events, recomputed from them: without a provider."""

from collections.abc import Iterator

from indexer.store.digest import block_digest
from indexer.store.event_ranges import EventRanges

STRAY = "block {}: events of it are stored, but not the block"


class Unattestable(Exception):
    """The range cannot be attested. The message names the first block that contradicts it, and how."""


def recomputed_digests(stored: EventRanges, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields number, stored digest and recomputed digest of each stored block with events.

    Raises Unattestable for events of a block that is not stored.
    """
    digest = stored.digest_before(first)
    start = first
    while (blocks := stored.next_blocks(start, last)).blocks or blocks.stray is not None:
        if blocks.stray is not None:
            raise Unattestable(STRAY.format(blocks.stray))
        for block in blocks.blocks:
            digest = block_digest(digest, block.hash, block.logs)
            yield block.number, blocks.digests[block.number], digest
        start = blocks.blocks[-1].number + 1
