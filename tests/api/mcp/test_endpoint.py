"""The protocol at `/mcp`, its limits, and what it refuses."""

import json
import re
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.mcp.endpoint import EXTRA
from api.mcp.fitting import Answer, write_json
from api.mcp.server import INSTRUCTIONS, listed
from api.mcp.tools import TOOLS
from api.settings import Settings
from tests.support.api.agent import LEGACY, MODERN, Agent
from tests.support.api.hostile_register import DID, build_hostile_register
from tests.support.api.server import CLIENT, serving, with_one_device
from tests.support.databases import Databases

ACCEPT = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
UNKNOWN = f"did:erc721:1:0x{'ab' * 20}:1"


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> str:
    return with_one_device(databases.new("sqlite"))


@pytest.fixture(scope="module")
def address(database_url: str) -> Iterator[str]:
    with serving(Settings(database_url=database_url, base_url="https://devices.example.org")) as address:
        yield address


@pytest.fixture(scope="module")
def hostile_address(databases: Databases) -> Iterator[str]:
    url = databases.new("sqlite")
    build_hostile_register(url)
    with serving(Settings(database_url=url)) as address:
        yield address


def post(address: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CLIENT.post(f"{address}/mcp", content=content, headers=ACCEPT | headers)


def call(address: str, tool: str, arguments: Any) -> httpx.Response:
    """Sends a call as the newest revision has it."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, "_meta": META},
    }
    return post(address, body, **{"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool})


def error(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


def test_descriptions_are_short() -> None:
    texts = [INSTRUCTIONS]
    for name, tool in TOOLS.items():
        described = listed(name, tool)
        assert described.description
        assert described.annotations
        assert described.annotations.read_only_hint
        texts += [described.description, *re.findall(r'"description": "(.*?)"', json.dumps(described.input_schema))]
    assert len(TOOLS) <= 8
    assert sum(map(len, texts)) < 5_000


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
def test_both_revisions_are_spoken(address: str, mode: str) -> None:
    agent = Agent(address, mode)
    (row,) = agent.call("find_device", key="SN-7")["devices"]
    assert agent.call("get_device", did=row["tokenDID"])["serialNumber"] == "SN-7"


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("find_device", {}, "Object missing required field `key`. Arguments: key, after."),
        ("find_device", {"key": 7}, "Expected `str`, got `int` - at `$.key`. Its value: 7."),
        ("find_device", {"key": "SN-7", "serial": 1}, "Object contains unknown field `serial`"),
        ("find_device", {"key": "7" * 600_000}, "Expected `str` of length <= 500"),
        ("find_device", {"key": "SN-7", "after": "nonsense"}, "nonsense"),
        ("get_device", {"did": "SN-7"}, "SN-7"),
        ("get_device", {"did": UNKNOWN}, f"There is no device {UNKNOWN} in this register: find_device finds devices"),
        ("get_device", {"did": UNKNOWN, "asOf": "soon"}, "asOf is “soon”. Give a date (2025-06-01)"),
        ("get_device", {"did": UNKNOWN, "asOf": "99999999"}, "asOf.block is 99999999"),
        ("device_history", {"did": UNKNOWN, "kinds": ["X"]}, "Value 'X' does not exist in 'LifecycleEventKind' enum"),
        ("list_devices", {"first": 51}, "Expected `int` <= 50 - at `$.first`. Its value: 51."),
        ("list_devices", {"filter": {"ownr": {}}}, "not to include unknown field 'ownr'"),
        ("list_devices", {"filter": {"owner": {"eq": "0x1"}}}, "0x1"),
        ("list_devices", {"orderBy": "COLOR"}, "COLOR"),
        ("fleet_report", {"groupBy": []}, "Expected `array` of length >= 1"),
        ("fleet_report", {"groupBy": ["COLOR"]}, "COLOR"),
        ("run_query", {}, "query is missing. Example:"),
        ("run_query", {"query": "{ nothing }"}, "Cannot query field 'nothing'"),
        ("run_query", {"query": "subscription { events { __typename } }"}, "A subscription is not executed here"),
        ("run_query", {"documentId": "x"}, "this service has no trusted documents"),
        ("run_query", {"query": "{" * 50_000}, "Syntax Error"),
        (
            "run_query",
            {"query": "{ __schema { types { fields { description } } } }"},
            "bytes, and 19000 is the maximum",
        ),
    ],
)
def test_a_wrong_call_is_explained(address: str, tool: str, arguments: dict[str, Any], message: str) -> None:
    refusal = Agent(address).refusal(tool, **arguments)
    assert message in refusal
    assert len(refusal) < 2_000


def test_null_arguments_count_as_absent(address: str) -> None:
    assert Agent(address).call("list_devices", filter=None, after=None)["totalCount"] == 1


def test_an_unknown_tool_is_refused(address: str) -> None:
    assert 'There is no tool "delete_device". Tools: find_device' in error(call(address, "delete_device", {}))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "The body is not JSON"),
        (b"\xff", 400, "The body is not UTF-8"),
        (b"[" * 100_000, 400, "nested too deep"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "\\ud800"}}', 400, "not UTF-8"),
        (b"[]", 400, ""),
        (b'"text"', 400, ""),
        (b" " * 2_000_000, 413, "larger than 1000000 bytes"),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"mcp-protocol-version": MODERN}], ids=["legacy", "modern"])
def test_a_body_that_is_no_request_is_refused(
    address: str, body: bytes, status: int, message: str, headers: dict[str, str]
) -> None:
    response = post(address, body, **headers)
    assert response.status_code == status
    assert message in error(response)


def test_other_methods_are_refused(address: str) -> None:
    for method in ("GET", "DELETE", "PUT"):
        response = CLIENT.request(method, f"{address}/mcp", headers={"accept": "text/event-stream"})
        assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_an_unknown_revision_is_refused(address: str) -> None:
    response = post(address, PING, **{"mcp-protocol-version": "2099-01-01"})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:6274",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "https://devices.example.org",
    ],
)
def test_pages_of_this_machine_and_of_this_site_may_ask(address: str, origin: str) -> None:
    assert post(address, PING, origin=origin).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "https://devices.example.org.evil.example",
        "https://devices.example.org@evil.example",
        "http://[",
        "null",
    ],
)
def test_pages_of_other_sites_may_not(address: str, origin: str) -> None:
    # the name of the site may lead here by now: DNS rebinding
    response = post(address, PING, origin=origin, host="evil.example")
    assert response.status_code == 403
    assert f"Origin is {origin}" in error(response)
    assert "https://devices.example.org (BASE_URL)" in error(response)


def test_rates_of_requests_and_of_cost_apply(database_url: str) -> None:
    with serving(Settings(database_url=database_url, request_rate="3/hour")) as address:
        responses = [post(address, PING) for _ in range(4)]
        assert [response.status_code for response in responses] == [200, 200, 200, 429]
        assert "3 requests in 3600 s" in error(responses[-1])
        assert int(responses[-1].headers["retry-after"]) > 0
    settings = Settings(database_url=database_url, cost_rate="500/hour", max_cost=400, cache_bytes=0)
    with serving(settings) as address:
        agent = Agent(address)
        agent.call("list_devices", first=40)
        assert "500 rows in 3600 s for each client: wait" in agent.refusal("list_devices", first=40)
        query = "{ devices(first: 100) { nodes { history(first: 100) { totalCount } } } }"
        assert "(MAX_COST_EXCEEDED)" in agent.refusal("run_query", query=query)


def test_only_trusted_documents_are_executed_if_there_are_any(database_url: str, tmp_path: Path) -> None:
    document = "{ devices { totalCount } }"
    id = sha256(document.encode()).hexdigest()
    (tmp_path / "trusted.json").write_text(json.dumps({id: document}))
    with serving(Settings(database_url=database_url, trusted_documents=str(tmp_path))) as address:
        agent = Agent(address)
        assert agent.call("run_query", documentId=id)["data"] == {"devices": {"totalCount": 1}}
        assert "Only trusted documents are executed here" in agent.refusal("run_query", query="{ __typename }")
        assert agent.call("list_devices")["totalCount"] == 1


def test_it_can_be_off(database_url: str) -> None:
    with serving(Settings(database_url=database_url, mcp=False)) as address:
        assert post(address, PING).status_code in (404, 405)


def test_without_its_packages_the_extra_is_named(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mcp" or name == "api.mcp.server"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    with serving(Settings(database_url=database_url)) as address:
        response = post(address, PING)
        assert (response.status_code, error(response)) == (404, EXTRA)
        assert CLIENT.get(f"{address}/healthz").status_code == 200


HOSTILE_CALLS: dict[str, dict[str, Any]] = {
    "find_device": {"key": DID},
    "get_device": {"did": DID},
    "device_history": {"did": DID, "first": 50},
    "list_devices": {},
    "fleet_report": {"groupBy": ["MODEL", "FIRMWARE"]},
    "verify_device": {"did": DID},
    "explain_status": {},
    "run_query": {"query": "{ devices { nodes { tokenDID } } }"},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_answers_with_hostile_texts_are_small_and_hide_nothing(hostile_address: str, tool: str) -> None:
    response = call(hostile_address, tool, HOSTILE_CALLS[tool])
    assert response.status_code == 200
    assert len(response.content) < 20_000
    result = response.json()["result"]
    assert not result.get("isError"), result
    text = result["content"][0]["text"]
    assert text.isprintable()
    assert "asOf" in text
    if tool not in ("explain_status", "fleet_report"):
        assert DID.rpartition(":")[2] in text
    json.loads(text)


def test_a_page_that_is_too_large_goes_on_in_the_next_one(hostile_address: str) -> None:
    agent = Agent(hostile_address)
    first = agent.call("device_history", did=DID, first=50)
    assert 0 < len(first["events"]) < 50
    rows = agent.all_rows("device_history", "events", did=DID, first=50)
    assert len({(row["block"]["number"], row["logIndex"]) for row in rows}) == first["totalCount"]


def rows(count: int, size: int) -> Answer:
    texts = [{"text": f"{number:05}" + '"' * size} for number in range(count)]
    return Answer(head={}, name="rows", rows=texts, cursors=range(count))


@pytest.mark.parametrize(
    "answer", [rows(0, 0), rows(3, 10), rows(50, 400), rows(2, 100_000)], ids=["none", "few", "many", "long"]
)
def test_a_page_has_as_many_rows_as_fit(answer: Answer) -> None:
    text = answer.write()
    assert text is not None
    page = msgspec.json.decode(text)
    sent = len(page["rows"])
    assert page["next"] == (None if sent == len(answer.rows) else answer.cursors[sent - 1])
    assert sent == len(answer.rows) or len(text) > 9_000


def test_an_answer_that_cannot_be_cut_is_refused() -> None:
    assert Answer(head={str(number): "x" * 80 for number in range(1_000)}).write() is None


@pytest.mark.parametrize("text", ["\u202e", "\u200b", "\x85", "\U000e0041", "\ue000", "\ufeff", "\u2028"])
def test_invisible_characters_are_shown_and_kept(text: str) -> None:
    written = write_json({"text": f"שלום 👩 {text}"})
    assert "\\u" in written
    assert text not in written
    assert json.loads(written) == {"text": f"שלום 👩 {text}"}
