"""Fields as the type checker may know them: Strawberry's decorators are untyped."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])
ValueT = TypeVar("ValueT")


def field(description: str, *, name: str | None = None) -> Callable[[ResolverT], ResolverT]:
    """Make a method the resolver of a field with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.field(resolver, description=description, name=name))

    return decorate


def derived(description: str, read: Callable[[Any], ValueT], *, name: str | None = None) -> ValueT:
    """Make a field of what is read of its object: cheaper than a resolver, and of no cost where it is not selected."""
    made: Any = strawberry.field(default=property(read), description=description, name=name)
    made.init = False
    return cast(ValueT, made)


def subscription(description: str) -> Callable[[ResolverT], ResolverT]:
    """Make a method that yields events the source of a subscription with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.subscription(resolver, description=description))

    return decorate
