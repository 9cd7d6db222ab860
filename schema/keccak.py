"""Keccak-256, the hash of Ethereum."""

from sha3 import keccak_256


def keccak256(data: bytes) -> bytes:
    """Returns the 32 bytes of the hash."""
    digest: bytes = keccak_256(data).digest()
    return digest
