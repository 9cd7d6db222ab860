"""Builds the routes of the explorer: its pages, its files, and the page for unknown addresses."""

from starlette.routing import BaseRoute, Route

from api.explorer.assets import PREFIX, Assets
from api.explorer.endpoint import PageEndpoint
from api.explorer.pages import NOT_FOUND, PAGES, SECTIONS
from api.explorer.rendering import Templates
from api.http.graphql_client import GraphQLClient
from api.settings import Settings


def explorer_routes(settings: Settings, client: GraphQLClient) -> list[BaseRoute]:
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
            Route(page.path, PageEndpoint(page, client, templates, settings.base_url, graphiql))
            for page in (*PAGES, NOT_FOUND)
        ),
    ]
