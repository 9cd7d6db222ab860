"""The log bloom of a block header: 2,048 bits, three for each address and topic (yellow paper, section 4.3.1)."""

from collections.abc import Iterable
from functools import lru_cache

from Crypto.Hash import keccak

BLOOM_BITS = 2048


class Bloom:
    """Asks headers' blooms, remembering what each address and topic sets."""

    def __init__(self, remembered: int = 65_536) -> None:
        self.mask = lru_cache(remembered)(bloom_mask)

    def admits(self, bloom: bytes, address: bytes, topics: bytes) -> bool:
        """Tells whether a log of this address with these topics (concatenated) may be in a block with this bloom."""
        bits = int.from_bytes(bloom, "big")
        wanted = self.mask(address)
        for start in range(0, len(topics), 32):
            wanted |= self.mask(topics[start : start + 32])
        return bits & wanted == wanted

    def of(self, logs: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Returns the bloom of a block with just these logs, as (address, topics)."""
        bits = 0
        for address, topics in logs:
            bits |= self.mask(address)
            for start in range(0, len(topics), 32):
                bits |= self.mask(topics[start : start + 32])
        return bits.to_bytes(BLOOM_BITS // 8, "big")


def bloom_mask(item: bytes) -> int:
    """Returns the bits that an address or a topic sets."""
    digest = keccak.new(digest_bits=256, data=item).digest()
    mask = 0
    for start in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[start : start + 2], "big") % BLOOM_BITS)
    return mask
