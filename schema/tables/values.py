"""Values as they are stored: positions, the end of an open span, numbers that saturate, cleaned texts."""

OPEN = 2**63 - 1
"""`valid_to` of an open span, and `expires_at` of a grant that never expires."""

LATEST_TIME = OPEN - 1
"""The largest block time that is stored, in unix seconds: a grant that never expires outlives every block."""

INT64_MAX = 2**63 - 1
KEY_LENGTH = 128

LOG_INDEX_BITS = 20
MAX_LOG_INDEX = (1 << LOG_INDEX_BITS) - 1
MAX_BLOCK_NUMBER = (1 << (63 - LOG_INDEX_BITS)) - 1


def position(block_number: int, log_index: int) -> int:
    """Returns the position of a log in the total order of its chain. Raises OverflowError if int64 cannot hold it."""
    if not (0 <= block_number <= MAX_BLOCK_NUMBER and 0 <= log_index <= MAX_LOG_INDEX):
        raise OverflowError(
            f"log {log_index} of block {block_number} has no position: "
            f"log indexes go to {MAX_LOG_INDEX}, blocks to {MAX_BLOCK_NUMBER}"
        )
    return block_number << LOG_INDEX_BITS | log_index


def block_of(position: int) -> int:
    """Returns the block number of a position."""
    return position >> LOG_INDEX_BITS


def log_index_of(position: int) -> int:
    """Returns the index in its block of the log at a position."""
    return position & MAX_LOG_INDEX


def end_of_block(block_number: int) -> int:
    """Returns the last position p of a block: `valid_from <= p AND valid_to > p` is the state after the block."""
    return ((block_number + 1) << LOG_INDEX_BITS) - 1


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
