"""The page that a visitor sees if a page cannot be shown: the status, what happened, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from api.graphql.errors import Code, Reason


class WayOut(NamedTuple):
    """A link of a problem's page."""

    text: str
    href: str


@dataclass(eq=False)
class Problem(Exception):
    """A page that cannot be shown. `query` fills the search field of the page that explains it."""

    status: int
    title: str
    message: str
    ways_out: Sequence[WayOut] = ()
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.title} {self.message}"


class Redirect(Exception):
    """The page is at another address."""

    def __init__(self, href: str) -> None:
        super().__init__(href)
        self.href = href


def not_found(thing: str, way_out: WayOut | None = None, query: str = "") -> Problem:
    return Problem(404, "Not found", thing, [way_out] if way_out else [], query)


def problem_of(error: dict[str, Any], first_page: str, present: str) -> Problem:
    """Returns the problem for an error of GraphQL's. The addresses: the page without a cursor, and in the present."""
    extensions = error["extensions"]
    message = error["message"]
    match (extensions["code"], extensions.get("reason")):
        case (Code.BAD_USER_INPUT.value, Reason.STALE_CURSOR.value):
            return Problem(410, "This link has aged", message, [WayOut("Show the first page", first_page)])
        case (Code.BAD_USER_INPUT.value, Reason.ORPHANED.value):
            return Problem(410, "That block was removed", message, [WayOut("Show the present", present)])
        case (Code.BAD_USER_INPUT.value, _):
            return Problem(
                400, "This address asks for something impossible", message, [WayOut("Show the present", present)]
            )
        case (Code.RATE_LIMITED.value, _):
            retry = {"Retry-After": str(extensions["retryAfter"])}
            return Problem(429, "Too many requests", message, headers=retry)
        case (Code.NOT_READY.value, _):
            return Problem(503, "Not available right now", message, headers={"Retry-After": "5"})
        case (Code.TIMEOUT.value, _):
            return Problem(503, "This took too long", message, headers={"Retry-After": "5"})
        case (Code.MAX_COST_EXCEEDED.value | Code.MAX_DEPTH_EXCEEDED.value, _):
            return Problem(400, "This page asks for more than the service allows", message)
    return FAILED


FAILED = Problem(500, "Something failed here", "The server failed to make this page. The failure is in its log.")
