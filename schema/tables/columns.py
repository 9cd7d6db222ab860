"""How chain values become columns: the policy for hostile values in one place.

uint256, addresses and hashes are bytes (32, 20, 32), so that they sort rightly on both databases. Seconds and unsigned
numbers up to 64 bits are int64 and saturate. Text loses NUL and broken UTF-8 (PostgreSQL takes neither); the exact
bytes stay in the event. Indexed or ordered text has a key column of its first characters, never NULL.
"""

from typing import Any

from sqlalchemy import BigInteger, Dialect, LargeBinary, String, Text, TypeDecorator

from schema.tables.values import (
    INT64_MAX,
    KEY_LENGTH,
    LOG_INDEX_BITS,
    MAX_BLOCK_NUMBER,
    MAX_LOG_INDEX,
    OPEN,
    block_of,
    clean_text,
    end_of_block,
    log_index_of,
    position,
    saturate,
    text_key,
    uint256_bytes,
)

__all__ = [
    "INT64_MAX",
    "KEY_LENGTH",
    "LOG_INDEX_BITS",
    "MAX_BLOCK_NUMBER",
    "MAX_LOG_INDEX",
    "OPEN",
    "Bytes",
    "CleanText",
    "Int64",
    "KeyText",
    "Uint256",
    "block_of",
    "clean_text",
    "end_of_block",
    "log_index_of",
    "position",
    "saturate",
    "text_key",
    "uint256_bytes",
]


class Uint256(TypeDecorator[int]):
    """A whole number from 0 to 2**256 - 1 as 32 big-endian bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> bytes | None:
        return None if value is None else uint256_bytes(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int.from_bytes(value, "big")


class CleanText(TypeDecorator[str]):
    """Text that both databases take, however hostile."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


class KeyText(TypeDecorator[str]):
    """The indexed part of a text, compared and ordered by code point on both databases."""

    impl = String(KEY_LENGTH)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(KEY_LENGTH, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


Int64 = BigInteger
Bytes = LargeBinary
