"""`/graphql`: GraphQL over HTTP, event streams, and the GraphiQL page for browsers."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp

from api.answering.admission import Admission
from api.answering.answers import Answers
from api.answering.operations import Operations
from api.answering.persisted import DocumentSource
from api.graphql.errors import Refusal
from api.http.disconnects import Endpoint, while_connected
from api.http.draining import Drain
from api.http.graphiql_page import CONTENT_SECURITY_POLICY
from api.http.rates import Rates
from api.http.requests import (
    EVENT_STREAM,
    GRAPHQL_RESPONSE,
    HTML,
    JSON,
    RequestError,
    read_request,
    response_type,
)
from api.http.responses import VARY, answer_response, refusal_response, revalidated
from api.http.streams import EventStream
from api.settings import Settings

METHODS = ("GET", "HEAD", "POST")

# the order decides between media types that Accept names with the same quality: a stream is the last choice
DATA = (GRAPHQL_RESPONSE, JSON, EVENT_STREAM)
DATA_OR_PAGE = (GRAPHQL_RESPONSE, JSON, HTML, EVENT_STREAM)


class GraphQLEndpoint(Endpoint):
    """An ASGI application. One request reads one snapshot of the database.

    `page` returns the GraphiQL page; it is None if browsers get none.
    """

    def __init__(
        self,
        answers: Answers,
        admission: Admission,
        documents: DocumentSource,
        operations: Operations,
        rates: Rates,
        settings: Settings,
        page: Callable[[], str] | None,
        drain: Drain,
    ) -> None:
        self._answers = answers
        self._admission = admission
        self._documents = documents
        self._operations = operations
        self._rates = rates
        self._settings = settings
        self._page = page
        self._drain = drain

    async def respond(self, request: Request) -> ASGIApp:
        media_type = JSON
        try:
            if request.method not in METHODS:
                raise RequestError(405, f"{request.method} is not answered: send GET or POST.", {"Allow": "GET, POST"})
            media_type = response_type(request, self._offers(request))
            if media_type == HTML and self._page is not None:
                page = await asyncio.to_thread(self._page)
                return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY, **VARY})
            client = self._rates.client(request.scope)
            client.take_request()
            graphql_request = await read_request(request, self._settings.max_body_bytes)
            if media_type == EVENT_STREAM:
                return EventStream(self._operations, graphql_request, client, self._settings.send_seconds, self._drain)
            graphql_request = self._documents.resolve(graphql_request)
            async with while_connected(request):
                answer = await self._answers.answer(graphql_request, self._admission, client.take_cost)
        except (Refusal, RequestError) as error:
            return refusal_response(error, media_type)
        response = answer_response(answer, media_type)
        return response if request.method == "POST" or not answer.executed else revalidated(request, response)

    def _offers(self, request: Request) -> tuple[str, ...]:
        return DATA if request.method == "POST" or self._page is None else DATA_OR_PAGE
