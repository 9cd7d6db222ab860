"""The log bloom of a block header: 2,048 bits, three for each address and topic (yellow paper, section 4.3.1)."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from struct import Struct

from schema.abi.keccak import keccak256

BLOOM_BITS = 2048
_three_numbers: Callable[[bytes], tuple[int, int, int]] = Struct(">3H").unpack_from
WRONG_BLOOMS = "if the chain is known to leave blooms wrong, set TRUST_BLOOM=off"
"""The way out for a bloom that contradicts the logs."""


class Bloom:
    """Tests headers' blooms. Caches the bits of `cached` addresses and topics, about 400 bytes each."""

    def __init__(self, cached: int = 16_384) -> None:
        self._mask = lru_cache(cached)(bloom_mask)

    def admits(self, bloom: bytes, logs: Iterable[tuple[bytes, bytes]]) -> bool:
        """Returns whether logs, as (address, concatenated topics), may all be in a block with this bloom."""
        bits = self._bits(logs)
        return int.from_bytes(bloom, "big") & bits == bits

    def of(self, logs: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Returns the bloom of a block with exactly these logs."""
        return self._bits(logs).to_bytes(BLOOM_BITS // 8, "big")

    def _bits(self, logs: Iterable[tuple[bytes, bytes]]) -> int:
        items: set[bytes] = set()  # the logs of a block share their address and some topics
        for address, topics in logs:
            items.add(address)
            for start in range(0, len(topics), 32):
                items.add(topics[start : start + 32])
        mask, bits = self._mask, 0
        for item in items:
            bits |= mask(item)
        return bits


def bloom_mask(item: bytes) -> int:
    """Returns the bits that an address or a topic sets."""
    first, second, third = _three_numbers(keccak256(item))
    return 1 << first % BLOOM_BITS | 1 << second % BLOOM_BITS | 1 << third % BLOOM_BITS
