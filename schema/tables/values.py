"""Numbers and texts as they are stored: positions, what never ends, what is too large, what cannot be text."""

OPEN = 2**63 - 1
"""`valid_to` of a span that is open, and `expires_at` of a grant that never expires."""

LATEST_TIME = OPEN - 1
"""The largest block time that is stored, in unix seconds: a grant that never expires outlives every block."""

INT64_MAX = 2**63 - 1
KEY_LENGTH = 128

LOG_INDEX_BITS = 20
MAX_LOG_INDEX = (1 << LOG_INDEX_BITS) - 1
MAX_BLOCK_NUMBER = (1 << (63 - LOG_INDEX_BITS)) - 1


def position(block_number: int, log_index: int) -> int:
    """Returns the place of a log in the total order of its chain. Raises OverflowError where int64 cannot hold it."""
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
    """Returns the log index, in the block, of a position."""
    return position & MAX_LOG_INDEX


def end_of_block(block_number: int) -> int:
    """Returns the last position of a block: `valid_from <= p AND valid_to > p` is the state after it."""
    return ((block_number + 1) << LOG_INDEX_BITS) - 1


def saturate(number: int) -> int:
    """Returns the number as int64 holds it; what is larger becomes the largest and is served as null."""
    return number if number < INT64_MAX else INT64_MAX


def uint256_bytes(number: int) -> bytes:
    """Returns 32 big-endian bytes."""
    return number.to_bytes(32, "big")


def text_key(text: str | None) -> str:
    """Returns what an index holds of a text: its first characters, '' for unknown."""
    return text[:KEY_LENGTH] if text else ""


def clean_text(text: str) -> str:
    """Returns the text as both databases can store it: NUL and lone surrogates become U+FFFD."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
