"""Both programs send traces to a receiver of OTLP if OpenTelemetry's environment variables say so."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sqlalchemy import make_url

from schema.program import tracing
from schema.program.settings import SettingsError
from tests.support.api.server import post
from tests.support.chain.fakechain import FakeNode
from tests.support.chain.histories import random_block
from tests.support.processes import caught_up, free_ports, until
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider, indexers

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Receiver:
    """Receives spans over OTLP/HTTP. `services`: the attributes of the resources that sent them."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.receive(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def receive(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.services.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> set[str]:
        """Returns the names of the spans whose parent is this one."""
        return {span.name for span in self.spans if span.parent_span_id == parent.span_id}

    @contextmanager
    def receiving(self) -> Iterator["Receiver"]:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        yield self
        self._server.shutdown()
        self._server.server_close()


def attributes(owner: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in owner.attributes}


@pytest.mark.slow
def test_steps_requests_and_statements_are_spans_and_a_request_continues_the_trace_of_its_client(
    database_url: str,
) -> None:
    node, (port,) = FakeNode(finality=4), free_ports(1)
    for seed in range(8):
        random_block(seed).mine(node)
    with (
        Receiver().receiving() as receiver,
        Provider(of_fake(node)) as provider,
        indexers(
            database_url,
            RPC_URLS=provider.url,
            PORT=str(port),
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
            OTEL_BSP_SCHEDULE_DELAY="50",
        ) as start,
    ):
        indexer = start("--serve")
        until(lambda: caught_up(database_url, node), "the first index", indexer)
        query = "query Fleet($first: Int) { devices(first: $first) { nodes { tokenId } } }"
        for first in (1, 2, 2):  # graphql-core, a plan, the cache
            body = {"query": query, "variables": {"first": first}}
            response = post(f"http://127.0.0.1:{port}/graphql", body, traceparent=f"00-{TRACE}-{CALLER}-01")
            assert response.json()["data"]["devices"]["nodes"]
        provider.do(lambda: random_block(9).mine(node))
        until(lambda: caught_up(database_url, node), "the next block", indexer)
        until(lambda: len(receiver.named("POST graphql")) == 3, "the requests", indexer)
        until(lambda: any("write" in receiver.below(span) for span in receiver.named("step")), "the steps", indexer)

        for request in receiver.named("POST graphql"):
            assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, CALLER)
        operations = receiver.named("query")
        assert [attributes(span)["graphql.operation.name"] for span in operations] == ["Fleet", "Fleet"]
        assert all("SELECT" in receiver.below(span) for span in operations)
        assert {span.parent_span_id for span in operations} < {span.span_id for span in receiver.named("POST graphql")}
        statements = [attributes(span) for span in receiver.named("SELECT")]
        assert {statement["db.system.name"] for statement in statements} == {make_url(database_url).get_backend_name()}
        steps = {name for step in receiver.named("step") for name in receiver.below(step)}
        assert steps >= {"fetch", "decode", "load", "fold", "digest", "write"}
        assert "commit" in {name for write in receiver.named("write") for name in receiver.below(write)}
        assert "eth_getLogs" in {span.name for span in receiver.spans}
        [call, *_] = receiver.named("eth_getBlockByNumber")
        assert attributes(call)["rpc.method"] == "eth_getBlockByNumber"
        assert attributes(call)["server.address"] == "127.0.0.1"
        assert receiver.services[0]["service.name"] == "certindex"
        assert receiver.services[0]["deployment.environment.name"] == "test"
        assert "a-secret-key" in provider.url
        assert "a-secret-key" not in "".join(map(str, receiver.spans))
        assert "Traceback" not in indexer.last_output


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_a_missing_extra_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(
        SettingsError, match=rf"^{variable} is set, .* certindex\[otel\] .*pip install 'certindex\[otel\]'"
    ):
        tracing.configure_tracing("certindex")
    assert not tracing.is_tracing()


def test_an_exporter_that_there_is_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(SettingsError, match=r"^OTEL_TRACES_EXPORTER is 'zipkin': traces are sent by otlp, or none\.$"):
        tracing.configure_tracing("certindex")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "other", "OTEL_RESOURCE_ATTRIBUTES": "a=b"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_the_environment_asks_for_it(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracing.configure_tracing("certindex")
    assert not tracing.is_tracing()
    assert tracing.span("step", chain_id=1) is tracing.span("fetch")
    work = list[int]
    assert tracing.carried(work) is work
