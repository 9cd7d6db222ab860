"""The digest of a chain: one hash that commits to every stored log, in order, and to the watch set."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from schema.abi.keccak import keccak256


class CommittedLog(Protocol):
    """The part of a log that a digest commits to."""

    @property
    def address(self) -> bytes: ...
    @property
    def topics(self) -> bytes: ...
    @property
    def data(self) -> bytes: ...


def watch_set_digest(chain_id: int, contracts: Iterable[tuple[bytes, int]]) -> bytes:
    """Returns the digest of a chain without logs; `contracts` as (address, start block)."""
    parts = [address + start.to_bytes(8, "big") for address, start in sorted(contracts)]
    return keccak256(chain_id.to_bytes(32, "big") + b"".join(parts))


def block_digest(previous: bytes, block_hash: bytes, logs: Sequence[CommittedLog]) -> bytes:
    """Returns the digest after a block with logs; `previous` is the digest before it."""
    parts: list[bytes] = []
    for log in logs:  # address, topics and data with the lengths that keep them apart: 20 bytes, 1 + 32n, 8 + m
        count, length = len(log.topics) // 32, len(log.data)
        parts += (log.address, count.to_bytes(1, "big"), log.topics, length.to_bytes(8, "big"), log.data)
    return keccak256(previous + block_hash + keccak256(b"".join(parts)))
