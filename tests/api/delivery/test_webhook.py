"""What receivers of every kind make of one attempt."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from api.delivery import webhook as webhooks
from api.delivery.addresses import parse_networks
from api.delivery.messages import Message
from api.delivery.receivers import Outcome
from api.delivery.signing import new_secret, parse_key
from api.delivery.subscriptions import Subscription
from api.delivery.webhook import Webhook
from tests.support.api.receiving import LOCAL, Behavior, Received, answering, receiving
from tests.support.processes import free_ports

MESSAGE = Message(1, "msg_1", "certindex.test", 0.0, b'{"data": 1}')


async def attempt(behavior: Behavior, *, seconds: int = 60) -> Outcome:
    async with receiving(behavior) as receiver:
        subscription = Subscription(name="a", url=receiver.url, secrets=(parse_key(new_secret()),), timeout=seconds)
        webhook = Webhook(subscription, parse_networks(LOCAL))
        try:
            return await webhook.send(MESSAGE)
        finally:
            await webhook.close()


Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


def writing(*parts: bytes, pause: float = 0.0, then: str = "stay") -> Behavior:
    """Returns the behavior of a receiver that writes raw bytes, and stays, closes or resets afterwards."""

    async def write(received: Received, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        if then == "stay":
            await asyncio.sleep(60)
        if then == "close":
            writer.close()
        if then == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    return write


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("behavior", "result", "words"),
    [
        (answering(200), "ok", "answered 200"),
        (answering(299), "ok", "answered 299"),
        (answering(301, Location="http://127.0.0.1:1/"), "redirect", "301 to 'http://127.0.0.1:1/'"),
        (answering(304), "redirect", "answered 304"),
        (answering(400, b"no such\x1b[31m\x00 hook"), "4xx", "answered 400: no such [31m hook"),
        (answering(500, b"\xff" * 9000), "5xx", "answered 500"),
        (answering(410), "gone", "answered 410"),
        (writing(), "timeout", "no response within 1 s"),
        (writing(*(bytes([byte]) for byte in HEAD), pause=0.1), "timeout", "no response within 1 s"),
        (writing(then="close"), "connection", "closed the connection without a response"),
        (writing(then="reset"), "connection", "connection"),
        (writing(HEAD, then="close"), "connection", "closed the connection"),
        (writing(b"SSH-2.0-OpenSSH\r\n\r\n"), "protocol", "not HTTP"),
        (writing(HEAD, b"A: " + b"b" * 100_000 + b"\r\n\r\n"), "protocol", "not HTTP"),
        (writing(HEAD, *[b"A%d: b\r\n" % number for number in range(3000)], b"\r\n"), "protocol", "not HTTP"),
        (writing(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "protocol", "not HTTP"),
        # the status is there: the message has been taken, whatever becomes of the body
        (writing(HEAD + b"Content-Length: 9\r\n\r\n", b"a", pause=0.4), "ok", "answered 200"),
        (writing(HEAD + b"Content-Length: 9\r\n\r\n", b"a", then="reset"), "ok", "answered 200"),
        (writing(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbomb"), "ok", "answered 200"),
    ],
)
async def test_an_attempt_ends_as_it_should(
    behavior: Behavior, result: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.2)
    outcome = await attempt(behavior, seconds=1 if result == "timeout" else 60)
    assert (outcome.result, outcome.delivered, outcome.gone) == (result, result == "ok", result == "gone")
    assert words in outcome.detail


async def test_what_a_receiver_echoes_shows_no_secret_of_the_request() -> None:
    secrets = {"Authorization": "Bearer wJalrXUtnFEMI", "X-Key": "AKIDEXAMPLE"}
    echo = b"no user wJalrXUtnFEMI (Bearer wJalrXUtnFEMI, AKIDEXAMPLE) at /hook/services/hidden?key=hidden"
    async with receiving(answering(401, echo)) as receiver:
        webhook = Webhook(
            Subscription(name="a", url=f"{receiver.url}/services/hidden?key=hidden", headers=secrets),
            parse_networks(LOCAL),
        )
        shown = [(await webhook.send(MESSAGE)).detail]
        receiver.behavior = answering(302, Location="https://b.example/hook/services/hidden?key=hidden")
        shown.append((await webhook.send(MESSAGE)).detail)
        await webhook.close()
    assert shown == [
        "the receiver answered 401: no user ... (..., ...) at ...?...",
        "the receiver answered 302 to 'https://b.example...?...': redirects are not followed",
    ]


async def test_a_port_that_nobody_serves_is_named_in_words() -> None:
    (port,) = free_ports(1)
    webhook = Webhook(Subscription(name="a", url=f"http://127.0.0.1:{port}"), parse_networks(LOCAL))
    outcome = await webhook.send(MESSAGE)
    await webhook.close()
    assert (outcome.result, outcome.detail) == ("connection", "the receiver cannot be reached: Connection refused")


async def test_a_huge_body_is_not_read() -> None:
    sent = 0

    async def flood(received: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    assert (await attempt(flood)).delivered
    assert sent < 20_000_000, "the kernel's buffers alone"


async def test_a_connection_is_used_again() -> None:
    async with receiving() as receiver:
        peers = set()

        async def note(received: Received, writer: asyncio.StreamWriter) -> None:
            peers.add(writer.get_extra_info("peername"))
            await answering(200, b"fine")(received, writer)

        receiver.behavior = note
        subscription = Subscription(name="a", url=receiver.url, secrets=(parse_key(new_secret()),))
        webhook = Webhook(subscription, parse_networks(LOCAL))
        assert all([(await webhook.send(MESSAGE)).delivered for _ in range(5)])
        await webhook.close()
        assert len(peers) == 1


async def test_the_request_has_the_headers_of_the_standards() -> None:
    async with receiving() as receiver:
        subscription = Subscription(
            name="a", url=receiver.url, secrets=(parse_key(new_secret()),), headers={"Authorization": "Bearer t"}
        )
        webhook = Webhook(subscription, parse_networks(LOCAL))
        await webhook.send(MESSAGE)
        await webhook.close()
        (request,) = receiver.requests
        assert request.body == MESSAGE.body
        assert request.headers["content-type"] == "application/cloudevents+json"
        assert request.headers["authorization"] == "Bearer t"
        assert request.headers["webhook-id"] == "msg_1"
        assert request.headers["user-agent"].startswith("certindex/")
