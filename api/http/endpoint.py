"""`/graphql`: GraphQL over HTTP, and its page for browsers.

A status tells of the answer: 4xx, or 5xx where the fault is ours, exactly when there is no data. Only a client that
names `application/json` in Accept gets 200 for a query that is wrong, as older clients want it.
"""

import asyncio
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from api.answering.admission import Slots
from api.answering.answers import Answer, Answers, encode, refused
from api.answering.operations import Live
from api.answering.persisted import Documents, PersistedQueries
from api.answering.trusted import load_trusted
from api.graphql.errors import Code, Refusal
from api.graphql.limits import Limits
from api.graphql.schema import Schema, build_schema
from api.http.graphiql_page import CONTENT_SECURITY_POLICY, graphiql_page
from api.http.rates import RateLimited
from api.http.requests import (
    EVENT_STREAM,
    GRAPHQL_RESPONSE,
    HTML,
    JSON,
    MediaType,
    RequestError,
    read_request,
    response_type,
)
from api.http.streams import EventStream
from api.settings import Settings

METHODS = ("GET", "HEAD", "POST")

SNAPSHOTS = 8
"""Open at a time; other requests wait. Fewer than the engine's connections: nobody waits for one inside a thread, where
it would keep those who hold one from ending."""

STATUSES = {
    Code.BAD_REQUEST.value: 400,
    Code.INTERNAL_SERVER_ERROR.value: 500,
    Code.NOT_READY.value: 503,
    Code.RATE_LIMITED.value: 429,
    Code.TIMEOUT.value: 503,
}
"""With either media type; what is not here is a query that is wrong."""

VARY = {"Vary": "Accept"}

REVALIDATE = {"Cache-Control": "no-cache"}
"""A cache may keep an answer, and asks before it gives it: the next block may change it."""


class GraphQLEndpoint:
    """An ASGI application. One request reads one snapshot of the database.

    Raises SettingsError for a manifest of trusted documents that is wrong.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        limits = Limits(settings.max_cost, settings.max_depth, settings.max_aliases, settings.max_tokens)
        schema = build_schema(introspection=settings.introspection, limits=limits, compiled=settings.compiled)
        self.slots = Slots(SNAPSHOTS)
        self._documents = _documents(settings, schema)
        self.answers = Answers(engine, settings, schema)
        self.live = Live(engine, settings, schema, self._documents, self.answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response | EventStream:
        media_type = MediaType(JSON)
        try:
            if request.method not in METHODS:
                raise RequestError(405, f"{request.method} is not answered: send GET or POST.", {"Allow": "GET, POST"})
            media_type = response_type(request, self._offers(request))
            if media_type.name == HTML:
                page = await asyncio.to_thread(graphiql_page, self._engine)
                return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY, **VARY})
            client = self.live.rates.client(request.scope)
            client.take_request()
            asked = await read_request(request, self._settings.max_body_bytes)
            if media_type.name == EVENT_STREAM:
                return EventStream(self.live, asked, client)
            asked = self._documents.resolve(asked)
            async with asyncio.timeout(self._settings.max_seconds):
                answer = await self.answers.answer(asked, self.slots, client.take_cost)
        except RequestError as error:
            return refusal(error, media_type.name)
        except Refusal as error:
            answer = refused(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except TimeoutError:
            return refusal(_too_slow(self._settings.max_seconds), media_type.name)
        except DBAPIError:
            return refusal(NO_DATABASE, media_type.name)
        response = _response(answer.body, _status(answer, media_type), media_type.name)
        if not answer.executed:
            response.headers.update({"Cache-Control": "no-store", **_retry_after(answer)})
            return response
        return response if request.method == "POST" else _unless_known(request, response)

    def _offers(self, request: Request) -> list[str]:
        # GraphiQL sends what its user writes, which is no trusted document
        page = request.method != "POST" and self._settings.graphiql and not self._settings.trusted_documents
        # who names several alike gets an answer: a stream is for who wants one
        return [GRAPHQL_RESPONSE, JSON, *([HTML] if page else []), EVENT_STREAM]


def _documents(settings: Settings, schema: Schema) -> Documents:
    if settings.trusted_documents is None:
        return PersistedQueries()
    return load_trusted(Path(settings.trusted_documents), schema._schema)


NO_DATABASE = RequestError(503, "The database cannot be read; /readyz says why.", code=Code.NOT_READY)


def _too_slow(seconds: float) -> RequestError:
    message = f"The answer took more than {seconds:g} s and was given up: ask for smaller pages or a narrower filter."
    return RequestError(503, message, code=Code.TIMEOUT)


def _unless_known(request: Request, response: Response) -> Response:
    """Return the response with its ETag, or 304 to a client that has it. Weak, as compression changes the bytes."""
    tag = f'W/"{sha256(bytes(response.body)).hexdigest()[:32]}"'
    known = [given.strip() for given in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers={"ETag": tag, **REVALIDATE, **VARY})
    response.headers.update({"ETag": tag, **REVALIDATE})
    return response


def refusal(error: RequestError, media_type: str = JSON) -> Response:
    """Return what a request is told that got no answer."""
    answer = encode({"errors": [{"message": error.message, "extensions": {"code": error.code.value}}]})
    return _response(answer.body, error.status, media_type, error.headers)


def too_many(error: RateLimited) -> RequestError:
    """Return how a request is refused of which its client has sent too many."""
    return RequestError(429, str(error), {"Retry-After": str(error.retry_after)}, Code.RATE_LIMITED)


def _retry_after(answer: Answer) -> dict[str, str]:
    seconds = answer.errors[0]["extensions"].get("retryAfter") if answer.errors else None
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _response(body: bytes, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    content_type = f"{media_type}; charset=utf-8"
    return Response(body, status, {"Content-Type": content_type, **VARY, **(headers or {})})


def _status(answer: Answer, media_type: MediaType) -> int:
    if answer.executed or not answer.errors:
        return 200
    code = answer.errors[0]["extensions"]["code"]
    if code == Code.PERSISTED_QUERY_NOT_FOUND.value and media_type.name == JSON:
        return 200  # a step of the protocol; some clients read no other
    if code in STATUSES:
        return STATUSES[code]
    return 200 if media_type == MediaType(JSON, named=True) else 400
