"""The web application: GraphQL, its page, and whether the service is up and fresh."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from api.graphql.errors import Code
from api.graphql.schema import sdl
from api.http.bundle import bundle_route
from api.http.endpoint import GraphQLEndpoint, refusal
from api.http.graphiql_page import FOLDER
from api.http.metrics import ApiMetrics, CountRequests
from api.http.requests import RequestError
from api.http.sockets import WebSocketEndpoint
from api.http.streams import StreamEndpoint
from api.reading.readiness import readiness
from api.settings import Settings
from schema.tables.database import connect


def create_app(settings: Settings) -> Starlette:
    """Return the application, with its metrics in `state.metrics`. The database may come later.

    Raises DatabaseError for a URL that can never work, SettingsError for a wrong manifest of trusted documents.
    """
    engine = connect(settings.database_url, read_only=True)
    graphql = GraphQLEndpoint(engine, settings)
    metrics = ApiMetrics(engine, graphql)
    app = Starlette(
        routes=[
            Route("/", RedirectResponse("/graphql"), methods=["GET"]),
            Route("/graphql", graphql),
            Route("/graphql/stream", StreamEndpoint(graphql.live)),
            WebSocketRoute("/graphql", WebSocketEndpoint(graphql.live)),
            Route("/devices/{did}/bundle.json", bundle_route(engine, settings, graphql.live.rates)),
            Route("/schema.graphql", _schema, methods=["GET"]),
            Route("/healthz", PlainTextResponse("ok\n"), methods=["GET"]),
            Route("/readyz", _readyz(engine, settings)),
            Mount("/graphiql", StaticFiles(directory=FOLDER)),
        ],
        middleware=[
            Middleware(CountRequests, metrics),
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["ETag", "Retry-After"],
            ),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5),
        ],
        exception_handlers={Exception: _internal_error},
        lifespan=_disposing(engine, graphql),
    )
    app.state.metrics = metrics
    return app


async def _schema(request: Request) -> Response:
    return PlainTextResponse(sdl())


def _readyz(engine: Engine, settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(request: Request) -> Response:
        found = await asyncio.to_thread(readiness, engine, settings, int(time.time()))
        body = {"ready": found.ready, "reasons": found.reasons, "chains": found.chains}
        return JSONResponse(body, 200 if found.ready else 503, {"Cache-Control": "no-store"})

    return readyz


async def _internal_error(request: Request, error: Exception) -> Response:
    # Starlette raises it again, so that the server logs it; nothing of it is told
    return refusal(RequestError(500, "The server failed; the failure is in its log.", code=Code.INTERNAL_SERVER_ERROR))


def _disposing(engine: Engine, graphql: GraphQLEndpoint) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await graphql.answers.close()
        engine.dispose()

    return lifespan
