"""Typed wrappers of Strawberry's functions, which are untyped."""

from typing import cast

import strawberry


def enum_value(value: str, description: str) -> str:
    """Returns the value of an enum's member with its description."""
    # Strawberry replaces the definition by the value when it makes the enum
    return cast(str, strawberry.enum_value(value, description=description))
