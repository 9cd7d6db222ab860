"""The page for an unknown address: status 404, with a search."""

from typing import Any
from urllib.parse import unquote

from api.explorer.page import Page
from api.explorer.problems import not_found
from api.explorer.visit import Visit


def no_page(visit: Visit) -> dict[str, Any]:
    """Raises Redirect for an address with a slash too many, else Problem."""
    visit.refuse_slashes()
    path = visit.path
    last = unquote(path).rpartition("/")[2]
    raise not_found(f"There is no page {path[:200]}. Perhaps the address was cut off on its way.", query=last[:200])


NOT_FOUND = Page(path="/{path:path}", name="not_found", variables=no_page, route="other")
