"""How asking a provider can fail, told without the keys that URLs hold."""

from urllib.parse import parse_qsl, unquote, urlsplit

from indexer.errors import TryAgain
from indexer.rpc.catalogue import refusal_of

SHORTEST_KEY = 6
SHOWN_TEXT = 300


class NoAnswer(TryAgain):
    """Nothing usable came back: no connection, no time, a cut body, a result of another shape."""


class RpcError(TryAgain):
    """The node refused. `text` holds all that it said, lower case; `refusal` what that asks for.

    `span` is the number of blocks that were asked for, `retry_after` in seconds, as the node said.
    """

    def __init__(
        self,
        url: str,
        method: str,
        said: str,
        *,
        code: int | None = None,
        status: int | None = None,
        span: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        where = f" (HTTP {status})" if status not in (None, 200) else ""
        shown = f"{said[:SHOWN_TEXT]}..." if len(said) > SHOWN_TEXT else said
        super().__init__(f"{shown_url(url)} answered {method} with an error{where}: {without_keys(url, shown)}")
        self.text = said.lower()
        self.code = code
        self.status = status
        self.refusal = refusal_of(said, code=code, status=status, span=span, retry_after=retry_after)


def shown_url(url: str) -> str:
    """Returns the URL without what may be a key: only scheme, host and port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    hidden = "/..." if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{hidden}"


def site_of(url: str) -> str:
    """Returns host and port: what tells one provider from another."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


def without_keys(url: str, text: str) -> str:
    """Returns the text with every part of the URL that may be a key hidden: providers like to quote it."""
    parts = urlsplit(url)
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query)), parts.query]
    words += [parts.username or "", parts.password or ""]
    for word in sorted({*words, *map(unquote, words)}, key=len, reverse=True):
        if len(word) >= SHORTEST_KEY:
            text = text.replace(word, "***")
    return text
