"""Values as they are stored: positions, the end of an open span, numbers that saturate, cleaned texts."""

from collections.abc import Sequence

OPEN = 2**63 - 1
"""`valid_to` of an open span, and `expires_at` of a grant that never expires."""

LATEST_TIME = OPEN - 1
"""The largest block time that is stored, in unix seconds: a grant that never expires outlives every block."""

INT64_MAX = 2**63 - 1
KEY_LENGTH = 128

OFFSET_BITS = 20
MAX_OFFSET = (1 << OFFSET_BITS) - 1
MAX_BLOCK_NUMBER = (1 << (63 - OFFSET_BITS)) - 1


def position(block_number: int, offset: int) -> int:
    """Returns the position at an offset in a block. Raises OverflowError if int64 cannot hold it."""
    if not (0 <= block_number <= MAX_BLOCK_NUMBER and 0 <= offset <= MAX_OFFSET):
        raise OverflowError(
            f"log {offset} of block {block_number} has no position: "
            f"offsets go to {MAX_OFFSET}, blocks to {MAX_BLOCK_NUMBER}"
        )
    return block_number << OFFSET_BITS | offset


def offsets(log_indexes: Sequence[int]) -> list[int]:
    """Returns the offsets in their block of all its events, whose logs' indexes are given in ascending order.

    An index comes once for each item of the log. The offset of an event is the index of its log, or the offset behind
    that of the event before. If one is too large, the last events have the last offsets, in order: so the items of a
    log have consecutive offsets. The offsets of more than 2^20 events are negative.
    """
    last = MAX_OFFSET + 1 - len(log_indexes)
    offset = -1
    offsets = []
    for place, log_index in enumerate(log_indexes):
        offset = max(log_index, offset + 1)
        offsets.append(min(offset, last + place))
    return offsets


def block_of(position: int) -> int:
    """Returns the block number of a position."""
    return position >> OFFSET_BITS


def offset_of(position: int) -> int:
    """Returns the offset of a position in its block."""
    return position & MAX_OFFSET


def end_of_block(block_number: int) -> int:
    """Returns the last position p of a block: `valid_from <= p AND valid_to > p` is the state after the block."""
    return ((block_number + 1) << OFFSET_BITS) - 1


def saturate(number: int) -> int:
    """Returns the number, or the largest int64 if it is larger; the API returns that as null."""
    return number if number < INT64_MAX else INT64_MAX


def uint256_bytes(number: int) -> bytes:
    """Returns 32 big-endian bytes."""
    return number.to_bytes(32, "big")


def text_key(text: str | None) -> str:
    """Returns the value of a key column: the first characters of the text, '' for None."""
    return text[:KEY_LENGTH] if text else ""


def clean_text(text: str) -> str:
    """Returns the text with U+FFFD for NUL and lone surrogates, which PostgreSQL cannot store."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
