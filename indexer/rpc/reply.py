"""HTTP replies read as JSON-RPC responses, wherever a provider puts its refusal."""

import json
import re
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import Any

import msgspec

from indexer.rpc.errors import NoAnswer, RpcError
from indexer.rpc.request import Request, requested_blocks
from indexer.urls import shown_url, without_keys

READ_BODY = 4_096
SHOWN_BODY = 200


class Reply(msgspec.Struct, gc=False):
    """An HTTP reply. `retry_after` and `location` are the headers' texts, `secrets` what was sent and is not shown."""

    status: int
    body: bytes
    retry_after: str | None = None
    location: str | None = None
    secrets: tuple[str, ...] = ()


class Response(msgspec.Struct, gc=False):
    """A JSON-RPC response. Its parts stay encoded until it is known which of them is present."""

    id: int | str | float | None = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors of msgspec for invalid JSON, invalid UTF-8, and nesting that is too deep."""

_answers = msgspec.json.Decoder(Response)
_batches = msgspec.json.Decoder(list[Response])


def result_of(url: str, request: Request, reply: Reply) -> msgspec.Raw:
    """Returns the result, still as JSON. Raises RpcError for a refusal, NoAnswer for a reply to anything else."""
    try:
        answer = _answers.decode(reply.body)
    except UNREADABLE:
        if reply.status != HTTPStatus.OK:
            raise _refusal(url, request, reply, None) from None
        raise NoAnswer(f"{shown_url(url)} answered {request.method} without JSON-RPC: {start(url, reply)}") from None
    if _is_error(answer):
        raise _refusal(url, request, reply, _loaded(bytes(answer.error)))
    if reply.status != HTTPStatus.OK or not answer.result:
        raise _refusal(url, request, reply, _loaded(reply.body))
    if answer.id is not None and str(answer.id) != str(request.id):
        raise NoAnswer(f"{shown_url(url)} answered {request.method} with the answer to another request.")
    return answer.result


def results_of(url: str, requests: Sequence[Request], reply: Reply) -> list[msgspec.Raw | None]:
    """Returns the results of a batch, in order; None for a request that was refused or has no response.

    Raises RpcError if the batch was refused as a whole: by one error, or by an error for each request. Raises NoAnswer
    if the reply is neither.
    """
    batch = Request(requests[0].id, f"a batch of {len(requests)} {requests[0].method}", [])
    try:
        answers = _batches.decode(reply.body)
    except UNREADABLE:
        raise _no_batch(url, batch, reply) from None
    by_id = {str(answer.id): answer for answer in answers}
    results = [_granted(by_id.get(str(request.id))) for request in requests]
    errors = [answer.error for answer in answers if _is_error(answer)]
    if errors and not any(results):
        raise _refusal(url, batch, reply, _loaded(bytes(errors[0])))
    return results


def _no_batch(url: str, batch: Request, reply: Reply) -> RpcError | NoAnswer:
    try:
        answer = _answers.decode(reply.body)
    except UNREADABLE:
        answer = Response()
    if _is_error(answer):
        return _refusal(url, batch, reply, _loaded(bytes(answer.error)))
    if reply.status != HTTPStatus.OK:
        return _refusal(url, batch, reply, None)
    return NoAnswer(f"{shown_url(url)} answered {batch.method} with {start(url, reply)}")


def start(url: str, reply: Reply) -> str:
    """Returns the start of the body for a message, without keys."""
    shown = without_keys(url, _text(reply.body), reply.secrets)  # before it is cut: half a key is not recognized
    return f"{shown[:SHOWN_BODY]!r}{'...' if len(shown) > SHOWN_BODY else ''}"


def _granted(answer: Response | None) -> msgspec.Raw | None:
    return None if answer is None or not answer.result or _is_error(answer) else answer.result


def _is_error(answer: Response) -> bool:
    return bool(answer.error) and answer.error != b"null"


def _refusal(url: str, request: Request, reply: Reply, error: Any) -> RpcError | NoAnswer:
    text = ", ".join(dict.fromkeys(_texts(error)))[:READ_BODY]
    code = error.get("code") if isinstance(error, dict) else None
    if not text and code is None and reply.status == HTTPStatus.OK:
        return NoAnswer(f"{shown_url(url)} answered {request.method} without a result: {start(url, reply)}")
    blocks = requested_blocks(request.method, request.params)
    return RpcError(
        url,
        request.method,
        text or _text(reply.body),
        code=code if isinstance(code, int) else None,
        status=reply.status,
        span=None if blocks is None else len(blocks),
        retry_after=_seconds(reply.retry_after),
        location=reply.location,
        secrets=reply.secrets,
    )


def _loaded(error: bytes) -> Any:
    text = error.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _texts(value: Any) -> Iterator[str]:
    """Yields all texts and numbers in an error, the message first, wherever the provider put them."""
    match value:
        case dict():
            for key in ("message", *(key for key in value if key not in ("message", "jsonrpc", "id", "code"))):
                yield from _texts(value.get(key))
        case list():
            for item in value:
                yield from _texts(item)
        case str() if value:
            yield value
        case int() | float() if not isinstance(value, bool):
            yield str(value)


def _text(body: bytes) -> str:
    return body[:READ_BODY].decode("utf-8", "replace").strip()


def _seconds(retry_after: str | None) -> float | None:
    """Returns a Retry-After header in seconds from now: it holds seconds or a date. None if it holds neither."""
    if retry_after is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", retry_after):
        return float(retry_after)
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time(), 0.0)
    except ValueError:
        return None
