"""Builds the explorer: the routes of its pages, of its files, and the page for every address that is nobody's."""

from starlette.routing import BaseRoute, Route

from api.explorer.assets import PREFIX, Assets
from api.explorer.endpoint import PageEndpoint
from api.explorer.pages import NOWHERE, PAGES, SECTIONS
from api.explorer.rendering import Templates
from api.http.asking import Asking
from api.settings import Settings


def explorer_routes(settings: Settings, asking: Asking) -> list[BaseRoute]:
    """Returns the routes, in the order in which they are to be tried: the last one matches every path."""
    assets = Assets()
    graphiql = settings.graphiql and settings.trusted_documents is None
    site = {
        "name": settings.explorer_name,
        "graphiql": graphiql,
        "sections": SECTIONS,
        "credentials": settings.signing_key is not None,
        "epcis": settings.epcis,
    }
    templates = Templates(assets, site)
    return [
        Route(f"{PREFIX}/{{file}}", assets.serve, methods=["GET"]),
        *(
            Route(page.path, PageEndpoint(page, asking, templates, settings.base_url, graphiql))
            for page in (*PAGES, NOWHERE)
        ),
    ]
