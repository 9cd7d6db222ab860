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
    text = address.hex().encode()
    # a letter becomes a capital, which differs in one bit, if the digit of the hash at its place is 8 or more
    letters = int.from_bytes(text.translate(IS_LETTER))
    large = int.from_bytes(keccak_256(text).hexdigest()[:40].encode().translate(IS_LARGE))
    return "0x" + (int.from_bytes(text) ^ (letters & large)).to_bytes(40).decode()


CASE_BIT = ord("a") ^ ord("A")
IS_LETTER = bytes(CASE_BIT if chr(code) in "abcdef" else 0 for code in range(256))
IS_LARGE = bytes(CASE_BIT if chr(code) in "89abcdef" else 0 for code in range(256))
