"""Keccak-256, the hash of Ethereum."""

from Crypto.Hash import keccak


def keccak256(data: bytes) -> bytes:
    """Returns the 32 bytes of the hash."""
    return keccak.new(digest_bits=256, data=data).digest()
