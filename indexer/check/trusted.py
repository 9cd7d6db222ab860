"""Block hashes from a node that the reader trusts: the only part of the check that uses the network."""

import json
import re
from collections.abc import Iterable
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

TIMEOUT_SECONDS = 30


class NodeError(OSError):
    """The node did not return a block hash; the message states the reason."""


def block_hashes(url: str, chain_id: int, numbers: Iterable[int]) -> dict[int, bytes]:
    """Returns the hashes of blocks from a node. Raises NodeError, also if the node serves another chain."""
    node_chain_id = _decimal(str(_request(url, "eth_chainId", [])))
    if node_chain_id != str(chain_id):
        raise NodeError(f"{_shown(url)} is a node of chain {node_chain_id}, the bundle is of chain {chain_id}")
    hashes: dict[int, bytes] = {}
    for number in numbers:
        block = _request(url, "eth_getBlockByNumber", [hex(number), False])
        if not isinstance(block, dict) or not re.fullmatch("0x[0-9a-f]{64}", str(block.get("hash"))):
            raise NodeError(f"{_shown(url)} has no block {number}")
        hashes[number] = bytes.fromhex(str(block["hash"])[2:])
    return hashes


def _request(url: str, method: str, params: list[object]) -> object:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = Request(url, body, {"Content-Type": "application/json", "User-Agent": "certindex"})
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            answer = json.load(response)
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise NodeError(f"{_shown(url)} did not answer {method}: {error}") from None
    if not isinstance(answer, dict) or "result" not in answer:
        raise NodeError(f"{_shown(url)} answered {method} with {str(answer)[:200]}")
    result: object = answer["result"]
    return result


def _decimal(number: str) -> str:
    return str(int(number, 16)) if re.fullmatch("0x[0-9a-fA-F]{1,64}", number) else number[:80]


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
