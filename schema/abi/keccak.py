"""Keccak-256, the hash function of Ethereum, and the checksum of addresses that is made with it."""

from functools import lru_cache

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """Returns the hash, 32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


@lru_cache(maxsize=65536)
def checksummed(address: bytes) -> str:
    """Returns a 20-byte address as text with its EIP-55 checksum."""
    text = address.hex()
    digest = keccak256(text.encode()).hex()
    return "0x" + "".join(
        letter.upper() if nibble >= "8" else letter for letter, nibble in zip(text, digest, strict=False)
    )
