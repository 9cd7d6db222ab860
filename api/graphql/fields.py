"""A field with a resolver, as the type checker may know it: Strawberry's decorators are untyped."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])


def field(description: str, *, name: str | None = None) -> Callable[[ResolverT], ResolverT]:
    """Make a method the resolver of a field with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.field(resolver, description=description, name=name))

    return decorate


def subscription(description: str) -> Callable[[ResolverT], ResolverT]:
    """Make a method that yields events the source of a subscription with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.subscription(resolver, description=description))

    return decorate
