"""The blocks that a file is read at, as its headers and its metadata state them."""

from collections.abc import Sequence
from typing import NamedTuple

from api.queries.blocks import digests_at
from api.queries.sql.as_of import Pin
from api.reading.snapshot import Snapshot


class Point(NamedTuple):
    """A block of a chain, and the digest of all events up to it; None where the index has none."""

    chain_id: int
    number: int
    hash: bytes
    digest: bytes | None

    def facts(self) -> dict[str, str]:
        """Returns the point as texts by their names."""
        facts = {"chain": str(self.chain_id), "block": str(self.number), "hash": f"0x{self.hash.hex()}"}
        return facts | ({"digest": f"0x{self.digest.hex()}"} if self.digest else {})

    def __str__(self) -> str:
        return "; ".join(f"{name}={text}" for name, text in self.facts().items())


def points_of(snapshot: Snapshot, pins: Sequence[Pin]) -> list[Point]:
    """Returns the point of each pin that has a block."""
    blocks = [pin.block for pin in pins if pin.block is not None]
    digests = snapshot.read_now(digests_at, [(block.chain_id, block.number) for block in blocks])
    return [
        Point(block.chain_id, block.number, block.hash, digest) for block, digest in zip(blocks, digests, strict=True)
    ]
