"""Answers requests for pages: executes the page's document and renders its template, or shows the problem."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from api.answering.answers import Charge
from api.explorer.documents import graphiql_address, load_document
from api.explorer.page import PAGES_FOLDER, Json, Page
from api.explorer.problems import FAILED, Problem, Redirect, problem_of
from api.explorer.rendering import Templates
from api.explorer.visit import Visit
from api.graphql.errors import Refusal
from api.graphql.request import GraphQLRequest
from api.http.disconnects import Endpoint, while_connected
from api.http.graphql_client import GraphQLClient
from api.http.metrics import ROUTE
from api.http.responses import revalidated

NETWORK = load_document(PAGES_FOLDER.parent / "layout" / "network.graphql")
"""What the header of every page shows. Asked apart: it depends on the clock, so its answer is not cached."""

READING = ("GET", "HEAD")

log = logging.getLogger("certindex.api")


class PageEndpoint(Endpoint):
    """An ASGI application: one page."""

    def __init__(
        self, page: Page, client: GraphQLClient, templates: Templates, base_url: str | None, graphiql: bool
    ) -> None:
        self._page = page
        self._client = client
        self._templates = templates
        self._base_url = base_url
        self._graphiql = graphiql

    async def respond(self, request: Request) -> ASGIApp:
        request.scope[ROUTE] = self._page.route
        visit = Visit(request, self._base_url)
        network: Json | None = None
        try:
            if request.method not in READING:
                visit.refuse_slashes()
                allowed = {"Allow": ", ".join(READING)}
                raise Problem(405, "Not answered", f"{request.method} is not answered here: send GET.", headers=allowed)
            self._client.count(request.scope)
            charge = self._client.charge(request.scope)
            async with while_connected(request):
                network = await self._ask(NETWORK, {}, charge, visit)
                return await self._page_response(request, visit, network, charge)
        except ClientDisconnect:
            raise
        except Redirect as redirect:
            # a program's request goes on with its method and its body
            return RedirectResponse(redirect.href, 303 if request.method in READING else 307)
        except Refusal as refusal:
            error = {"message": str(refusal), "extensions": refusal.extensions}
            problem = problem_of(error, visit.here(), visit.now_href)
        except Problem as raised:
            problem = raised
        except Exception:
            log.exception("the page %s failed", self._page.path)
            problem = FAILED
        return self._problem_response(request, visit, network, problem)

    async def _page_response(self, request: Request, visit: Visit, network: Json, charge: Charge) -> Response:
        page = self._page
        variables = dict(page.variables(visit))
        if page.has_past:
            variables["asOf"] = visit.as_of and visit.as_of.variable
        answer = await self._ask(page.document, variables, charge, visit)
        data = answer["data"]
        context = {
            **self._context(visit, network),
            "page": page,
            "as_of": visit.as_of if page.has_past else None,
            "query_href": self._query_href(variables),
            "blocks": answer["extensions"]["asOf"],
            "data": data,
            **page.view(data, visit),
        }
        return revalidated(request, self._templates.response(request, page.template, context))

    async def _ask(self, document: str, variables: Mapping[str, Any], charge: Charge, visit: Visit) -> Json:
        """Returns a response that has data. Raises Problem if there are errors."""
        response = await self._client.execute(GraphQLRequest(document, dict(variables)), charge)
        if "errors" in response:
            raise problem_of(response["errors"][0], visit.here(), visit.now_href)
        return response

    def _problem_response(self, request: Request, visit: Visit, network: Json | None, problem: Problem) -> Response:
        headers = {"Cache-Control": "no-store", **problem.headers}
        context = {**self._context(visit, network), "page": None, "as_of": None, "blocks": [], "problem": problem}
        return self._templates.response(request, "layout/problem.html", context, problem.status, headers)

    def _context(self, visit: Visit, network: Json | None) -> Json:
        data = network["data"] if network else {"_meta": {"chains": []}, "vehicles": {"nodes": []}}
        return {"visit": visit, "chains": data["_meta"]["chains"], "has_vehicles": bool(data["vehicles"]["nodes"])}

    def _query_href(self, variables: Mapping[str, Any]) -> str | None:
        """Returns the address of GraphiQL with the page's document and its variables, None if GraphiQL is off."""
        return graphiql_address(self._page.document, variables) if self._graphiql else None
