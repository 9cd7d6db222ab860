"""What came back over HTTP, read as a JSON-RPC answer, however oddly a provider words its refusal."""

import json
import re
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import Any

import msgspec

from indexer.rpc.errors import NoAnswer, RpcError, shown_url, without_keys
from indexer.rpc.request import Request, requested_blocks

READ_BODY = 4_096
SHOWN_BODY = 200


class Reply(msgspec.Struct, gc=False):
    """What came over HTTP. `retry_after` as the header has it."""

    status: int
    body: bytes
    retry_after: str | None = None


class Response(msgspec.Struct, gc=False):
    """A JSON-RPC answer whose parts are decoded when it is known which is there."""

    id: int | str | float | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON that is none, is not UTF-8, or is nested without end."""

_answers = msgspec.json.Decoder(Response)
_batches = msgspec.json.Decoder(list[Response])


def result_of(url: str, request: Request, reply: Reply) -> msgspec.Raw:
    """Returns the result, still as JSON. Raises RpcError for a refusal, NoAnswer for what is no answer to this."""
    try:
        answer = _answers.decode(reply.body)
    except UNREADABLE:
        if reply.status != HTTPStatus.OK:
            raise _refusal(url, request, reply, None) from None
        raise NoAnswer(f"{shown_url(url)} answered {request.method} with no JSON-RPC: {start(url, reply)}") from None
    if answer.error and answer.error != b"null":
        raise _refusal(url, request, reply, _loaded(bytes(answer.error)))
    if reply.status != HTTPStatus.OK or not answer.result:
        raise _refusal(url, request, reply, _loaded(reply.body))
    if answer.id is not None and str(answer.id) != str(request.id):
        raise NoAnswer(f"{shown_url(url)} answered {request.method} with the answer to another request.")
    return answer.result


def results_of(url: str, requests: Sequence[Request], reply: Reply) -> list[msgspec.Raw | None]:
    """Returns the results of a batch, in order; None for one that was refused or is not there.

    Raises NoAnswer where the reply is no batch: not every provider takes one.
    """
    try:
        answers = {str(answer.id): answer for answer in _batches.decode(reply.body)}
    except UNREADABLE:
        raise NoAnswer(f"{shown_url(url)} answered a batch of {len(requests)} with {start(url, reply)}") from None
    return [_granted(answers.get(str(request.id))) for request in requests]


def start(url: str, reply: Reply) -> str:
    """Returns how the body begins, to be shown."""
    shown = without_keys(url, _text(reply.body[:SHOWN_BODY]))
    return f"{shown!r}{'...' if len(reply.body) > SHOWN_BODY else ''}"


def _granted(answer: Response | None) -> msgspec.Raw | None:
    if answer is None or not answer.result or (answer.error and answer.error != b"null"):
        return None
    return answer.result


def _refusal(url: str, request: Request, reply: Reply, error: Any) -> RpcError | NoAnswer:
    said = ", ".join(dict.fromkeys(_words(error)))[:READ_BODY]
    code = error.get("code") if isinstance(error, dict) else None
    if not said and code is None and reply.status == HTTPStatus.OK:
        return NoAnswer(f"{shown_url(url)} answered {request.method} without a result: {start(url, reply)}")
    asked = requested_blocks(request.method, request.params)
    return RpcError(
        url,
        request.method,
        said or _text(reply.body),
        code=code if isinstance(code, int) else None,
        status=reply.status,
        span=None if asked is None else len(asked),
        retry_after=_seconds(reply.retry_after),
    )


def _loaded(error: bytes) -> Any:
    text = error.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _words(value: Any) -> Iterator[str]:
    """Yields all that is said in an error, message first, wherever the provider put it."""
    match value:
        case dict():
            for key in ("message", *(key for key in value if key not in ("message", "jsonrpc", "id", "code"))):
                yield from _words(value.get(key))
        case list():
            for item in value:
                yield from _words(item)
        case str() if value:
            yield value
        case int() | float() if not isinstance(value, bool):
            yield str(value)


def _text(body: bytes) -> str:
    return body[:READ_BODY].decode("utf-8", "replace").strip()


def _seconds(retry_after: str | None) -> float | None:
    """Returns a Retry-After header, seconds or a date, in seconds from now; None for one that is neither."""
    if retry_after is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", retry_after):
        return float(retry_after)
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time(), 0.0)
    except ValueError:
        return None
