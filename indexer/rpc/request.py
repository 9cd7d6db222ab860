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
    """Returns the blocks that a request names by number; None where it names none, or by tag or hash only."""
    place = PLACE_OF_BLOCK.get(method)
    if place is None or place >= len(params):
        return None
    named = params[place]
    if isinstance(named, dict):
        first, last = _number(named.get("fromBlock")), _number(named.get("toBlock"))
        return None if first is None or last is None else range(first, last + 1)
    number = _number(named)
    return None if number is None else range(number, number + 1)


PLACE_OF_BLOCK = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getLogs": 0,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_call": 1,
}
LONGEST_NUMBER = 18
"""Hex digits of 64 bits and 0x: what is longer is a hash."""


def _number(value: Any) -> int | None:
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > LONGEST_NUMBER:
        return None
    return int(value, 16)
