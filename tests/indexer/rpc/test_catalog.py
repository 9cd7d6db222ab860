"""Every known refusal text of a provider, in a whole error body, and how it is classified."""

from typing import Any

import msgspec
import pytest

from indexer.rpc.catalog import CATALOG, RefusalText, refusal_of
from indexer.rpc.errors import NoAnswer, RpcError
from indexer.rpc.refusals import (
    BackOff,
    GiveUp,
    HalveQuery,
    HistoryGone,
    LimitExceeded,
    Refusal,
    Reverted,
    ShrinkTo,
    SmallerBatch,
    SplitAddresses,
    Unknown,
    UseRange,
    WaitForHead,
)
from indexer.rpc.reply import Reply, result_of
from indexer.rpc.request import Request

ASKED = 100_000
"""Blocks in the query that was refused."""

Row = tuple[str, int | None, str, Any, Refusal]
"""Who, the error's code, its message, its data, and what it asks for."""

SPANS: list[Row] = [
    (
        "Avalanche",
        -32000,
        "requested too many blocks from 1000 to 9000, maximum is set to 2048",
        None,
        ShrinkTo(2_048),
    ),
    ("Cloudflare", -32047, "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800", None,
     ShrinkTo(800)),
    ("thirdweb", -32602, "Maximum allowed number of requested blocks is 1000", None, ShrinkTo(1_000)),
    ("Tenderly", -32602, "invalid params", "range 123456 is bigger than range limit 100000", ShrinkTo(100_000)),
    ("Infura", -32602, "range 2000000 exceeds limit of 10000", None, ShrinkTo(10_000)),
    ("QuickNode", -32614, "eth_getLogs is limited to a 10,000 range", None, ShrinkTo(10_000)),
    ("Blast", -32600, "eth_getLogs is limited to a 1024 blocks range", None, ShrinkTo(1_024)),
    ("BlockPI", -32000, "eth_getLogs range is limited to 1024 block. Upgrade for more.", None, ShrinkTo(1_024)),
    ("Blast paid", -32600, "exceeds the range allowed for your plan (3000 > 1500)", None, ShrinkTo(1_500)),
    ("Chainstack", -32000, "Block range limit exceeded.", None, ShrinkTo(10_000)),
    ("Coinbase", -32602, "please limit the query to at most 1000 blocks", None, ShrinkTo(1_000)),
    ("PublicNode", -32701, "exceed maximum block range: 50000", None, ShrinkTo(50_000)),
    ("BSC", -32000, "maximum block range: 5,000", None, ShrinkTo(5_000)),
    ("Tron", -32000, "exceed max block range: 5000", None, ShrinkTo(5_000)),
    ("Hyperliquid", -32602, "query exceeds max block range 1000", None, ShrinkTo(1_000)),
    ("Swell", -32602, "block range greater than 20000 max", None, ShrinkTo(20_000)),
    ("Somnia", -32000, "block range exceeds 1000", None, ShrinkTo(1_000)),
    ("Morph", -32000, "block range is larger than max block range, block range = 9999, max block range = 2000", None,
     ShrinkTo(2_000)),
    ("Merkle", -32600, "eth_getLogs range is too large, max is 1k blocks", None, ShrinkTo(1_000)),
    ("Harmony", -32000, "query must be smaller than size 1,024", None, ShrinkTo(1_024)),
    ("Moonriver", -32603, "block range is too wide (maximum 1024)", None, ShrinkTo(1_024)),
    ("Alchemy free", -32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. "
     "Based on your parameters, this block range should work: [0x2710, 0x2719]. Upgrade to PAYG for expanded range.",
     None, ShrinkTo(10)),
    ("World Chain", -32600, "You can make eth_getLogs requests with up to a 500 block range.", None, ShrinkTo(500)),
    ("Aurora", -32602, "requests are allowed with up to a 2K block range", None, ShrinkTo(2_000)),
    ("Ankr/TAC", -32000, "maximum [from, to] blocks distance: 10000", None, ShrinkTo(10_000)),
    ("Sei", -32000, "block range too large (12000), maximum allowed is 2000 blocks", None, ShrinkTo(2_000)),
    ("Ankr", -32600, "block range is too wide", None, ShrinkTo(3_000)),
    ("Base", -32602, "block range too large", None, ShrinkTo(2_000)),
    ("1RPC", -32000, "eth_getLogs is limited to 0 - 10000 blocks range", None, ShrinkTo(ASKED // 2)),
    ("eRPC", -32012, "query for logs over more blocks than allowed", None, ShrinkTo(ASKED // 2)),
    ("eRPC", -32012, "eth_getLogs range limit exceeded", None, ShrinkTo(ASKED // 2)),
    ("eRPC", -32012, "requested span exceeds the range of this endpoint", None, ShrinkTo(ASKED // 2)),
    ("dRPC", 35, "ranges over 10000 blocks are not supported on freetier", None, ShrinkTo(10_000)),
    ("Altitude", -32000, "allowed block range threshold exceeded", None, ShrinkTo(ASKED // 2)),
    ("eRPC", -32012, "blocks in query exceeded max allowed", None, ShrinkTo(ASKED // 2)),
    ("eRPC", -32012, "getLogs request exceeded: range threshold exceeded", None, ShrinkTo(ASKED // 2)),
    ("Besu", -32005, "Requested range exceeds maximum RPC range limit", None, ShrinkTo(ASKED // 2)),
    ("Besu", -32005, "exceeds maximum RPC range", None, ShrinkTo(ASKED // 2)),
    ("cdk-erigon", -32005, "block range too large, max range: 1000", None, ShrinkTo(1_000)),
    ("Erigon", -32602, "query block range exceeds server limit, requested 100000, limit 2000", None, ShrinkTo(2_000)),
    ("Lotus", 1, "invalid epoch range: range between to and from heights is too large (maximum: 2880)", None,
     ShrinkTo(2_880)),
    ("Scroll", -32000, "block range is bigger than maxBlockRange", None, ShrinkTo(ASKED // 2)),
    ("Candle", -32600, "block range too high", None, ShrinkTo(ASKED // 2)),
    ("Ankr", -32600, "block range is too wide: 5000 is the most", None, ShrinkTo(ASKED // 2)),
    ("a plan", -32000, "Block range limit exceeded: at most 5,000 blocks", None, ShrinkTo(5_000)),
    ("a slow node", -32000, "range too wide: it takes more than 30 seconds", None, ShrinkTo(ASKED // 2)),
    ("a range of no blocks", -32000, "Max range: 0", None, ShrinkTo(ASKED // 2)),
    ("no range at all", -32000, "too many blocks in one query, limit: 250000", None, ShrinkTo(ASKED // 2)),
]  # fmt: skip
RANGES: list[Row] = [
    ("Alchemy", -32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and "
     "no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based "
     "on your parameters and the response size limit, this block range should work: [0xc5dc00, 0xc614a7]", None,
     UseRange(0xC5DC00, 0xC614A7)),
    ("Alchemy inverted", -32602, "Log response size exceeded. this block range should work: [0x200, 0x100]", None,
     UseRange(0x100, 0x200)),
    ("Infura", -32005, "query returned more than 10000 results. Try with this block range [0x1E4B22, 0x1E4C11].",
     {"from": "0x1E4B22", "limit": 10000, "to": "0x1E4C11"}, UseRange(0x1E4B22, 0x1E4C11)),
    ("zkSync", -32602, "Query returned more than 10000 results. Try with this block range [0x10, 0x20].", None,
     UseRange(0x10, 0x20)),
    ("Envio", -32005, "query exceeds max results 20000, retry with the range 14720000-14720025", None,
     UseRange(14_720_000, 14_720_025)),
]  # fmt: skip
RESULTS: list[Row] = [
    ("Infura", -32005, "query returned more than 10000 results", None, HalveQuery()),
    ("LlamaRPC", -32005, "query exceeds max results 20000", None, HalveQuery()),
    ("Ankr", -32005, "query exceeds max results", None, HalveQuery()),
    ("Arbitrum", -32000, "logs matched by query exceeds limit of 10000", None, HalveQuery()),
    ("HyperRPC", -32000, "More than 50000 logs", None, HalveQuery()),
    ("HyperRPC", -32000, "61234 logs returned", None, HalveQuery()),
    ("HyperRPC", -32000, "too many logs", None, HalveQuery()),
    ("1RPC", -32000, "response size should not greater than 10000000 bytes", None, HalveQuery()),
    ("Optimism", -32020, "backend response too large", None, HalveQuery()),
    ("Optimism", -32020, "Block range is too large", None, HalveQuery()),
    ("reth", -32008, "Response is too big", "Exceeded max limit of 167772160", HalveQuery()),
    ("Alchemy", -32602, "Log response size exceeded.", None, HalveQuery()),
    ("eRPC", -32000, "query timeout exceeded", None, HalveQuery()),
    ("eRPC", -32000, "query exceeds limit", None, HalveQuery()),
    ("eRPC", -32000, "too many results", None, HalveQuery()),
    ("eRPC", -32000, "response too long, try paginating", None, HalveQuery()),
    ("geth", -32003, "response too large", None, HalveQuery()),
    ("a gateway", -32603, "The result set exceeds 10MB", None, HalveQuery()),
    ("a gateway", -32000, "too many events in the requested blocks", None, HalveQuery()),
]
ADDRESSES: list[Row] = [
    ("eRPC", -32602, "please specify less number of addresses", None, SplitAddresses()),
    ("Alchemy", -32602, "exceed max addresses or topics per search position", None, SplitAddresses()),
    ("Infura", -32602, "This query contains 6000 filters. The current limit is 5000.", None, SplitAddresses()),
]
RATES: list[Row] = [
    ("Infura", -32005, "project ID request rate exceeded", {"rate": {"allowed_rps": 10}}, BackOff()),
    ("Infura", -32005, "exceeded project rate limit", None, BackOff()),
    ("BSC", -32005, "method eth_getLogs in batch triggered rate limit", None, BackOff()),
    ("all", 429, "Too Many Requests", None, BackOff()),
    ("eRPC", -32000, "requests limited to 25/sec", None, BackOff()),
    ("Alchemy", 429, "Your app has exceeded its compute units per second capacity.", None, BackOff()),
    ("eRPC", -32000, "Exceeded the quota usage", None, BackOff()),
    ("eRPC", -32000, "server under too much load", None, BackOff()),
    ("QuickNode", -32007, "50/second request limit reached - reduce calls per second", None, BackOff()),
    ("eRPC", -32000, "You have reached the quota of your plan", None, BackOff()),
    ("Alchemy", 429, "Monthly capacity limit exceeded. Visit the dashboard to upgrade.", None, BackOff()),
    ("dRPC", 15, "You've reached the free tier limit", None, BackOff()),
    ("Tenderly", -32005, "quota of compute units", None, BackOff()),
]
UNCLEAR: list[Row] = [
    ("rindexer", -32005, "limit exceeded", None, LimitExceeded()),
    ("a plan", -32000, "this call exceeds the limit of your plan", None, LimitExceeded()),
    ("a bare code", -32005, "", None, LimitExceeded()),
]
LATE: list[Row] = [
    ("Avalanche", -32000, "requested to block 123 after last accepted block 120", None, WaitForHead()),
    ("Avalanche", -32000, "cannot query unfinalized data", None, WaitForHead()),
    ("reth", -32602, "block range extends beyond current head block", None, WaitForHead()),
    ("geth", -32000, "block range extends beyond current head block", None, WaitForHead()),
    ("Erigon", -32000, "requested block range [100, 200] is beyond latest executed block 150", None, WaitForHead()),
    ("geth", -32000, "invalid block range params", None, WaitForHead()),
    ("Hyperliquid", -32603, "invalid block height: 9123456", None, WaitForHead()),
    ("eRPC", -32014, "block not found with number 0x1b4", None, WaitForHead()),
    ("eRPC, its code alone", -32014, "missing data", None, WaitForHead()),
    ("geth", -32000, "hash 0xabc is not currently canonical", None, WaitForHead()),
    ("geth, logs by a hash", -32000, "unknown block", None, WaitForHead()),
]
GONE: list[Row] = [
    ("Sei", -32000, "height is not available (requested height: 100, base height: 5000)", None, HistoryGone()),
    ("geth", -32000, "missing trie node 7e1f (path ) state 0x7e1f is not available", None, HistoryGone()),
    ("geth", -32000, "header not found", None, HistoryGone()),
    ("geth", -32000, "required historical state unavailable (reexec=128)", None, HistoryGone()),
    ("Nethermind", -32002, "No state available for block 0x1b4", None, HistoryGone()),
    ("geth", 4444, "pruned history unavailable", None, HistoryGone()),
    ("Erigon", -32000, "old data not available due to pruning", None, HistoryGone()),
    ("reth", -32000, "state at block #12 is pruned", None, HistoryGone()),
]
BATCHES: list[Row] = [
    ("Erigon", -32000, "batch limit 100 exceeded: 142 requests given", None, SmallerBatch(100)),
    ("dRPC", 31, "Batch of more than 3 requests are not allowed on free tier", None, SmallerBatch(3)),
    ("jsonrpsee", -32010, "The batch request was too large", "Exceeded max limit of 50", SmallerBatch(50)),
    ("Besu", -32602, "Number of requests in batch exceeds max batch size", None, SmallerBatch()),
    ("OnFinality", -32600, "Batch size is too large", None, SmallerBatch()),
    ("OnFinality", -32600, "Batch size limit exceeded", None, SmallerBatch()),
    ("nginx", None, "<html><title>413 Request Entity Too Large</title></html>", None, SmallerBatch()),
    ("axum", None, "Failed to buffer the request body: length limit exceeded", None, SmallerBatch()),
]
HOPELESS: list[Row] = [
    ("all", -32700, "parse error", None, GiveUp()),
    ("all", -32601, "the method eth_getBlockReceipts does not exist/is not available", None, GiveUp()),
    ("all", -32004, "method not supported", None, GiveUp()),
    ("all", -32006, "JSON-RPC version not supported", None, GiveUp()),
    ("Infura", -32000, "invalid api key", None, GiveUp()),
    ("Ankr", -32000, "Unauthorized: you must authenticate your request", None, GiveUp()),
    ("all", -32600, "eth_getBlockReceipts is not available on your current plan", None, GiveUp()),
]
REVERTED: list[Row] = [
    ("geth", 3, "execution reverted: limit exceeded", "0x08c379a0", Reverted()),
    ("anvil", 3, "execution reverted", "0xceea21b6", Reverted()),
    (
        "Hardhat",
        -32603,
        "Error: VM Exception while processing transaction: reverted with an unrecognized custom error",
        None,
        Reverted(),
    ),
]
NEVER_SEEN: list[Row] = [
    ("a bug", -32603, "Internal error", None, Unknown()),
    ("Base", -32011, "no backend is currently healthy to serve traffic", None, Unknown()),
    ("Frontier", -32603, "query timeout of 10 seconds exceeded", None, Unknown()),
    ("geth", -32002, "request timed out", None, Unknown()),
    ("a new text", -32000, "the moon is in the wrong house", None, Unknown()),
]
ROWS = SPANS + RANGES + RESULTS + ADDRESSES + RATES + UNCLEAR + LATE + GONE + BATCHES + HOPELESS + REVERTED + NEVER_SEEN


URL = "https://rpc.example/v2/a-secret-key"
LOGS = Request(7, "eth_getLogs", [{"fromBlock": hex(1_000), "toBlock": hex(1_000 + ASKED - 1), "address": []}])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[2][:40]}")
def test_a_known_text_has_its_outcome_in_a_whole_error_body(row: Row) -> None:
    _, code, message, data, refusal = row
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 7, "error": error})
    assert refused(Reply(200, body)).refusal == refusal


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[2][:40]}")
def test_case_does_not_matter(row: Row) -> None:
    _, code, message, data, refusal = row
    text = f"{message}, {data}".upper().replace("0X", "0x")
    assert refusal_of(text, code=code, span=ASKED) == refusal


@pytest.mark.parametrize("said", CATALOG, ids=lambda said: said.pattern.pattern[:60])
def test_no_row_of_the_catalog_is_hidden_by_those_before_it(said: RefusalText) -> None:
    deciding = [
        next((row for row in CATALOG if row.pattern.search(f"{message}, {data}")), None)
        for _, _, message, data, _ in ROWS
    ]
    assert said in deciding


@pytest.mark.parametrize(
    ("status", "body", "refusal"),
    [
        (400, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"up to a 10 block range"}}', ShrinkTo(10)),
        (429, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"Max range: 800"}}', ShrinkTo(800)),
        (429, b'{"message":"slow down","code":429}', BackOff()),
        (200, b'{"message":"Too Many Requests"}', BackOff()),
        (200, b'{"error":"Too Many Requests"}', BackOff()),
        (413, b"<html><title>413 Request Entity Too Large</title></html>", SmallerBatch()),
        (
            413,
            b'{"jsonrpc":"2.0","id":56,"error":{"code":-32614,"message":"eth_getLogs is limited to a 10,000 range"}}',
            ShrinkTo(10_000),
        ),
        (413, b"", SmallerBatch()),
        (429, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}', BackOff()),
        (503, b"<html><title>503 Service Temporarily Unavailable</title></html>", Unknown()),
        (504, b"<html><title>504 Gateway Time-out</title></html>", Unknown()),
        (502, b"", Unknown()),
        (500, b"[" * 100_000, Unknown()),
        (500, b'{"error":{"message":"\xff"}}', Unknown()),
        (301, b"moved", Unknown()),
    ],
)
def test_the_body_of_an_http_error_reaches_the_one_who_decides(status: int, body: bytes, refusal: Refusal) -> None:
    assert refused(Reply(status, body)).refusal == refusal


@pytest.mark.parametrize(("status", "refusal"), [
    (429, BackOff()), (404, GiveUp()), (405, GiveUp()), (501, GiveUp()), (505, GiveUp()), (401, GiveUp()),
    (500, Unknown()), (502, Unknown()), (400, Unknown()),
])  # fmt: skip
def test_a_status_decides_where_the_text_says_nothing(status: int, refusal: Refusal) -> None:
    assert refusal_of("<html>sorry</html>", status=status) == refusal


def test_a_hint_in_the_body_of_an_http_error_counts_for_more_than_its_status() -> None:
    assert refusal_of("up to a 10 block range", status=429) == ShrinkTo(10)
    assert refusal_of("Max range: 800", status=400) == ShrinkTo(800)


def test_the_time_that_a_provider_asks_for_is_kept() -> None:
    assert refusal_of("Too Many Requests", status=429, retry_after=7.0) == BackOff(7.0)
    assert refusal_of("503 Service Unavailable", status=503, retry_after=3.0) == BackOff(3.0)


@pytest.mark.parametrize(("span", "blocks"), [(None, 10_000), (50_000, 10_000), (10_000, 100), (150, 75), (1, 1)])
def test_a_limit_without_a_number_is_searched_from_what_was_asked(span: int | None, blocks: int) -> None:
    assert refusal_of("Block range limit exceeded.", span=span) == ShrinkTo(blocks)


@pytest.mark.parametrize(
    ("number", "blocks"), [("10,000", 10_000), ("10.000", 10_000), ("2K", 2_000), ("2.5k", 2_500), ("500.", 500)]
)
def test_numbers_are_read_as_people_write_them(number: str, blocks: int) -> None:
    assert refusal_of(f"maximum block range: {number}") == ShrinkTo(blocks)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[]",
        b"{}",
        b'{"jsonrpc":"2.0","id":7}',
        b'{"id":8,"result":"0x1"}',
        b'{"id":7,"result":"0x',
        b'{"id":7,"result":' + b"[" * 100_000,
        b'{"id":"\xff","result":"0x1"}',
    ],
)
def test_what_is_no_answer_to_this_request_is_none(body: bytes) -> None:
    with pytest.raises(NoAnswer, match=r"^https://rpc\.example/\.\.\. answered eth_getLogs "):
        result_of(URL, LOGS, Reply(200, body))


@pytest.mark.parametrize("id", [b"7", b'"7"', b"null"])
def test_a_result_counts_however_its_id_is_written(id: bytes) -> None:
    assert bytes(result_of(URL, LOGS, Reply(200, b'{"id":' + id + b',"result":"0x1"}'))) == b'"0x1"'


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("1.5", 1.5), ("soon", None), ("nan", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), (None, None)],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert refused(Reply(429, b"slow down", header)).refusal == BackOff(seconds)


def test_a_provider_that_quotes_the_key_does_not_make_us_tell_it() -> None:
    url = "https://user:passw0rd@rpc.example/v2/a-secret-key?token=another%20key"
    body = b'{"error":{"code":-1,"message":"a-secret-key, another key, passw0rd and token=another%20key are wrong"}}'
    with pytest.raises(RpcError) as caught:
        result_of(url, LOGS, Reply(200, body))
    assert str(caught.value) == (
        "https://rpc.example/... answered eth_getLogs with an error: ***, ***, *** and *** are wrong"
    )


def refused(reply: Reply) -> RpcError:
    with pytest.raises(RpcError) as caught:
        result_of(URL, LOGS, reply)
    return caught.value
