"""What providers say when they refuse, and what it means.

Codes are reused for different things (-32005 is range, results and rate), so the text decides and the first row that
fits wins: exact words before loose ones. Matched without case in message, data and HTTP body alike.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from indexer.rpc.refusals import (
    BackOff,
    GiveUp,
    HalveQuery,
    HistoryGone,
    Refusal,
    Reverted,
    ShrinkTo,
    SmallerBatch,
    SplitAddresses,
    Unknown,
    UseRange,
    WaitForHead,
)

TOO_MANY_REQUESTS = 429
SERVICE_UNAVAILABLE = 503


def refusal_of(
    text: str,
    *,
    code: int | None = None,
    status: int | None = None,
    span: int | None = None,
    retry_after: float | None = None,
) -> Refusal:
    """Returns what an error asks for.

    `text` is all that the provider said, `span` the number of blocks that were asked for, `retry_after` in seconds.
    """
    if status == SERVICE_UNAVAILABLE and retry_after is not None:
        return BackOff(retry_after)
    for said in CATALOGUE:
        match = said.pattern.search(text)
        if match is not None and (refusal := said.make(match, span)) is not None:
            return BackOff(retry_after) if isinstance(refusal, BackOff) else refusal
    if status == TOO_MANY_REQUESTS:
        return BackOff(retry_after)
    if code in MEANING_OF_CODES:
        return MEANING_OF_CODES[code]
    return GiveUp() if status in HOPELESS_STATUSES else Unknown()


Maker = Callable[[re.Match[str], int | None], Refusal | None]


class Said(Struct, frozen=True):
    """One text. `who` says it; `make` returns None where the words fit but say nothing (a range of no blocks)."""

    pattern: re.Pattern[str]
    make: Maker
    who: str


def _says(pattern: str, make: Maker | Refusal, who: str) -> Said:
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    if callable(make):
        return Said(compiled, make, who)
    fixed: Refusal = make
    return Said(compiled, lambda match, span: fixed, who)


# What a row makes of its numbers


def _shrink(match: re.Match[str], span: int | None) -> Refusal | None:
    blocks = _number(match[1])
    return ShrinkTo(blocks) if blocks > 0 else None


def _shrink_to(blocks: int) -> Maker:
    """Returns a maker for a limit that the provider has but does not tell; half the range where it is asked within."""

    def make(match: re.Match[str], span: int | None) -> Refusal:
        return ShrinkTo(blocks) if span is None or span > blocks else ShrinkTo(max(span // 2, 1))

    return make


def _shrink_by_half(match: re.Match[str], span: int | None) -> Refusal:
    return HalveQuery() if span is None else ShrinkTo(max(span // 2, 1))


def _shrink_to_a_plan(match: re.Match[str], span: int | None) -> Refusal:
    paid, free = 10_000, 100
    return ShrinkTo(paid) if span is None or span > paid else ShrinkTo(min(free, max(span // 2, 1)))


def _use_range(match: re.Match[str], span: int | None) -> Refusal:
    first, last = sorted(int(match[part], 0) for part in (1, 2))  # Alchemy has sent them inverted
    return UseRange(first, last)


def _number(text: str) -> int:
    """Returns "10,000", "10.000", "2K" or "2.5k" as a number."""
    digits = text.strip().rstrip(".,").lower()
    if digits.endswith("k"):
        return int(float(digits[:-1].replace(",", "")) * 1_000)
    return int(re.sub(r"[.,]", "", digits))


BLOCKS = r"(\d[\d,.]*k?)"
RANGE = r"\[\s*(0x[0-9a-f]+)\s*,\s*(0x[0-9a-f]+)\s*\]"

CATALOGUE: tuple[Said, ...] = (
    # What a contract says may hold any of the words below
    _says(r"execution reverted|vm exception while processing transaction: revert", Reverted(), "geth, Hardhat"),
    # A plan's span, told beside a range that works: without the first words, the range is about the answer's size
    _says(rf"^(?!.*response size).*up to an? {BLOCKS} block range", _shrink, "Alchemy, Aurora, World Chain"),
    # A range that works
    _says(rf"this block range should work:?\s*{RANGE}", _use_range, "Alchemy"),
    _says(rf"try with this block range:?\s*{RANGE}", _use_range, "Infura, zkSync, thirdweb, Tenderly"),
    _says(r"retry with the range (\d+)\s*-\s*(\d+)", _use_range, "Envio, Squid"),
    # A span cap with its number
    _says(r"requested too many blocks from \d+ to \d+, maximum is set to (\d+)", _shrink, "Avalanche"),
    _says(r"max range: (\d+)", _shrink, "Cloudflare"),
    _says(r"maximum allowed number of requested blocks is (\d+)", _shrink, "thirdweb"),
    _says(r"range \d+ is bigger than range limit (\d+)", _shrink, "thirdweb, Tenderly"),
    _says(r"range \d+ exceeds limit of (\d+)", _shrink, "Infura"),
    _says(rf"limited to an? {BLOCKS}", _shrink, "QuickNode, 1RPC, Blast"),
    _says(rf"limited to {BLOCKS} block", _shrink, "BlockPI"),
    _says(r"exceeds the range allowed for your plan \(\d+ > (\d+)\)", _shrink, "Blast"),
    _says(rf"please limit the query to at most {BLOCKS} blocks", _shrink, "Coinbase"),
    _says(rf"maximum block range:? {BLOCKS}", _shrink, "PublicNode, BSC, Ankr"),
    _says(r"exceed max block range:? (\d+)", _shrink, "Tron"),
    _says(rf"query exceeds max block range {BLOCKS}", _shrink, "Hyperliquid"),
    _says(rf"block range greater than {BLOCKS} max", _shrink, "Swell"),
    _says(rf"block range exceeds {BLOCKS}", _shrink, "Somnia"),
    _says(r"block range is larger than max block range, .*max block range = (\d+)", _shrink, "Morph"),
    _says(rf"range is too large, max is {BLOCKS} blocks", _shrink, "Merkle"),
    _says(rf"query must be smaller than size {BLOCKS}", _shrink, "Harmony"),
    _says(r"block range is too wide \(maximum (\d+)\)", _shrink, "Moonriver"),
    _says(r"maximum \[from, to\] blocks distance: (\d+)", _shrink, "Ankr, TAC"),
    _says(r"block range too large \(\d+\), maximum allowed is (\d+) blocks", _shrink, "Sei"),
    _says(rf"ranges over {BLOCKS} blocks are not supported", _shrink, "dRPC"),
    # An answer too big
    _says(r"query returned more than \d+ results", HalveQuery(), "Infura, Polygon zkEVM"),
    _says(r"query exceeds max results", HalveQuery(), "LlamaRPC, Ankr"),
    _says(r"logs matched by query exceeds limit of \d+", HalveQuery(), "Arbitrum"),
    _says(r"more than \d+ logs|\d+ logs returned|too many logs", HalveQuery(), "HyperRPC"),
    _says(r"response size should not greater than \d+ bytes", HalveQuery(), "1RPC"),
    _says(r"backend response too large|block range is too large", HalveQuery(), "Optimism"),
    _says(r"response is too big|exceeded max limit of \d+", HalveQuery(), "reth, jsonrpsee"),
    _says(r"log response size exceeded", HalveQuery(), "Alchemy"),
    _says(r"query timeout exceeded|query exceeds limit|too many results|try paginating", HalveQuery(), "eRPC's list"),
    _says(r"503 service (temporarily )?unavailable|servererror\(-3200[05]\)", HalveQuery(), "graph-node's list"),
    _says(r"no backend is currently healthy to serve traffic", HalveQuery(), "Base"),
    # A span cap without its number
    _says(r"block range limit exceeded", _shrink_to_a_plan, "Chainstack"),
    _says(r"block range is too wide", _shrink_to(3_000), "Ankr"),
    _says(r"block range too large", _shrink_to(2_000), "Base, Monad"),
    _says(r"eth_getlogs is limited|logs over more|range limit exceeded", _shrink_by_half, "eRPC's list"),
    _says(r"range threshold exceeded|exceeded max allowed", _shrink_by_half, "Altitude, eRPC"),
    _says(r"exceeds the range", _shrink_by_half, "eRPC's list"),
    # Too many addresses
    _says(r"specify less number of address", SplitAddresses(), "eRPC's list"),
    _says(r"exceed max addresses or topics per search position", SplitAddresses(), "Alchemy, dRPC, geth"),
    _says(r"this query contains \d+ filters", SplitAddresses(), "Infura"),
    # Not there yet
    _says(r"after last accepted block|cannot query unfinalized data", WaitForHead(), "Avalanche"),
    _says(r"block range extends beyond current head block", WaitForHead(), "reth, geth"),
    _says(r"requested block range .*is beyond latest executed block", WaitForHead(), "Erigon"),
    _says(r"invalid block range params", WaitForHead(), "geth"),
    _says(r"invalid block height", WaitForHead(), "Hyperliquid"),
    _says(r"block not found with number", WaitForHead(), "eRPC"),
    _says(r"not currently canonical|unknown block\b", WaitForHead(), "geth"),
    # Not there any more
    _says(r"height is not available.*base height", HistoryGone(), "Sei"),
    _says(r"missing trie node|header not found", HistoryGone(), "geth"),
    _says(r"\bprun(ed|ing)\b|historical state .*not available", HistoryGone(), "geth, Erigon, reth"),
    _says(r"historical state unavailable|no state available for block", HistoryGone(), "geth, Nethermind"),
    # A body too big
    _says(r"batch size (is too large|limit exceeded)", SmallerBatch(), "OnFinality"),
    _says(r"request entity too large|failed to buffer the request body", SmallerBatch(), "proxies"),
    # Who may not ask at all
    _says(r"invalid api key|unauthori[sz]ed|api key .*(not valid|disabled|missing)", GiveUp(), "all"),
    # Too often
    _says(r"triggered rate limit", BackOff(), "BSC"),
    _says(r"rate.?limit|request rate exceeded|too many requests|requests limited to", BackOff(), "Infura, all"),
    _says(r"has exceeded|exceeded the quota|under too much load|request limit reached", BackOff(), "eRPC's list"),
    _says(r"reached the quota|monthly capacity limit|reached the free tier", BackOff(), "eRPC's list"),
    _says(r"limit exceeded|\bquota\b|throttl", BackOff(), "rindexer's list"),
)

PARSE_ERROR, METHOD_NOT_FOUND, METHOD_NOT_SUPPORTED, VERSION_NOT_SUPPORTED = -32700, -32601, -32004, -32006
MISSING_DATA, LIMIT_EXCEEDED = -32014, -32005

MEANING_OF_CODES: dict[int | None, Refusal] = {
    PARSE_ERROR: GiveUp(),
    METHOD_NOT_FOUND: GiveUp(),
    METHOD_NOT_SUPPORTED: GiveUp(),
    VERSION_NOT_SUPPORTED: GiveUp(),
    MISSING_DATA: WaitForHead(),
    LIMIT_EXCEEDED: BackOff(),
}
"""For texts that say nothing."""

HOPELESS_STATUSES = frozenset({401, 403, 404, 405, 501, 505})
