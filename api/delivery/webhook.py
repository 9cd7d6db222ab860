"""Webhooks: Standard Webhooks 1.0 over HTTP.

Nothing that a receiver sends back is trusted: redirects are not followed, cookies are not kept, a body is read up to
some kilobytes and not decompressed, and the whole attempt has a time limit.
"""

import asyncio
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from api.delivery.addresses import AddressRefused, Network, socket_factory
from api.delivery.messages import CONTENT_TYPE, Message
from api.delivery.receivers import Outcome, failed, reason_of, timed_out
from api.delivery.schedule import retry_after
from api.delivery.signing import signature_header
from api.delivery.subscriptions import Subscription

BODY_BYTES = 4096
BODY_SECONDS = 1.0
"""What is read of a response's body: enough for an error text. A body that goes on costs the connection."""

SHOWN = 200
"""Characters of a response that a log line shows."""

KEEP_SECONDS = 1.0
"""How long an idle connection is used again: less than servers keep one, as a POST into a closed one would fail."""

RETRY_AFTER = (429, 503)
GONE = 410


class Webhook:
    """A receiver over HTTP."""

    def __init__(self, subscription: Subscription, allowed: Sequence[Network]) -> None:
        self._subscription = subscription
        connector = TCPConnector(
            socket_factory=socket_factory(allowed), use_dns_cache=False, keepalive_timeout=KEEP_SECONDS
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            timeout=ClientTimeout(total=subscription.timeout),
            headers={"User-Agent": f"certindex/{version('certindex')}", **subscription.headers},
        )

    async def send(self, message: Message) -> Outcome:
        timestamp = int(time.time())
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature_header(self._subscription.secrets, message.id, timestamp, message.body),
        }
        try:
            async with self._session.post(
                self._subscription.url, data=message.body, headers=headers, allow_redirects=False
            ) as response:
                return await self._outcome(response)
        except TimeoutError:
            return timed_out(self._subscription.timeout)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _unreached(error)

    async def close(self) -> None:
        await self._session.close()

    async def _outcome(self, response: ClientResponse) -> Outcome:
        """Returns what a response means."""
        status, text = response.status, await self._excerpt(response)
        if 200 <= status < 300:
            return Outcome(True, "ok", f"the receiver answered {status}")
        detail = f"the receiver answered {status}{f': {text}' if text else ''}"
        if 300 <= status < 400:
            location = self._shown(response.headers.get("Location", ""))
            return failed("redirect", f"the receiver answered {status} to {location!r}: redirects are not followed")
        if status == GONE:
            return Outcome(False, "gone", detail, gone=True)
        wait = retry_after(response.headers.get("Retry-After"), time.time()) if status in RETRY_AFTER else None
        return failed(f"{status // 100}xx", detail, wait)

    async def _excerpt(self, response: ClientResponse) -> str:
        """Returns the beginning of the body in one line, as far as it can be read: the status alone decides."""
        parts: list[bytes] = []
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(BODY_SECONDS):
                async for part in response.content.iter_any():
                    parts.append(part)
                    if sum(map(len, parts)) >= BODY_BYTES:
                        break
        return self._shown(b"".join(parts).decode("utf-8", "replace"))

    def _shown(self, text: str) -> str:
        """Returns the beginning of what a receiver wrote, in one line and without our secrets."""
        printable = "".join(character if character.isprintable() else " " for character in text)
        return self._subscription.concealed(printable)[:SHOWN].strip()


def _unreached(error: Exception) -> Outcome:
    """Returns the outcome of an attempt without a response."""
    cause = getattr(error, "os_error", error)
    for one in _causes(cause):
        if isinstance(one, AddressRefused):
            return failed("address", str(one))
    match error:
        case aiohttp.ClientConnectorDNSError():
            return failed("dns", f"the host {error.host} cannot be resolved: {cause}")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return failed("tls", f"TLS failed: {error}")
        case aiohttp.ServerDisconnectedError():
            return failed("connection", "the receiver closed the connection without a response")
        case aiohttp.ClientResponseError():
            return failed("protocol", f"the response is not HTTP: {error.message}")
        case aiohttp.ClientConnectorError():
            return failed("connection", f"the receiver cannot be reached: {reason_of(error.os_error)}")
    return failed("connection", f"the connection failed: {error or type(error).__name__}")


def _causes(error: BaseException) -> Sequence[BaseException]:
    """Returns an error and those that it stands for: of several addresses each has its own."""
    return [error, *getattr(error, "exceptions", ()), *filter(None, (error.__cause__, error.__context__))]
