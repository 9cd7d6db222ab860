"""The four page arguments of every connection field, by Relay: `first`, `after`, `last`, `before`."""

from collections.abc import Callable
from functools import cache, cached_property, wraps
from inspect import Signature
from typing import Annotated, Any, NamedTuple, TypeVar, cast

import strawberry
from strawberry import UNSET
from strawberry.types.fields.resolver import Signature as ParameterSignature
from strawberry.types.fields.resolver import StrawberryResolver

from api.graphql.errors import BadUserInput
from api.graphql.limits import DEFAULT_PAGE
from api.graphql.vocabulary.fields import field

ResolverT = TypeVar("ResolverT", bound=Callable[..., Any])
EndT = TypeVar("EndT")

MAX_SIZE = 100


class PageArguments(NamedTuple):
    """The page arguments of a connection field, None if not given. The SDL is made from this class."""

    first: Annotated[
        int | None,
        strawberry.argument(
            description="The number of rows from the start, 0 to 100. Default: 20, unless `last` is given."
        ),
    ] = UNSET
    after: Annotated[str | None, strawberry.argument(description="Returns only rows after this cursor.")] = UNSET
    last: Annotated[
        int | None,
        strawberry.argument(description="The number of rows from the end, 0 to 100. Cannot be combined with `first`."),
    ] = UNSET
    before: Annotated[str | None, strawberry.argument(description="Returns only rows before this cursor.")] = UNSET

    @property
    def has_cursor(self) -> bool:
        return self.after is not None or self.before is not None

    def ends(self, read: Callable[[str, str], EndT]) -> list[EndT | None]:
        """Returns what `after` and `before` hold; `read` reads the cursor of an argument, by text and name."""
        cursors = (("after", self.after), ("before", self.before))
        return [None if text is None else read(text, name) for name, text in cursors]


PAGE_PARAMETERS = tuple(ParameterSignature.from_callable(PageArguments).parameters.values())


def connection_field(description: str) -> Callable[[ResolverT], ResolverT]:
    """Makes a method the resolver of a connection: its parameter `page` becomes the field's four page arguments."""

    def decorate(method: ResolverT) -> ResolverT:
        return cast(ResolverT, field(description)(_ConnectionResolver(method)))

    return decorate


class _ConnectionResolver(StrawberryResolver[Any]):
    # what `resolve` returns is awaited, though it is no coroutine function: that saves a coroutine for each connection
    is_async = True

    def __init__(self, method: Callable[..., Any]) -> None:
        @wraps(method)
        def resolve(
            source: Any,
            first: int | None = None,
            after: str | None = None,
            last: int | None = None,
            before: str | None = None,
            **arguments: Any,
        ) -> Any:
            # an empty cursor counts as absent
            return method(source, page=PageArguments(first, after or None, last, before or None), **arguments)

        super().__init__(resolve)

    @cached_property
    def signature(self) -> Signature:
        """The signature of the method, with the page arguments in the place of `page`."""
        signature = super().signature
        return signature.replace(
            parameters=[
                argument
                for parameter in signature.parameters.values()
                for argument in (PAGE_PARAMETERS if parameter.name == "page" else (parameter,))
            ]
        )


@cache
def page_size(first: int | None, last: int | None) -> tuple[int, bool]:
    """Returns the number of rows of a page, and whether they are the last ones. Raises BadUserInput."""
    first, last = _size(first, "first"), _size(last, "last")
    if first is not None and last is not None:
        raise BadUserInput("first and last are both given: a page starts at one end, leave one out.")
    return (DEFAULT_PAGE if first is None else first, False) if last is None else (last, True)


def _size(size: int | None, name: str) -> int | None:
    if size is None or size is UNSET:
        return None
    if not 0 <= size <= MAX_SIZE:
        raise BadUserInput(f"{name} is {size}: a page has 0 to {MAX_SIZE} rows. Use a cursor to get the next page.")
    return size
