"""Column types for chain values: the one place that decides how a hostile value is stored.

- A uint256, an address and a hash are bytes (32, 20 and 32), so that SQLite and PostgreSQL sort them alike.
- Seconds and unsigned numbers of up to 64 bits are int64; a larger number is stored as the largest int64.
- Text is stored without NUL and invalid UTF-8, which PostgreSQL refuses; the event keeps the exact bytes.
- A text that is indexed or ordered has a key column with its first characters, which is never NULL.
"""

from typing import Any

from sqlalchemy import BigInteger, Dialect, LargeBinary, String, Text, TypeDecorator

from schema.tables.values import KEY_LENGTH, clean_text, uint256_bytes


class Uint256(TypeDecorator[int]):
    """A whole number from 0 to 2**256 - 1 as 32 big-endian bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> bytes | None:
        return None if value is None else uint256_bytes(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        # not `process_result_value`, which SQLAlchemy calls by two further functions for each value
        return _number


def _number(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value)


class CleanText(TypeDecorator[str]):
    """Text with NUL and invalid UTF-8 replaced, so that both databases accept it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


class KeyText(TypeDecorator[str]):
    """The indexed start of a text, compared and ordered by code point on both databases."""

    impl = String(KEY_LENGTH)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(KEY_LENGTH, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


Int64 = BigInteger
Bytes = LargeBinary
