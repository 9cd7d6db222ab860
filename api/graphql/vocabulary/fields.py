"""Typed wrappers of Strawberry's decorators, which are untyped."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar, cast

import strawberry

from schema.tables.damage import UNREADABLE, unreadable

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])
ValueT = TypeVar("ValueT")


def field(description: str, *, name: str | None = None) -> Callable[[ResolverT], ResolverT]:
    """Makes a method the resolver of a field with this description."""

    def decorate(resolver: ResolverT) -> ResolverT:
        return cast(ResolverT, strawberry.field(resolver, description=description, name=name))

    return decorate


def derived(description: str, read: Callable[[Any], ValueT], *, name: str | None = None) -> ValueT:
    """Declares a field that is read from its object: cheaper than a resolver, and free if it is not selected."""

    def read_stored(object: Any) -> ValueT:
        try:
            return read(object)
        except UNREADABLE as error:
            raise unreadable(f"A stored value of {type(object).__name__}", error) from error

    return cast(ValueT, _read_only(description, property(read_stored), name))


def from_fact(
    description: str, convert: Callable[[Any], ValueT], *, source: str | None = None, name: str | None = None
) -> ValueT:
    """Declares a field of an event: the converted value of its fact's field `source`, by default of the same name."""
    return cast(ValueT, _read_only(description, _Converted("fact", source, convert), name))


def from_row(
    description: str, convert: Callable[[Any], ValueT], *, source: str | None = None, name: str | None = None
) -> ValueT:
    """Declares a field of an object: the converted value of its row's column `source`, by default of the same name."""
    return cast(ValueT, _read_only(description, _Converted("row", source, convert), name))


class _Converted(property):
    """Converts an attribute of `holder`, which is an attribute of the object."""

    def __init__(self, holder: str, source: str | None, convert: Callable[[Any], Any]) -> None:
        super().__init__()
        self._holder, self._source, self._convert = holder, source, convert

    def __set_name__(self, owner: type, name: str) -> None:
        column = self._source or name
        read, convert = attrgetter(f"{self._holder}.{column}"), self._convert

        def read_stored(object: Any) -> Any:
            try:
                return convert(read(object))
            except UNREADABLE as error:
                raise unreadable(f"The stored {column} of {owner.__name__}", error) from error

        super().__init__(read_stored)


def _read_only(description: str, value: property, name: str | None) -> Any:
    made: Any = strawberry.field(default=value, description=description, name=name)
    made.init = False
    return made


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
