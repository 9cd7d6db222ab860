"""Errors of providers, shown without the keys in their URLs."""

from indexer.errors import TryAgain
from indexer.rpc.catalog import refusal_of
from indexer.rpc.refusals import LimitExceeded, Refusal
from indexer.urls import shown_location, shown_url, without_keys

SHOWN_TEXT = 300


class NoAnswer(TryAgain):
    """No usable response: no connection, a timeout, a truncated body, or a result of another type."""


class NotConnected(NoAnswer):
    """No connection."""


class BrokenOff(NoAnswer):
    """No response in time, or one that broke off. To a wide query for logs it may have been too large."""

    refusal: Refusal = LimitExceeded()


class WrongShape(NoAnswer):
    """A JSON-RPC response whose result is of another type: the node answers, and this answer is wrong."""


class RpcError(TryAgain):
    """The node refused. `text` is its whole error in lower case, `refusal` what it means.

    `span` is the number of requested blocks; `retry_after`, in seconds, is what the node named; `location` is where it
    redirects to; `secrets` are not shown.
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
        location: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        where = f" (HTTP {status})" if status not in (None, 200) else ""
        shown = without_keys(url, text, secrets)  # before it is cut: half a key is not recognized
        shown = f"{shown[:SHOWN_TEXT]}..." if len(shown) > SHOWN_TEXT else shown
        if location is not None:
            shown = f"it redirects to {without_keys(url, shown_location(location), secrets)}: correct the URL"
        super().__init__(f"{shown_url(url)} answered {method} with an error{where}: {shown}")
        self.text = text.lower()
        self.code = code
        self.status = status
        self.refusal = refusal_of(text, code=code, status=status, span=span, retry_after=retry_after)
