"""Faults of a JSON-RPC provider: each spoils one exchange of a FaultProxy, and returns whether it did."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.rpc.faultproxy import Exchange, Fault

LOGS = ("eth_getLogs",)
BLOCKS = ("eth_getBlockByNumber",)
ARCHIVE_ON_FIRE = "the archive is on fire"


# Logs that do not match the request


def short_log_list(exchange: Exchange) -> bool:
    """The last log is missing."""
    return _edit_logs(exchange, lambda logs: logs[:-1])


def empty_log_list(exchange: Exchange) -> bool:
    """There are logs, but the response is []."""
    return _edit_logs(exchange, lambda logs: [])


def null_log_list(exchange: Exchange) -> bool:
    """There are logs, but the response is null."""
    if exchange.method not in LOGS or not exchange.result:
        return False
    exchange.result = None
    return True


def logs_of_another_block_hash(exchange: Exchange) -> bool:
    """All logs belong to another branch."""
    return _edit_logs(exchange, lambda logs: [log | {"blockHash": "0x" + "cd" * 32} for log in logs])


def logs_of_two_hashes(exchange: Exchange) -> bool:
    """One height has logs of two blocks."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[-1] | {"logIndex": "0xff", "blockHash": "0x" + "cd" * 32}])


def duplicated_log_index(exchange: Exchange) -> bool:
    """One log comes twice."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[0]])


def log_outside_the_range(exchange: Exchange) -> bool:
    """A log of a block outside the range is added."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[-1] | {"blockNumber": "0xfffff"}])


def log_outside_the_filter(exchange: Exchange) -> bool:
    """A log of another contract is added."""
    return _edit_logs(exchange, lambda logs: [*logs, logs[-1] | {"address": "0x" + "ab" * 20, "logIndex": "0xff"}])


def removed_log(exchange: Exchange) -> bool:
    """The last log is marked as removed by a reorg."""
    return _edit_logs(exchange, lambda logs: [*logs[:-1], logs[-1] | {"removed": True}])


def _edit_logs(exchange: Exchange, edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> bool:
    if exchange.method not in LOGS or not exchange.result:
        return False
    exchange.result = edit(exchange.result)
    return True


# Blocks that do not match the request


def header_of_another_backend(exchange: Exchange) -> bool:
    """A block with the right number and another hash."""
    return _edit_header(exchange, hash="0x" + "ab" * 32)


def null_block(exchange: Exchange) -> bool:
    """The block is null."""
    if exchange.method not in BLOCKS:
        return False
    exchange.result = None
    return True


def missing_logs_bloom(exchange: Exchange) -> bool:
    """The header has no bloom."""
    if exchange.method not in BLOCKS or not exchange.result:
        return False
    exchange.result = {key: value for key, value in exchange.result.items() if key != "logsBloom"}
    return True


def missing_field(exchange: Exchange) -> bool:
    """The header has no receipts root."""
    if exchange.method not in BLOCKS or not exchange.result:
        return False
    exchange.result = {key: value for key, value in exchange.result.items() if key != "receiptsRoot"}
    return True


def foreign_bloom(exchange: Exchange) -> bool:
    """The header's bloom excludes our logs."""
    return _edit_header(exchange, logsBloom="0x" + "00" * 255 + "01")


def full_bloom(exchange: Exchange) -> bool:
    """The header's bloom has all bits, also in blocks without logs."""
    return _edit_header(exchange, logsBloom="0x" + "ff" * 256)


async def head_going_backwards(exchange: Exchange) -> bool:
    """The newest block is five blocks older than it was."""
    if exchange.asked_tag != "latest":
        return False
    older = max(int(exchange.result["number"], 16) - 5, 0)
    exchange.reply = await exchange.upstream("eth_getBlockByNumber", [hex(older), False])
    return True


def _edit_header(exchange: Exchange, **changes: str) -> bool:
    if exchange.method not in BLOCKS or not exchange.result or exchange.asked_tag:
        return False
    exchange.result = exchange.result | changes
    return True


# Blocks that a backend does not have yet, or no longer


def lagging_logs_answered_empty(exchange: Exchange) -> bool:
    """The backend for logs has not seen the block, and returns []."""
    if exchange.method not in LOGS or "blockHash" not in exchange.query or not exchange.result:
        return False
    exchange.result = []
    return True


def lagging_logs_answered_by_an_error(exchange: Exchange) -> bool:
    """The backend for logs has not seen the block, and returns an error."""
    if exchange.method not in LOGS:
        return False
    text = "unknown block" if "blockHash" in exchange.query else "block range extends beyond current head block"
    exchange.refuse(text)
    return True


def pruned_history_answered_empty(exchange: Exchange) -> bool:
    """The provider keeps no old logs, and returns []."""
    return _edit_logs(exchange, lambda logs: [])


def pruned_history_answered_by_an_error(exchange: Exchange) -> bool:
    """The provider keeps no old logs, and returns an error."""
    if exchange.range is None:
        return False
    exchange.refuse("pruned history unavailable", code=4444)
    return True


# Refusals


def error_with_status_200(exchange: Exchange) -> bool:
    """An error without a reason."""
    exchange.refuse("Internal error", code=-32603)
    return True


def too_many_results(exchange: Exchange) -> bool:
    """More than one log is too many."""
    if exchange.method not in LOGS or len(exchange.result or ()) < 2:
        return False
    exchange.refuse("query returned more than 1 results", code=-32005)
    return True


def range_hint_with_status_400(exchange: Exchange) -> bool:
    """At most ten blocks, in Alchemy's words."""
    return _refuse_range(exchange, 10, "You can make eth_getLogs requests with up to a 10 block range.", status=400)


def range_hint_with_status_429(exchange: Exchange) -> bool:
    """At most ten blocks, with a status that means something else."""
    return _refuse_range(exchange, 10, "Max range: 10", status=429)


def range_suggested(exchange: Exchange) -> bool:
    """A range of seven blocks is suggested, with its ends in the wrong order."""
    if exchange.range is None or exchange.range[1] - exchange.range[0] < 7:
        return False
    first = exchange.range[0]
    exchange.refuse(f"Log response size exceeded. this block range should work: [{hex(first + 6)}, {hex(first)}]")
    return True


def unknown_text_for_long_ranges(exchange: Exchange) -> bool:
    """A long range is refused with a text that no catalog lists."""
    return _refuse_range(exchange, 12, "the moon is in the wrong house", status=200)


def archive_on_fire(exchange: Exchange) -> bool:
    """Logs are refused with a text that no catalog lists, and that quotes the API key."""
    if exchange.method != "eth_getLogs":
        return False
    exchange.refuse(f"{ARCHIVE_ON_FIRE}: key a-secret-key")
    return True


def rate_limited(exchange: Exchange) -> bool:
    """Status 429 without Retry-After."""
    exchange.status, exchange.body = 429, b"slow down"
    return True


def rate_limited_with_retry_after(exchange: Exchange) -> bool:
    """Status 429 with Retry-After."""
    exchange.headers["Retry-After"] = "0.05"
    return rate_limited(exchange)


def unavailable(exchange: Exchange) -> bool:
    """Status 503 of a proxy in between."""
    exchange.status, exchange.body = 503, b"<html><title>503 Service Temporarily Unavailable</title></html>"
    return True


def _refuse_range(exchange: Exchange, blocks: int, text: str, *, status: int) -> bool:
    if exchange.range is None or exchange.range[1] - exchange.range[0] + 1 <= blocks:
        return False
    exchange.refuse(text, code=-32600, status=status)
    return True


# Responses that are no JSON-RPC


def html_with_status_200(exchange: Exchange) -> bool:
    """An HTML page instead of JSON."""
    exchange.body = b"<html><body>Welcome to nginx!</body></html>"
    return True


def batch_reply(exchange: Exchange) -> bool:
    """A list of responses to one request."""
    exchange.body = json.dumps([{"jsonrpc": "2.0", "id": 1} | exchange.reply]).encode()
    return True


def left_out_of_a_batch(exchange: Exchange) -> bool:
    """A response of a batch is missing; the others are in another order than the requests."""
    exchange.left_out = exchange.in_batch
    return exchange.in_batch


def batch_answered_by_one(exchange: Exchange) -> bool:
    """One response to a batch of requests."""
    if exchange.in_batch:
        exchange.body = json.dumps({"jsonrpc": "2.0", "id": 1} | exchange.reply).encode()
    return exchange.in_batch


def answer_to_another_request(exchange: Exchange) -> bool:
    """The id is that of another request."""
    exchange.body = json.dumps({"jsonrpc": "2.0", "id": 987654321} | exchange.reply).encode()
    return True


def invalid_utf8(exchange: Exchange) -> bool:
    """The body is not UTF-8."""
    exchange.body = b'{"jsonrpc":"2.0","id":"\xff","result":"\xff"}'
    return True


def truncated_body(exchange: Exchange) -> bool:
    """The connection breaks in the middle of the response."""
    exchange.truncated = True
    return True


def truncated_json(exchange: Exchange) -> bool:
    """The JSON is cut off, though Content-Length matches."""
    whole = json.dumps({"jsonrpc": "2.0", "id": 1} | exchange.reply).encode()
    exchange.body = whole[: len(whole) // 2]
    return True


def slow_body(exchange: Exchange) -> bool:
    """The response comes after the timeout."""
    exchange.delay = 2.5
    return True


# Responses that are unusual and valid


def hex_with_leading_zeros(exchange: Exchange) -> bool:
    """Numbers have leading zeros."""
    numbers = ("number", "timestamp", "blockNumber", "logIndex", "transactionIndex")
    result = exchange.result
    if not isinstance(result, dict | list) or not result:
        return False
    items = result if isinstance(result, list) else [result]
    padded = [
        item | {key: "0x00" + item[key][2:] for key in numbers if key in item}
        for item in items
        if isinstance(item, dict)
    ]
    exchange.result = padded if isinstance(result, list) else padded[0]
    return True


def null_for_an_empty_list(exchange: Exchange) -> bool:
    """Where a list is empty, null."""
    replaced = _without_empty_lists(exchange.result)
    if replaced == exchange.result:
        return False
    exchange.result = replaced
    return True


def _without_empty_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty_lists(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_empty_lists(item) for item in value] or None
    return value


def upper_case_hex(exchange: Exchange) -> bool:
    """Addresses are in upper case."""
    return _edit_logs(exchange, lambda logs: [log | {"address": "0x" + log["address"][2:].upper()} for log in logs])


# Providers that cannot be used


def wrong_chain_id(exchange: Exchange) -> bool:
    """A node of another network."""
    if exchange.method != "eth_chainId":
        return False
    exchange.result = "0x5"
    return True


def invalid_key(exchange: Exchange) -> bool:
    """The API key is refused, and the error quotes it."""
    exchange.refuse("invalid api key: a-secret-key", status=401)
    return True


def no_block_receipts(exchange: Exchange) -> bool:
    """The provider does not offer eth_getBlockReceipts."""
    if exchange.method != "eth_getBlockReceipts":
        return False
    exchange.refuse("the method eth_getBlockReceipts does not exist/is not available", code=-32601)
    return True


def odd_receipts(exchange: Exchange) -> bool:
    """The last receipt of a block is null."""
    if exchange.method != "eth_getBlockReceipts" or not exchange.result:
        return False
    exchange.result = [*exchange.result[:-1], None]
    return True


def short_receipts(exchange: Exchange) -> bool:
    """The last receipt is missing."""
    if exchange.method != "eth_getBlockReceipts" or not exchange.result:
        return False
    exchange.result = exchange.result[:-1]
    return True


# Lists


PASSING: Sequence[Fault] = [
    short_log_list,
    empty_log_list,
    null_log_list,
    logs_of_another_block_hash,
    logs_of_two_hashes,
    duplicated_log_index,
    log_outside_the_range,
    log_outside_the_filter,
    removed_log,
    header_of_another_backend,
    null_block,
    missing_logs_bloom,
    missing_field,
    foreign_bloom,
    full_bloom,
    head_going_backwards,
    lagging_logs_answered_empty,
    lagging_logs_answered_by_an_error,
    pruned_history_answered_empty,
    pruned_history_answered_by_an_error,
    error_with_status_200,
    too_many_results,
    range_hint_with_status_400,
    range_hint_with_status_429,
    range_suggested,
    unknown_text_for_long_ranges,
    rate_limited,
    rate_limited_with_retry_after,
    unavailable,
    html_with_status_200,
    batch_reply,
    left_out_of_a_batch,
    batch_answered_by_one,
    answer_to_another_request,
    invalid_utf8,
    truncated_body,
    truncated_json,
    slow_body,
    hex_with_leading_zeros,
    null_for_an_empty_list,
    upper_case_hex,
]
"""Faults after which a provider recovers: an index made meanwhile is complete."""

HARMLESS: Sequence[Fault] = [
    left_out_of_a_batch,
    batch_answered_by_one,
    missing_logs_bloom,
    hex_with_leading_zeros,
    null_for_an_empty_list,
    upper_case_hex,
    too_many_results,
    range_hint_with_status_400,
    range_hint_with_status_429,
    range_suggested,
    unknown_text_for_long_ranges,
]
"""Faults that an index is made in spite of, however long they last."""

LASTING: Sequence[tuple[Fault, str]] = [
    (empty_log_list, "A range with block 2 came back empty, though that block holds logs"),
    (null_log_list, "A range with block 2 came back empty, though that block holds logs"),
    (logs_of_another_block_hash, "the node answers from two branches"),
    (logs_of_two_hashes, "logs of two different blocks"),
    (duplicated_log_index, "returned log 0 of block .* twice"),
    (log_outside_the_range, "returned a log of block 1048575"),
    (log_outside_the_filter, "0xabab.*, which was not requested"),
    (removed_log, "a log that a reorg removed"),
    (header_of_another_backend, "the node switched branches"),
    (null_block, "no latest block"),
    (missing_field, "missing required field `receiptsRoot`"),
    (foreign_bloom, "bloom excludes.*RPC_URLS.*TRUST_BLOOM=off"),
    (full_bloom, "receipts of block 17 do not make up its bloom.*RPC_URLS.*TRUST_BLOOM=off"),
    (lagging_logs_answered_by_an_error, "block range extends beyond current head block"),
    (pruned_history_answered_by_an_error, "pruned history unavailable"),
    (error_with_status_200, "Internal error"),
    (rate_limited, r"\(HTTP 429\): slow down"),
    (unavailable, "503 Service Temporarily Unavailable"),
    (html_with_status_200, "without JSON-RPC: .*Welcome to nginx"),
    (batch_reply, "without JSON-RPC"),
    (answer_to_another_request, "the answer to another request"),
    (invalid_utf8, "without JSON-RPC"),
    (truncated_body, "did not answer"),
    (truncated_json, "without JSON-RPC"),
    (slow_body, "did not answer .*Timeout"),
    (invalid_key, r"\(HTTP 401\): invalid api key: \*\*\*"),
]
"""Faults that stop the indexer as long as they last, with the reason that it logs (a regular expression)."""
