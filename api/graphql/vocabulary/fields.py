"""Typed wrappers of Strawberry's decorators, which are untyped."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])
ValueT = TypeVar("ValueT")


def field(description: str, *, name: str | None = None) -> Callable[[ResolverT], ResolverT]:
    """Makes a method the resolver of a field with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.field(resolver, description=description, name=name))

    return decorate


def derived(description: str, read: Callable[[Any], ValueT], *, name: str | None = None) -> ValueT:
    """Declares a field that is read from its object: cheaper than a resolver, and free if it is not selected."""
    made: Any = strawberry.field(default=property(read), description=description, name=name)
    made.init = False
    return cast(ValueT, made)


def resolved(description: str, resolver: Callable[..., Any]) -> Any:
    """Declares a field with a resolver that several types share. Its first parameter has the name `self`."""
    return strawberry.field(resolver=resolver, description=description)


def subscription(description: str) -> Callable[[ResolverT], ResolverT]:
    """Makes an async generator method the source of a subscription with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.subscription(resolver, description=description))

    return decorate


def enum_value(value: str, description: str) -> str:
    """Returns the value of an enum's member with its description."""
    # Strawberry replaces the definition by the value when it makes the enum
    return cast(str, strawberry.enum_value(value, description=description))
