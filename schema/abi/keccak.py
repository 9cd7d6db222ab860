"""Keccak-256, the hash of Ethereum, and the checksum that it gives an address."""

from functools import lru_cache

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """Returns the 32 bytes of the hash."""
    digest: bytes = keccak_256(data).digest()
    return digest


@lru_cache(maxsize=65536)
def checksummed(address: bytes) -> str:
    """Returns an address of 20 bytes with the checksum of EIP-55."""
    text = address.hex()
    digest = keccak256(text.encode()).hex()
    return "0x" + "".join(letter.upper() if by >= "8" else letter for letter, by in zip(text, digest, strict=False))
