"""The check of bundles in a real browser: good ones, changed ones, and questions to a node that the reader names."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from schema.abi.keccak import keccak256
from schema.bundle.document import canonical
from tests.support.api.browser import Tab
from tests.support.api.server import post
from tests.support.index.whole_life import whole_life

pytestmark = pytest.mark.slow

Document = dict[str, Any]


@pytest.fixture(scope="module")
def site(sqlite_site: str) -> str:
    return sqlite_site


@pytest.fixture
def tab(browser: Browser, site: str) -> Iterator[Tab]:
    tab = Tab(browser, site)
    yield tab
    tab.page.close()
    assert tab.complaints == []


@pytest.fixture(scope="module")
def did(site: str) -> str:
    query = "{ devices(first: 1, filterBy: {endOfLifeStatus: {eq: RECYCLED}}) { nodes { tokenDID } } }"
    answer = post(f"{site}/graphql", {"query": query}).json()
    return str(answer["data"]["devices"]["nodes"][0]["tokenDID"])


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """A bundle all of whose events are proven."""

    def make() -> bytes:
        with whole_life(tmp_path_factory.mktemp("life")) as life:
            return life.data

    with ThreadPoolExecutor(1) as pool:  # the thread of Playwright can run no other event loop
        document: Document = json.loads(pool.submit(make).result())
    return document


def resealed(document: Document) -> Document:
    """Recomputes the manifest, as a forger of a bundle would."""
    contents = {name: part for name, part in document.items() if name != "manifest"}
    return document | {"manifest": document["manifest"] | {"hash": f"0x{keccak256(canonical(contents)).hex()}"}}


def choose(page: Page, document: Document) -> None:
    """Chooses the document as a file, and waits for the verdict."""
    file: FilePayload = {
        "name": "device.bundle.json",
        "mimeType": "application/json",
        "buffer": json.dumps(document).encode(),
    }
    page.locator("[data-drop] input").set_input_files(files=[file])
    page.locator("[data-verdict]").wait_for()


def test_a_good_bundle_passes_and_the_page_says_what_that_does_not_prove(tab: Tab, document: Document) -> None:
    tab.open("/verify")
    choose(tab.page, document)
    verdict = tab.page.locator(".verdict")
    expect(verdict).to_contain_text("Pass: nothing contradicts this bundle")
    expect(verdict).to_contain_text(document["device"]["did"])
    expect(tab.page.locator(".checks .check")).to_have_count(8)
    expect(tab.page.locator(".checks")).not_to_contain_text("Wrong")
    expect(tab.page.locator(".limits")).to_contain_text("NOT PROVEN: that nothing is missing.")
    tab.page.get_by_text("As certindex check prints it").click()
    expect(tab.page.locator(".printed")).to_contain_text("not established: that no other event about the device exists")


def test_nothing_is_sent_while_a_file_is_checked(tab: Tab, document: Document) -> None:
    tab.open("/verify")
    requests: list[str] = []
    tab.page.on("request", lambda request: requests.append(request.url))
    choose(tab.page, document)
    assert [
        url for url in requests if not re.search(r"/explorer/(check\.[0-9a-f]+\.js|icon\.[0-9a-f]+\.svg)$", url)
    ] == []


def _flip(text: str) -> str:
    return text[:-1] + ("1" if text[-1] != "1" else "2")


def _event(document: Document) -> Document:
    event: Document = document["events"][-1]
    return event


def _data(document: Document) -> str:
    event = _event(document)
    event["data"] = _flip(event["data"])
    return f"event {event['logIndex']} of block {event['blockNumber']}: its data is"


def _topic(document: Document) -> str:
    event = _event(document)
    event["topics"][-1] = _flip(event["topics"][-1])
    return f"event {event['logIndex']} of block {event['blockNumber']}: its topics is"


def _reading(document: Document) -> str:
    event = _event(document)
    event["reading"]["kind"] += "X"
    return f"event {event['logIndex']} of block {event['blockNumber']}: its reading says kind"


def _header(document: Document) -> str:
    block = document["blocks"][0]
    block["header"] = _flip(block["header"])
    return f"block {block['number']}: its header has the hash"


def _hash(document: Document) -> str:
    block = document["blocks"][0]
    block["hash"] = _flip(block["hash"])
    return f"block {block['number']}: its header has the hash"


def _node(document: Document) -> str:
    receipt = document["receipts"][0]
    receipt["nodes"][-1] = _flip(receipt["nodes"][-1])
    return f"receipt {receipt['transactionIndex']} of block {receipt['blockNumber']}: node"


def _state(document: Document) -> str:
    document["state"]["device"]["device_version"][-1]["serial_number"] += "1"
    return "state, device_version, row"


def _device(document: Document) -> str:
    document["device"]["did"] = _flip(document["device"]["did"])
    return "the device is called"


@pytest.mark.parametrize("change", [_data, _topic, _reading, _header, _hash, _node, _state, _device])
def test_one_changed_character_turns_red_and_is_named(
    tab: Tab, document: Document, change: Callable[[Document], str]
) -> None:
    changed = deepcopy(document)
    reason = change(changed)
    tab.open("/verify")
    choose(tab.page, changed)
    expect(tab.page.locator(".verdict-bad")).to_contain_text("the manifest: the document has the hash")
    tab.page.reload()
    choose(tab.page, resealed(changed))
    expect(tab.page.locator(".verdict-bad")).to_contain_text(reason)
    expect(tab.page.locator(".check:has-text('Wrong')")).to_have_count(1)
    expect(tab.page.locator(".check:has-text('Wrong')")).to_contain_text(reason)


def test_a_file_that_is_no_bundle_is_named_as_such(tab: Tab) -> None:
    tab.open("/verify")
    choose(tab.page, {"name": "<script>alert(1)</script>\u202e"})
    expect(tab.page.locator(".verdict-bad")).to_contain_text("the file is no bundle of a known format")


def test_the_page_of_a_device_checks_its_bundle_in_place(tab: Tab, did: str) -> None:
    tab.open(f"/device/{did}")
    tab.page.get_by_role("link", name="Check this yourself").click()
    tab.page.locator("[data-verdict]").wait_for()
    assert tab.page.locator("[data-verdict]").get_attribute("data-verdict") in ("PASS", "INCOMPLETE")
    expect(tab.page.locator(".verdict")).to_contain_text(did.lower())


def test_events_that_are_not_proven_do_not_count_as_checked(tab: Tab, did: str) -> None:
    tab.open(f"/device/{did}")
    tab.page.get_by_role("link", name="Check this yourself").click()
    expect(tab.page.locator(".verdict-warn")).to_contain_text("events are not proven yet")
    expect(tab.page.locator(".check:has-text('Each event is a log of a receipt')")).to_contain_text("Not proven")


def test_a_server_that_changes_a_bundle_is_found_out(tab: Tab, site: str, did: str) -> None:
    with urlopen(f"{site}/devices/{did}/bundle.json") as response:
        changed: Document = json.load(response)
    reason = _reading(changed)
    tab.page.route("**/bundle.json", lambda route: route.fulfill(json=resealed(changed)))
    tab.open(f"/device/{did}")
    tab.page.get_by_role("link", name="Check this yourself").click()
    expect(tab.page.locator(".verdict-bad")).to_contain_text(reason)


def test_a_server_that_sends_the_bundle_of_another_device_is_found_out(tab: Tab, did: str, document: Document) -> None:
    tab.page.route("**/bundle.json", lambda route: route.fulfill(json=document))
    tab.open(f"/device/{did}")
    tab.page.get_by_role("link", name="Check this yourself").click()
    expect(tab.page.locator(".verdict-bad")).to_contain_text("the bundle of another token")


def test_a_bundle_that_the_server_cannot_make_is_explained(tab: Tab, did: str) -> None:
    refusal = {"error": "The database does not answer. Try again later."}
    tab.page.route("**/bundle.json", lambda route: route.fulfill(status=503, json=refusal))
    tab.open(f"/device/{did}")
    tab.page.get_by_role("link", name="Check this yourself").click()
    expect(tab.page.get_by_text("The database does not answer.")).to_be_visible()
    tab.complaints.clear()  # Chromium notes the status


# The node of the reader


@contextmanager
def node(chain_id: int, hashes: dict[int, str], origin: str = "*") -> Iterator[tuple[str, list[str]]]:
    """Yields the address of a node that knows block hashes, and the requests that it received."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            requests.append(body)
            request = json.loads(body)
            result: object = hex(chain_id)
            if request["method"] == "eth_getBlockByNumber":
                block_hash = hashes.get(int(request["params"][0], 16))
                result = block_hash and {"hash": block_hash}
            self._answer(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode())

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Headers", "content-type")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()


def ask_node(page: Page, url: str) -> None:
    page.get_by_label("Address of a JSON-RPC node").fill(f"{url}/secret-key")
    page.get_by_role("button", name="Compare hashes").click()


def test_a_node_of_the_readers_own_establishes_the_blocks(browser: Browser, site: str, document: Document) -> None:
    hashes = {block["number"]: block["hash"] for block in document["blocks"]}
    with node(document["chainId"], hashes) as (url, requests):
        page = browser.new_page()
        seen: list[str] = []
        page.on("request", lambda request: seen.append(request.url))
        page.goto(f"{site}/verify")
        choose(page, document)
        ask_node(page, url)
        expect(page.locator(".checks")).to_contain_text(f"{len(hashes)} of {len(hashes)} hashes are those of the node")
        expect(page.locator(".limits")).not_to_contain_text("PROVEN ONLY WITH A BLOCK HASH")
        methods = {json.loads(request)["method"] for request in requests}
        assert methods == {"eth_chainId", "eth_getBlockByNumber"}
        assert not any("secret-key" in url and url.startswith(site) for url in seen)
        page.close()


def test_a_block_that_the_node_does_not_have_is_not_of_its_chain(
    browser: Browser, site: str, document: Document
) -> None:
    hashes = {block["number"]: block["hash"] for block in document["blocks"]}
    number = max(hashes)
    with node(document["chainId"], hashes | {number: f"0x{'00' * 32}"}) as (url, _):
        page = browser.new_page()
        page.goto(f"{site}/verify")
        choose(page, document)
        ask_node(page, url)
        expect(page.locator(".verdict-bad")).to_contain_text(f"block {number}: its hash is")
        page.close()


@pytest.mark.parametrize(
    ("chain_id", "origin", "reason"),
    [(1, "*", "is a node of chain 1"), (31337, "https://elsewhere.example", "does not let web pages ask it")],
)
def test_a_node_that_does_not_fit_is_named_with_the_reason(
    browser: Browser, site: str, document: Document, chain_id: int, origin: str, reason: str
) -> None:
    with node(chain_id, {}, origin) as (url, _):
        page = browser.new_page()
        page.goto(f"{site}/verify")
        choose(page, document)
        ask_node(page, url)
        expect(page.get_by_role("alert")).to_contain_text(f"{url} ")
        expect(page.get_by_role("alert")).to_contain_text(reason)
        expect(page.get_by_role("alert")).not_to_contain_text("secret-key")
        expect(page.locator(".verdict-bad")).to_have_count(0)
        page.close()


# Without trust in the scripts


def test_the_script_that_checks_may_connect_nowhere(site: str) -> None:
    with urlopen(f"{site}/verify") as response:
        page = response.read().decode()
        policy = response.headers["Content-Security-Policy"]
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    policies = {}
    for name, path in re.findall(r'data-(check|node)="([^"]+)"', page):
        with urlopen(f"{site}{path}") as response:
            policies[name] = response.headers["Content-Security-Policy"]
    assert policies == {"check": "default-src 'none'", "node": "default-src 'none'; connect-src http: https:"}


def test_chromium_keeps_the_check_from_connecting(browser: Browser, site: str) -> None:
    page = browser.new_page()
    page.goto(f"{site}/verify")
    path = page.locator("[data-check]").get_attribute("data-check")
    script = (
        "self.onmessage = () => fetch('/schema.graphql').then(() => postMessage('sent'), () => postMessage('kept'))"
    )
    policy = "default-src 'none'"
    page.route(
        f"**{path}",
        lambda route: route.fulfill(
            body=script, content_type="text/javascript", headers={"Content-Security-Policy": policy}
        ),
    )
    answer = page.evaluate(
        """path => new Promise((done) => {
            const worker = new Worker(path);
            worker.onmessage = ({ data }) => done(data);
            worker.postMessage(0);
        })""",
        path,
    )
    assert answer == "kept"
    page.close()


def test_without_javascript_the_page_says_how_to_check(browser: Browser, site: str, did: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/device/{did}")
    page.get_by_role("link", name="Check this yourself").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check a bundle")
    expect(page.get_by_text("certindex check device-1.bundle.json").first).to_be_visible()
    expect(page.locator("noscript .note")).to_be_visible()
    expect(page.locator("[data-drop]")).to_be_hidden()
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_result_is_no_wider_than_the_window(
    browser: Browser, site: str, document: Document, width: int, dark: bool
) -> None:
    tab = Tab(browser, site, width=width, dark=dark)
    tab.open("/verify")
    choose(tab.page, document)
    assert tab.overflow() <= 0
    changed = deepcopy(document)
    _reading(changed)
    choose(tab.page, resealed(changed))
    assert tab.overflow() <= 0
    tab.page.close()
    assert tab.complaints == []
