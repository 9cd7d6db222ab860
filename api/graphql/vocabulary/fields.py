"""Typed wrappers of Strawberry's decorators, which are untyped."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])


def subscription(description: str) -> Callable[[ResolverT], ResolverT]:
    """Makes an async generator method the source of a subscription with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.subscription(resolver, description=description))

    return decorate


def enum_value(value: str, description: str) -> str:
    """Returns the value of an enum's member with its description."""
    # Strawberry replaces the definition by the value when it makes the enum
    return cast(str, strawberry.enum_value(value, description=description))
