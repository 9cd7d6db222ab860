"""JSON-RPC requests, and the blocks that they are about."""

from typing import Any

import msgspec


class Request(msgspec.Struct, frozen=True, gc=False):
    """A JSON-RPC request."""

    id: int
    method: str
    params: list[Any]
    jsonrpc: str = "2.0"


def requested_blocks(method: str, params: list[Any]) -> range | None:
    """Returns the blocks that a request names by number; None if it names none, or names them by tag or hash."""
    index = BLOCK_PARAMETER.get(method)
    if index is None or index >= len(params):
        return None
    parameter = params[index]
    if isinstance(parameter, dict):
        first, last = _number(parameter.get("fromBlock")), _number(parameter.get("toBlock"))
        return None if first is None or last is None else range(first, last + 1)
    number = _number(parameter)
    return None if number is None else range(number, number + 1)


def is_wide(method: str, params: list[Any]) -> bool:
    """Returns whether a request is for the logs of several blocks."""
    blocks = requested_blocks(method, params) if method == "eth_getLogs" else None
    return blocks is not None and len(blocks) > 1


BLOCK_PARAMETER = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getLogs": 0,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_call": 1,
}
LONGEST_NUMBER = 18
"""0x and the hex digits of 64 bits; longer texts are hashes."""


def _number(value: Any) -> int | None:
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > LONGEST_NUMBER:
        return None
    return int(value, 16)
