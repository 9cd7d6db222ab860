"""Errors of providers, shown without the keys in their URLs."""

from urllib.parse import parse_qsl, unquote, urlsplit

from indexer.errors import TryAgain
from indexer.rpc.catalogue import refusal_of

SHORTEST_KEY = 6
SHOWN_TEXT = 300


class NoAnswer(TryAgain):
    """No usable response: no connection, a timeout, a truncated body, or a result of another type."""


class RpcError(TryAgain):
    """The node refused. `text` is its whole error in lower case, `refusal` what it means.

    `span` is the number of requested blocks; `retry_after`, in seconds, is what the node named.
    """

    def __init__(
        self,
        url: str,
        method: str,
        text: str,
        *,
        code: int | None = None,
        status: int | None = None,
        span: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        where = f" (HTTP {status})" if status not in (None, 200) else ""
        shown = f"{text[:SHOWN_TEXT]}..." if len(text) > SHOWN_TEXT else text
        super().__init__(f"{shown_url(url)} answered {method} with an error{where}: {without_keys(url, shown)}")
        self.text = text.lower()
        self.code = code
        self.status = status
        self.refusal = refusal_of(text, code=code, status=status, span=span, retry_after=retry_after)


def shown_url(url: str) -> str:
    """Returns scheme, host and port of the URL: the rest may hold a key."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    hidden = "/..." if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{hidden}"


def site_of(url: str) -> str:
    """Returns host and port, which identify a provider."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def without_keys(url: str, text: str) -> str:
    """Returns the text with every part of the URL that may be a key replaced by ***: providers often quote the URL."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.query]
    words += [parts.username or "", parts.password or ""]
    for word in sorted({*words, *map(unquote, words)}, key=len, reverse=True):
        if len(word) >= SHORTEST_KEY:
            text = text.replace(word, "***")
    return text
