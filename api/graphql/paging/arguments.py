"""The four page arguments of every connection field, by Relay: `first`, `after`, `last`, `before`."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, NamedTuple, TypeVar

import strawberry
from strawberry import UNSET

from api.graphql.errors import BadUserInput
from api.graphql.limits import DEFAULT_PAGE

EndT = TypeVar("EndT")

MAX_SIZE = 100


def page_arguments(
    *,
    first: Annotated[
        int | None,
        strawberry.argument(
            description="The number of rows from the start, 0 to 100. Default: 20, unless `last` is given."
        ),
    ] = UNSET,
    after: Annotated[str | None, strawberry.argument(description="Returns only rows after this cursor.")] = UNSET,
    last: Annotated[
        int | None,
        strawberry.argument(description="The number of rows from the end, 0 to 100. Cannot be combined with `first`."),
    ] = UNSET,
    before: Annotated[str | None, strawberry.argument(description="Returns only rows before this cursor.")] = UNSET,
) -> "PageArguments":
    """Returns the page arguments. The SDL is made from these parameters."""
    return PageArguments(first, after or None, last, before or None)  # an empty cursor counts as absent


class PageArguments(NamedTuple):
    """The page arguments of a connection field, None if not given."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def has_cursor(self) -> bool:
        return self.after is not None or self.before is not None

    def ends(self, read: Callable[[str, str], EndT]) -> list[EndT | None]:
        """Returns what `after` and `before` hold; `read` reads the cursor of an argument, by text and name."""
        cursors = (("after", self.after), ("before", self.before))
        return [None if text is None else read(text, name) for name, text in cursors]


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
