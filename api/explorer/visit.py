"""A request for a page: its parameters, and the addresses of the links on the page."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from api.explorer.problems import Problem, Redirect, WayOut
from api.graphql.errors import BadUserInput
from api.http.as_of import AsOf, parse_as_of

CURSORS = ("after", "before")
"""How the names of parameters end that hold cursors."""


class Visit:
    """One request for a page. Belongs to one response."""

    def __init__(self, request: Request, base_url: str | None = None) -> None:
        self.path = str(request.scope["path"])  # not that of its URL, which ends at an encoded question mark
        self.keys: Mapping[str, str] = {name: str(value) for name, value in request.path_params.items()}
        self.parameters: Mapping[str, str] = dict(request.query_params)
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.base_url = base_url or str(request.base_url).rstrip("/")

    @cached_property
    def as_of(self) -> AsOf | None:
        """The point in the past that the page shows, None for the present. Raises Problem."""
        return self.point("asOf")

    def point(self, name: str) -> AsOf | None:
        """Returns the point that a parameter names, None for the present. Raises Problem."""
        try:
            return parse_as_of(self.parameters.get(name, ""), self.now, name)
        except BadUserInput as error:
            raise Problem(400, "That is not a point in time", str(error)) from None

    @property
    def clock(self) -> datetime:
        """The instant at which expiries are judged: that of `asOf` if it names one, else now."""
        return self.as_of.instant if self.as_of and self.as_of.instant else self.now

    def parameter(self, name: str) -> str:
        """Returns a parameter of the URL without surrounding spaces, "" if it is absent."""
        return self.parameters.get(name, "").strip()

    def page_of(self, size: int, name: str = "") -> dict[str, Any]:
        """Returns the variables of a page of a connection, by the cursors in the URL.

        If the page shows several connections, each has a name: `sold-devices` has the parameter `sold-devices-after`
        and the variables `soldDevicesFirst` and `soldDevicesAfter`.
        """

        def named(part: str) -> str:
            return f"{name}-{part}" if name else part

        if cursor := self.parameters.get(named("before")):
            page = {"last": size, "before": cursor}
        else:
            page = {"first": size, "after": self.parameters.get(named("after")) or None}
        return {_in_camel_case(named(part)): value for part, value in page.items()}

    def misnamed(self, key: str, thing: str, message: str) -> Problem:
        """Returns the problem of an address whose key names no such thing by its form. It offers to search the key."""
        search = WayOut("Search for it", self.link("/search", q=key[:200]))
        return Problem(400, f"That is not {thing}", f"“{key[:200]}” {message}", [search], key[:200])

    def refuse_slashes(self) -> None:
        """Raises Redirect if the address has a slash too many at one of its ends."""
        path = "/" + self.path.strip("/")
        if path not in (self.path, "/"):
            raise Redirect(address(path, self.parameters))

    def link(self, path: str, **parameters: str | None) -> str:
        """Returns the address of another page as of the same point."""
        as_of = {"asOf": self.parameters.get("asOf")}
        return address(path, {**as_of, **parameters})

    def here(self, **parameters: str | None) -> str:
        """Returns the address of this page with parameters changed, or removed if they are None.

        A change of anything but a cursor leads to the first page.
        """
        kept = {name: value for name, value in self.parameters.items() if not name.endswith(CURSORS)}
        return address(self.path, {**kept, **parameters})

    @property
    def now_href(self) -> str:
        """The address of this page in the present."""
        return self.here(asOf=None)


def _in_camel_case(name: str) -> str:
    first, *others = name.split("-")
    return first + "".join(map(str.capitalize, others))


def address(path: str, parameters: Mapping[str, str | None]) -> str:
    """Returns a path of this site with its parameters; those that are None or empty are left out."""
    query = urlencode({name: value for name, value in parameters.items() if value}, quote_via=quote, safe=":,/")
    return quote(path, safe="/:") + (f"?{query}" if query else "")
