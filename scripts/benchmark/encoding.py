"""Encodes events as JSON-RPC logs. Faster than eth-abi, with which the tests compare it."""

from functools import lru_cache

from schema.abi.keccak import keccak256
from schema.abi.signature import EventSignature
from schema.profile.model import load_profile
from scripts.benchmark.events import Emitted

EVENTS: dict[str, EventSignature] = {rule.event.name: rule.event for rule in load_profile("device-certificate").rules}
BLOOM_BITS = 2048
WORD_DIGITS = 64


def encode(emitted: Emitted) -> tuple[list[str], str]:
    """Returns the topics and the data of an event in hex, without 0x."""
    event = EVENTS[emitted.name]
    topics, head, tail = [event.topic0.hex()], [], []
    offset = event.head_size
    for argument, value in zip(event.inputs, emitted.values, strict=True):
        if argument.indexed:
            topics.append(_word(value))
        elif argument.dynamic:
            text = value.encode().hex()
            head.append(_word(offset))
            tail.append(_word(len(text) // 2) + text + "0" * (-len(text) % WORD_DIGITS))
            offset += len(tail[-1]) // 2
        else:
            head.append(_word(value))
    return topics, "".join(head + tail)


def _word(value: int | bytes) -> str:
    return value.hex().rjust(WORD_DIGITS, "0") if isinstance(value, bytes) else f"{value:064x}"


@lru_cache(200_000)
def bloom_bits(item: str) -> int:
    """Returns the three bits that an address or a topic, in hex, sets in a block's bloom."""
    digest = keccak256(bytes.fromhex(item))
    bits = 0
    for start in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[start : start + 2], "big") & (BLOOM_BITS - 1))
    return bits
