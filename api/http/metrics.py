"""The Prometheus metrics of the API: plain counters, updated by each request and read at each scrape."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answering.admission import Admission
from api.answering.answers import Answers
from api.answering.operations import Operations
from api.http.disconnects import CLIENT_LEFT
from schema.bundle.subjects import SUBJECTS
from schema.program.metrics import Described, families, histogram

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATEMENT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0)

METRICS = (
    Described("certindex_api_requests_total", "counter",
              "Requests answered, by route and status. 499: the client disconnected first.", ("route", "status")),
    Described("certindex_api_request_seconds", "histogram",
              "Seconds to answer a request, without event streams and downloads.", ("route",)),
    Described("certindex_api_requests_in_progress", "gauge", "Requests that are being answered."),
    Described("certindex_api_errors_total", "counter",
              "Errors in responses to queries, by code, also of refused ones.", ("code",)),
    Described("certindex_api_cache_total", "counter",
              "Queries looked up in the cache of responses: hit or miss.", ("result",)),
    Described("certindex_graphql_fallbacks_total", "counter",
              "Requests that graphql-core executed, slowly, by reason. refused: the request "
              "is wrong; unsupported: introspection; value, exception: a defect, or wrong data.", ("reason",)),
    Described("certindex_api_connections", "gauge", "Open WebSockets and event streams."),
    Described("certindex_api_subscriptions", "gauge", "Open subscriptions."),
    Described("certindex_api_downloads", "gauge", "Downloads of exports under way."),
    Described(
        "certindex_api_download_rows_total",
        "counter",
        "Rows of exports and look-ups sent; those of look-ups have the table lookup.",
        ("table", "format"),
    ),
    Described("certindex_api_downloads_cut_total", "counter",
              "Downloads that ended early, by reason. left: the client disconnected; slow: it did not read; rate: it "
              "exceeded its rate; refused: the block was removed, or the database failed.", ("reason",)),
    Described("certindex_api_tool_calls_total", "counter",
              "Calls of the tools at /mcp, by result. ok; refused: the call was wrong or limited; failed: a defect.",
              ("tool", "result")),
    Described("certindex_api_snapshots_waiting", "gauge",
              "Operations that wait for a database snapshot: requests, live (WebSockets and event streams), exports.",
              ("by",)),
    Described("certindex_api_snapshot_wait_seconds", "histogram", "Seconds of waiting for a snapshot.", ("by",)),
    Described("certindex_api_statement_seconds", "histogram",
              "Seconds that the database took for a SQL statement."),
)  # fmt: skip

EXPORTS = "/export/"
ROUTES = {
    "/": "page",
    "/graphql": "graphql",
    "/graphql/stream": "stream",
    "/schema.graphql": "schema",
    "/healthz": "healthz",
    "/readyz": "readyz",
    "/mcp": "mcp",
    "/query": "dimo",
    "/lookup": "lookup",
    "/export": "export",
    "/epcis": "epcis",
}
PREFIXES = {
    **{f"/{kind.path}/": "bundle" for kind in SUBJECTS.values()},
    EXPORTS: "export",
    "/epcis/": "epcis",
    "/graphiql/": "page",
    "/explorer/": "page",
}
ROUTE = "certindex.route"
"""The key of a scope under which an endpoint names its route, if its path does not."""


class DownloadCounts(Protocol):
    """Counts of downloads: those under way, rows by table and format, and those that ended early, by reason."""

    open: int
    rows: Counter[tuple[str, str]]
    cuts: Counter[str]


class ApiMetrics(Collector):
    """The metrics of one application. Its event loop counts requests, its threads count statements.

    `answers` are those of each schema.
    """

    def __init__(
        self,
        engine: Engine,
        answers: Sequence[Answers],
        operations: Operations,
        admissions: Mapping[str, Admission],
        downloads: DownloadCounts,
        tool_calls: Counter[tuple[str, str]],
    ) -> None:
        self._answers = answers
        self._operations = operations
        self._admissions = admissions
        self._downloads = downloads
        self._tool_calls = tool_calls
        self.requests: Counter[tuple[str, str]] = Counter()
        self.request_seconds = defaultdict[str, Histogram](lambda: histogram(REQUEST_SECONDS))
        self.in_progress = 0
        self.statement_seconds = histogram(STATEMENT_SECONDS)
        event.listen(engine, "before_cursor_execute", _begin_statement)
        event.listen(engine, "after_cursor_execute", self._end_statement)

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the table."""
        answers, operations, admissions = self._answers, self._operations, self._admissions.items()
        downloads = self._downloads
        return families(
            METRICS,
            {
                "certindex_api_requests_total": sorted(self.requests.items()),
                "certindex_api_request_seconds": [
                    ((route,), seconds) for route, seconds in self.request_seconds.items()
                ],
                "certindex_api_requests_in_progress": [((), self.in_progress)],
                "certindex_api_errors_total": _sums(each.errors for each in answers),
                "certindex_api_cache_total": _sums(each.cache_results for each in answers),
                "certindex_graphql_fallbacks_total": _sums(each.fallbacks for each in answers),
                "certindex_api_connections": [((), operations.connections)],
                "certindex_api_subscriptions": [((), operations.subscriptions)],
                "certindex_api_downloads": [((), downloads.open)],
                "certindex_api_download_rows_total": sorted(downloads.rows.items()),
                "certindex_api_downloads_cut_total": [((reason,), n) for reason, n in sorted(downloads.cuts.items())],
                "certindex_api_tool_calls_total": sorted(self._tool_calls.items()),
                "certindex_api_snapshots_waiting": [((name,), admission.waiting) for name, admission in admissions],
                "certindex_api_snapshot_wait_seconds": [((name,), admission.seconds) for name, admission in admissions],
                "certindex_api_statement_seconds": [((), self.statement_seconds)],
            },
        )

    def answered(self, route: str, status: int, seconds: float | None) -> None:
        """Counts a request. `seconds` is None if the response is a stream."""
        self.requests[route, str(status)] += 1
        if seconds is not None:
            self.request_seconds[route].observe(seconds)

    def _end_statement(self, _conn: Any, _cursor: Any, _statement: Any, _values: Any, context: Any, *_: Any) -> None:
        self.statement_seconds.observe(time.perf_counter() - context.certindex_began)


def _begin_statement(_conn: Any, _cursor: Any, _statement: Any, _values: Any, context: Any, *_: Any) -> None:
    context.certindex_began = time.perf_counter()


def _sums(counters: Iterable[Counter[str]]) -> list[tuple[tuple[str], int]]:
    """Returns the samples of a metric with one label."""
    sums: Counter[str] = Counter()
    for counter in counters:
        sums.update(counter)
    return [((label,), count) for label, count in sorted(sums.items())]


def route_of(path: str) -> str:
    """Returns the name under which a path is counted. Unknown paths share one name."""
    return ROUTES.get(path) or next((name for prefix, name in PREFIXES.items() if path.startswith(prefix)), "other")


class CountRequests:
    """The middleware that counts requests; the outermost one."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._metrics, scope, send)
        try:
            await self._app(scope, receive, exchange.send)
        except BaseException as error:
            exchange.end(500 if isinstance(error, Exception) else CLIENT_LEFT)
            raise
        exchange.end(CLIENT_LEFT)


class _Exchange:
    """A request that is being answered."""

    def __init__(self, metrics: ApiMetrics, scope: Scope, send: Send) -> None:
        self._metrics = metrics
        self._scope = scope
        self._send = send
        self._status: int | None = None
        self._is_over = False
        self._began = time.perf_counter()
        metrics.in_progress += 1

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if _is_stream(self._scope, message):
                self.end(message["status"], is_stream=True)
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.end(self._status or 500)

    def end(self, status: int, *, is_stream: bool = False) -> None:
        """Counts the request, once."""
        if not self._is_over:
            self._is_over = True
            self._metrics.in_progress -= 1
            route = self._scope.get(ROUTE) or route_of(self._scope["path"])
            self._metrics.answered(route, status, None if is_stream else time.perf_counter() - self._began)


def _is_stream(scope: Scope, message: Message) -> bool:
    if message["status"] == 200 and scope["path"].startswith(EXPORTS):
        return True  # it lasts as long as its client reads
    return any(name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"])
