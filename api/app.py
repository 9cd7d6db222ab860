"""The web application. This module alone builds the parts of the API and connects them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from api.answering.admission import EXPORT_SNAPSHOTS, LIVE_SNAPSHOTS, REQUEST_SNAPSHOTS, Admission
from api.answering.answers import Answers
from api.answering.operations import Operations
from api.answering.persisted import PersistedQueries
from api.answering.trusted import load_trusted
from api.credentials.credential import issuer_of
from api.credentials.endpoint import Credentials
from api.credentials.keys import SigningKey, load_keys
from api.dimo.endpoint import PATH as DIMO_PATH
from api.dimo.endpoint import DimoEndpoint
from api.dimo.schema import build_dimo_schema
from api.epcis.endpoint import EpcisEndpoint
from api.explorer.live import SUBSCRIPTIONS
from api.exports.download import Downloads
from api.exports.endpoint import ExportEndpoint
from api.exports.formats import FORMATS
from api.exports.lookup import LookupEndpoint
from api.exports.table import build_tables
from api.graphql.errors import Code
from api.graphql.limits import Limits
from api.graphql.schema import build_schema, sdl
from api.http.bundle import Bundles, bundle_routes
from api.http.draining import Drain
from api.http.endpoint import GraphQLEndpoint
from api.http.graphiql_page import FOLDER, graphiql_page
from api.http.graphql_client import GraphQLClient
from api.http.metrics import ApiMetrics, CountRequests, route_of
from api.http.rates import Rates
from api.http.requests import JSON, RequestError
from api.http.responses import refusal_response
from api.http.routing import routes_below
from api.http.sockets import WebSocketEndpoint
from api.http.streams import StreamEndpoint
from api.http.windows import Take
from api.mcp.endpoint import McpEndpoint
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness, readiness
from api.settings import Settings
from schema.program.settings import SettingsError
from schema.program.tracing import configure_tracing, is_tracing, trace_requests, trace_statements
from schema.tables.database import check_supported, connect

THREAD_BYTES = 32_768
"""Pieces of responses of so many bytes are compressed in threads: 64 kB take 0.4 ms, and a download has many."""


def create_app(settings: Settings, take: Take | None = None) -> Starlette:
    """Returns the application, with its metrics in `state.metrics`. The database may be created later.

    `take` counts for the rate limits of several processes.

    Raises DatabaseError for a database that can never be used, SettingsError for a wrong manifest of trusted documents
    and for settings that contradict each other.
    """
    configure_tracing("certindex-api")
    keys, serves_dimo = _signing_keys(settings), _serves_dimo(settings)
    engine = connect(settings.database_url, read_only=True, pooler=settings.database_pooler)
    check_supported(engine)
    trace_statements(engine)
    limits = Limits(settings.max_cost, settings.max_depth, settings.max_aliases, settings.max_tokens)
    schema = build_schema(introspection=settings.introspection, limits=limits, compiled=settings.compiled)
    trusted = settings.trusted_documents
    ours = SUBSCRIPTIONS if settings.explorer else {}
    documents = PersistedQueries() if trusted is None else load_trusted(Path(trusted), schema._schema, ours)
    freshness = Freshness(settings.max_lag_seconds, settings.poll_stale_seconds)
    watch = ChangeWatch(engine)
    answers_of = partial(
        Answers,
        engine,
        watch=watch,
        freshness=freshness,
        cache_bytes=settings.cache_bytes,
        max_seconds=settings.max_seconds,
    )
    answers = answers_of(schema)
    admissions = {
        "requests": Admission(REQUEST_SNAPSHOTS),
        "live": Admission(LIVE_SNAPSHOTS),
        "exports": Admission(EXPORT_SNAPSHOTS),
    }
    operations = Operations(
        schema,
        watch,
        documents,
        answers,
        admissions["live"],
        max_seconds=settings.max_seconds,
        max_connections=settings.max_connections,
    )
    rates, drain = Rates(settings, take), Drain()
    # GraphiQL sends documents that its user writes, none of which is trusted
    page = partial(graphiql_page, engine) if settings.graphiql and trusted is None else None
    graphql = GraphQLEndpoint(answers, admissions["requests"], documents, operations, rates, settings, page, drain)
    downloads = Downloads(engine, admissions["exports"], settings)
    exported = build_tables(schema)
    client = GraphQLClient(answers, admissions["requests"], rates)
    bundles = Bundles(engine, settings)
    mcp = McpEndpoint(client, documents, settings)
    dimo = None
    if serves_dimo:
        dimo_schema = build_dimo_schema(introspection=settings.introspection, limits=limits, compiled=settings.compiled)
        dimo = DimoEndpoint(engine, answers_of(dimo_schema), admissions["requests"], rates, settings)
    all_answers = [answers] if dimo is None else [answers, dimo.answers]
    metrics = ApiMetrics(engine, all_answers, operations, admissions, downloads, mcp.calls)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Drain]]:
        warming = _warming(settings, engine, answers, admissions["requests"])
        yield {"drain": drain}
        warming.cancel()
        await asyncio.wait([warming])
        await watch.close()
        for closing in all_answers:
            await closing.close()
        engine.dispose()

    app = Starlette(
        routes=[
            Route("/graphql", graphql),  # the first, as routes are tried in turn
            Route("/graphql/stream", StreamEndpoint(operations, rates, settings, drain)),
            WebSocketRoute("/graphql", WebSocketEndpoint(operations, rates, settings, drain)),
            *bundle_routes(bundles, rates),
            *routes_below("/export", "file", ExportEndpoint(exported, downloads, rates)),
            Route("/lookup", LookupEndpoint(exported["devices"], downloads, rates)),
            Route("/schema.graphql", _schema, methods=["GET"]),
            Route("/healthz", PlainTextResponse("ok\n"), methods=["GET"]),
            Route("/readyz", _readyz(engine, freshness, drain)),
            Mount("/graphiql", StaticFiles(directory=FOLDER)),
            *([Route("/mcp", mcp)] if settings.mcp else []),
            *Credentials(client, bundles, downloads.read, keys, settings.base_url).routes(),
            *(routes_below("/epcis", "path:path", EpcisEndpoint(client, settings)) if settings.epcis else []),
            *([Route(DIMO_PATH, dimo)] if dimo is not None else []),
            *_pages(settings, client),
        ],
        middleware=_middleware(metrics),
        exception_handlers={Exception: _internal_error},
        lifespan=lifespan,
    )
    app.state.metrics = metrics
    app.state.drain = drain
    return app


def _middleware(metrics: ApiMetrics) -> list[Middleware]:
    return [
        *([Middleware(trace_requests, route_of)] if is_tracing() else []),
        Middleware(CountRequests, metrics),
        Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["ETag", "Retry-After", "As-Of", "Link", "Content-Location", "Content-Disposition"],
        ),
        Middleware(
            GZipMiddleware,
            minimum_size=1024,
            compresslevel=5,
            thread_minimum_size=THREAD_BYTES,
            exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, FORMATS["parquet"].media_type),
        ),
    ]


def _signing_keys(settings: Settings) -> Sequence[SigningKey]:
    """Returns the keys of SIGNING_KEY, none if it is not set. Raises SettingsError."""
    if settings.signing_key is None:
        return ()
    if settings.base_url is None:
        raise SettingsError(
            "SIGNING_KEY is set, and BASE_URL is not: the issuer of credentials is named after it. "
            "Example: BASE_URL=https://devices.example.org"
        )
    return load_keys(settings.signing_key, issuer_of(settings.base_url))


def _serves_dimo(settings: Settings) -> bool:
    """Returns whether /query may be served: its clients write their documents. Raises SettingsError."""
    if settings.trusted_documents is None:
        return settings.dimo_api != "off"
    if settings.dimo_api == "on":
        raise SettingsError(
            f'DIMO_API is "on", and TRUSTED_DOCUMENTS is "{settings.trusted_documents}": clients of /query send '
            "documents of their own, and TRUSTED_DOCUMENTS lets none of these be executed. Set DIMO_API=auto, or serve "
            "/query from a second certindex-api without TRUSTED_DOCUMENTS."
        )
    return False


def _pages(settings: Settings, client: GraphQLClient) -> list[BaseRoute]:
    if not settings.explorer:
        return [Route("/", RedirectResponse("/graphql"), methods=["GET"])]
    from api.explorer.explorer import explorer_routes  # slow to import: only if it is served

    return explorer_routes(settings, client)


def _warming(settings: Settings, engine: Engine, answers: Answers, admission: Admission) -> asyncio.Task[None]:
    if not settings.explorer:
        return asyncio.create_task(asyncio.sleep(0))
    from api.explorer.warming import TASK, warm

    return asyncio.create_task(warm(engine, answers, admission), name=TASK)


async def _schema(request: Request) -> Response:
    return PlainTextResponse(sdl())


def _readyz(engine: Engine, freshness: Freshness, drain: Drain) -> Callable[[Request], Awaitable[Response]]:
    async def readyz(request: Request) -> Response:
        state = await asyncio.to_thread(readiness, engine, freshness, int(time.time()))
        reasons = (*state.reasons, *(["The server is stopping."] if drain.has_begun else ()))
        body = {
            "ready": not reasons,
            "reasons": reasons,
            "notes": state.notes,
            "replica": state.replica,
            "chains": state.chains,
        }
        return JSONResponse(body, 503 if reasons else 200, {"Cache-Control": "no-store"})

    return readyz


async def _internal_error(request: Request, error: Exception) -> Response:
    # Starlette raises the error again, so that the server logs it; the response shows nothing of it
    message = "The server failed; the failure is in its log."
    return refusal_response(RequestError(500, message, code=Code.INTERNAL_SERVER_ERROR), JSON)
