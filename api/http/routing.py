"""The routes of what is below a path."""

from typing import Any

from starlette.routing import Route


def routes_below(path: str, parameter: str, endpoint: Any) -> list[Route]:
    """Returns the routes of `{path}/{parameter}`, and of the path itself, where the endpoint says what is missing."""
    return [Route(path, endpoint), Route(f"{path}/{{{parameter}}}", endpoint)]
