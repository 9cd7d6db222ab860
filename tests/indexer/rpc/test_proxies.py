"""HTTP_PROXY, HTTPS_PROXY and NO_PROXY, RPC_HEADERS, redirects: how the indexer reaches nodes behind them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from indexer.commands.sync import sync
from indexer.errors import Stop
from indexer.rpc.endpoint import Endpoint
from indexer.rpc.errors import NoAnswer, RpcError
from indexer.rpc.head_socket import HeadSocket
from indexer.rpc.pool import Pool
from indexer.rpc.proxy import proxy_of
from indexer.settings import Settings, rpc_headers
from tests.support.chain.factory import Factory
from tests.support.index.verifying import settings_for
from tests.support.rpc.forward_proxy import ForwardProxy

SECRET = "p@ss:w/0rd"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def node(*, status: int = 200, headers: dict[str, str] | None = None, body: Any = None) -> AsyncIterator[Any]:
    """A node that keeps the headers of the requests that came."""
    received: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request.headers)
        if body is not None:
            return web.Response(status=status, text=body(request), headers=headers)
        return web.json_response({"jsonrpc": "2.0", "id": 1, "result": "0x1"}, status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", received
    await runner.cleanup()


async def chain_id(url: str, headers: str = "") -> int:
    pool = Pool([url], rpc_headers(headers))
    try:
        return await pool.check_chain(None)
    finally:
        await pool.close()


# Proxies


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_chain_is_indexed_through_the_proxy_of_the_environment(
    name: str, factory: Factory, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ForwardProxy() as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert await sync(settings_for(factory, sqlite_url)) == 0
        assert len(proxy.requests) > 3
        assert {request.rstrip("/") for request in proxy.requests} == {f"POST {factory.chain.url}".rstrip("/")}


@pytest.mark.parametrize("entry", ["*", "127.0.0.1", "example.com, 127.0.0.1", "127.0.0.0/8", "127.0.0.1:{port}"])
async def test_a_node_that_no_proxy_names_is_reached_directly(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ForwardProxy() as proxy, node() as (url, received):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", entry.format(port=url.rpartition(":")[2]))
        assert await chain_id(url) == 1
        assert (proxy.requests, len(received)) == ([], 1)


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("example.com", "https://rpc.example.com/key", True),
        (".example.com", "https://rpc.example.com/key", True),
        ("*.example.com", "https://rpc.example.com/key", True),
        ("ple.com", "https://rpc.example.com/key", False),
        ("rpc.example.com:8443", "https://rpc.example.com/key", False),
        ("rpc.example.com:443", "wss://rpc.example.com/key", True),
        ("::1", "http://[::1]:8545", True),
        ("[::1]:8545", "http://[::1]:8545", True),
        ("10.0.0.0/8 192.168.0.1", "http://192.168.0.1", True),
        ("", "http://192.168.0.1", False),
    ],
)
def test_entries_of_no_proxy(no_proxy: str, url: str, direct: bool) -> None:
    proxies = {"http": "proxy.example:3128", "https": "http://proxy.example:3128", "no": no_proxy}
    assert proxy_of(url, proxies) == (None if direct else "http://proxy.example:3128")


def test_a_proxy_that_is_not_supported_is_named_without_its_password() -> None:
    with pytest.raises(Stop, match=r"HTTP_PROXY or ALL_PROXY is socks5://proxy\.example:1080, which is no") as stop:
        proxy_of("http://node", {"all": f"socks5://me:{SECRET}@proxy.example:1080".replace("/0", "%2F0")})
    assert "ss:w" not in str(stop.value)


async def test_a_proxy_gets_its_password_and_nobody_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ForwardProxy(f"me:{SECRET}") as proxy, node() as (url, _):
        address = proxy.url.removeprefix("http://")
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss%3Aw%2F0rd@{address}")
        assert await chain_id(url) == 1
        monkeypatch.setenv("HTTP_PROXY", f"http://me:an0ther-one@{address}")
        with pytest.raises(Exception, match="407") as refused:
            await chain_id(url)
        monkeypatch.setenv("HTTP_PROXY", "http://me:an0ther-one@127.0.0.1:1")
        with pytest.raises(Exception, match=r"through the proxy http://127\.0\.0\.1:1\)") as unreachable:
            await chain_id(url)
        assert "an0ther" not in str(refused.value) + str(unreachable.value)


async def test_a_websocket_goes_through_the_proxy_with_its_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[str | None] = []

    async def refuse(socket: ServerConnection) -> None:
        received.append(socket.request.headers.get("X-Key") if socket.request else None)
        await socket.close()

    async def nothing(_: bool, message: str) -> None:
        messages.append(message)

    messages: list[str] = []
    async with ForwardProxy() as proxy, serve(refuse, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        socket = HeadSocket(
            f"ws://127.0.0.1:{port}/",
            1,
            [("X-Key", "a-secret-key")],
            head_announced=lambda _: None,
            status_changed=nothing,
        )
        listening = asyncio.create_task(socket.listen())
        async with asyncio.timeout(30):
            while not messages:  # noqa: ASYNC110  # a list is no event
                await asyncio.sleep(0.01)
        listening.cancel()
        # it may have connected again meanwhile
        assert set(proxy.requests) == {f"CONNECT 127.0.0.1:{port}"}
        assert set(received) == {"a-secret-key"}


# Headers


async def test_headers_go_to_every_node_or_to_the_host_before_their_name() -> None:
    async with node() as (url, received):
        address = url.removeprefix("http://")
        await chain_id(
            url, f"X-One: 1, {address} Authorization: Bearer a, b\n127.0.0.1 X-Two: 2, other.example X-Three: 3"
        )
        [headers] = received
        assert (headers["X-One"], headers["Authorization"], headers["X-Two"]) == ("1", "Bearer a, b", "2")
        assert "X-Three" not in headers
        assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("value", ["nonsense", "X-Key", "X-Key:", ": value", "a b X-Key: 1"])
def test_what_is_no_header_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not headers as Name: value"):
        rpc_headers(value)


async def test_a_header_that_the_node_quotes_is_not_shown() -> None:
    def quoting(request: web.Request) -> str:
        return f"wrong: {request.headers['Authorization']}, {request.headers['Authorization'].split()[1]}, " + "x" * 280

    async with node(status=403, body=quoting) as (url, _):
        endpoint = Endpoint(url, [("Authorization", "Bearer k3y-0f-mine")])
        with pytest.raises(RpcError, match=r"HTTP 403\): wrong: \*\*\*, \*\*\*, xxx") as refused:
            await endpoint.call("eth_chainId", [], str)
        await endpoint.close()
        assert "k3y" not in str(refused.value)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_shown_with_its_location_and_not_followed(status: int) -> None:
    location = "https://me:p@ss@rpc.example/v2/a-secret-key?token=other"
    async with node(status=status, headers={"Location": location}) as (url, received):
        endpoint = Endpoint(f"{url}/v2/a-secret-key")
        with pytest.raises(RpcError) as refused:
            await endpoint.call("eth_chainId", [], str)
        await endpoint.close()
        assert len(received) == 1
        where = "it redirects to https://rpc.example/v2/***?...: correct the URL"
        assert str(refused.value).endswith(f"answered eth_chainId with an error (HTTP {status}): {where}")


# Passwords


CHARACTERS = "@:%[]\\'\"<>;&=+$!*.,/?#"


@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize("password", ["left{}right", "{}right", "left{}", "777{}888", "left{}mid@right"])
async def test_a_password_is_never_shown_in_any_part(character: str, password: str) -> None:
    password = password.format(character)
    value = f"http://someone:{password}@127.0.0.1:1/v2/a-secret-key"
    text = await shown(value)
    for part in password.replace("@", character).split(character):
        assert not part or part not in text.replace("127.0.0.1:1", ""), (value, text)


async def shown(value: str) -> str:
    """Returns what is shown of RPC_URLS: the error of the setting, or that of a request."""
    from schema.program.settings import SettingsError, read_settings

    try:
        settings = read_settings(Settings, None, {"RPC_URLS": f"http://127.0.0.1:1,{value}"})
        pool = Pool(settings.rpc_urls, timeout=1)
    except SettingsError as error:
        return str(error)
    names = "".join(host.name + host.site for host in pool.hosts)
    try:
        await pool.check_chain(None)
    except Exception as error:
        return f"{names} {error}"
    finally:
        await pool.close()
    raise AssertionError("nobody listens there")


async def test_a_secret_that_a_node_quotes_is_not_shown_in_part_where_the_text_is_cut() -> None:
    for length in (180, 196, 250, 296):
        async with node(status=500, body=lambda _, length=length: "x" * length + "a-secret-key") as (url, _):
            endpoint = Endpoint(f"{url}/v2/a-secret-key")
            with pytest.raises((RpcError, NoAnswer)) as error:
                await endpoint.call("eth_chainId", [], str)
            await endpoint.close()
            assert "a-s" not in str(error.value)
