"""Traces of OpenTelemetry: spans of requests, statements and steps, if its environment variables turn them on.

Its SDK reads the variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on), and sends
the spans. Without the variables nothing of it is imported, and a span is an object that does nothing.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from schema.program.settings import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

Result = TypeVar("Result")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
NOTHING: AbstractContextManager[None] = nullcontext()


class _Tracing:
    """The tracer of this process, as OpenTelemetry has one provider a process. None: no span is made."""

    tracer: Any = None


def configure_tracing(service: str) -> None:
    """Starts tracing if the environment turns it on. `service` is the name unless OTEL_SERVICE_NAME is set.

    Raises SettingsError for a missing extra, and for an exporter that there is not.
    """
    wish = _wish(os.environ)
    if wish is None or _Tracing.tracer is not None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            f"{wish} is set, and traces need the extra certindex[otel] ({error}): pip install 'certindex[otel]', or "
            "unset it."
        ) from None
    named = {"service.name": service, "service.version": version("certindex")}
    provider = TracerProvider(resource=Resource.create(named).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _Tracing.tracer = trace.get_tracer("certindex", version("certindex"))


def is_tracing() -> bool:
    return _Tracing.tracer is not None


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """Returns a context that is a span of the current trace. In names of attributes an underscore stands for a dot."""
    if _Tracing.tracer is None:
        return NOTHING
    dotted = {name.replace("_", "."): value for name, value in attributes.items()}
    context: AbstractContextManager[Any] = _Tracing.tracer.start_as_current_span(name, attributes=dotted)
    return context


def carried(work: Callable[..., Result]) -> Callable[..., Result]:
    """Returns the work with the current trace, for a thread that does not have it."""
    return work if _Tracing.tracer is None else partial(copy_context().run, work)


def trace_statements(engine: "Engine") -> None:
    """Makes a span of each statement of an engine. Its SQL has no values."""
    tracer = _Tracing.tracer
    if tracer is None:
        return
    from sqlalchemy import event  # certindex check must do without

    system = {"db.system.name": engine.dialect.name}

    @event.listens_for(engine, "before_cursor_execute")
    def begin(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        verb = statement.lstrip().partition(" ")[0].upper()
        context.span = tracer.start_span(verb, attributes={**system, "db.query.text": statement})

    @event.listens_for(engine, "after_cursor_execute")
    def end(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        context.span.end()


def trace_requests(app: Any, name_of: Callable[[str], str]) -> Any:
    """Returns an ASGI application with a span of each request, in the trace of its header `traceparent`.

    `name_of` returns the name of a path.
    """
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    def details(scope: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        name = name_of(scope["path"])
        return f"{scope.get('method', 'WEBSOCKET')} {name}", {"http.route": name}

    return OpenTelemetryMiddleware(
        app, excluded_urls="/healthz$,/readyz$", default_span_details=details, exclude_spans=["receive", "send"]
    )


def _wish(environ: Mapping[str, str]) -> str | None:
    """Returns the variable that turns traces on. Raises SettingsError."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter == "none":
        return None
    if exporter not in ("", "otlp"):
        raise SettingsError(f"OTEL_TRACES_EXPORTER is {exporter!r}: traces are sent by otlp, or none.")
    set_ones = (name for name in ENDPOINTS if environ.get(name))
    return next(set_ones, "OTEL_TRACES_EXPORTER" if exporter else None)
