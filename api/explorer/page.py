"""A page: its document, its template, and the functions that convert the URL to variables and the answer to a view."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from api.explorer import live
from api.explorer.documents import load_document
from api.explorer.visit import Visit

PAGES_FOLDER = Path(__file__).parent / "pages"

Json = dict[str, Any]


def no_variables(visit: Visit) -> Json:
    return {}


def answer_alone(data: Json, visit: Visit) -> Json:
    """Shows the answer itself: the template reads `data`."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of the explorer. `pages/<name>/` holds its `<name>.graphql` and `<name>.html`.

    `variables` returns the document's variables for a visit. It raises a Problem for a URL that names nothing.
    `$asOf` is not among them: it is set for every document that declares it.
    `view` returns what the template needs besides `data`, the answer. It raises a Problem or a Redirect.
    `subscription` sends a message when the page is out of date; its parts with `data-live` are replaced then.
    If `counts_register`, its counts of the whole register are made when the process starts, by its document alone.
    `route` is the name under which the metrics count its requests.
    """

    path: str
    name: str
    variables: Callable[[Visit], Mapping[str, Any]] = no_variables
    view: Callable[[Json, Visit], Mapping[str, Any]] = answer_alone
    subscription: str = live.EVENTS
    counts_register: bool = False
    route: str = "page"

    @cached_property
    def document(self) -> str:
        """The GraphQL document with the fragments that it names."""
        return load_document(PAGES_FOLDER / self.name / f"{self.name}.graphql")

    @property
    def template(self) -> str:
        return f"pages/{self.name}/{self.name}.html"

    @property
    def stream(self) -> str:
        """The address of the event stream that sends a message when the page is out of date."""
        return live.stream_address(self.subscription)

    @property
    def has_past(self) -> bool:
        """Whether the page can be shown as of an earlier point."""
        return "$asOf" in self.document
