"""The texts of providers' refusals, and what each means.

Providers use one code for different things (-32005 means range, results or rate), so the text decides. The first row
that matches wins: exact texts come before loose ones. Message, data and HTTP body are searched, ignoring case.
"""

import re
from collections.abc import Callable

from msgspec import Struct

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

CONTENT_TOO_LARGE = 413
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
    """Returns what an error means.

    `text` is the provider's whole error, `span` the number of requested blocks, `retry_after` in seconds.
    """
    if status == SERVICE_UNAVAILABLE and retry_after is not None:
        return BackOff(retry_after)
    for row in CATALOG:
        match = row.pattern.search(text)
        if match is not None and (refusal := row.make(match, span)) is not None:
            is_rate = status == TOO_MANY_REQUESTS and isinstance(refusal, LimitExceeded)
            return BackOff(retry_after) if is_rate or isinstance(refusal, BackOff) else refusal
    if status == TOO_MANY_REQUESTS:
        return BackOff(retry_after)
    if code in MEANING_OF_CODES:
        return MEANING_OF_CODES[code]
    return MEANING_OF_STATUSES.get(status, Unknown())


Maker = Callable[[re.Match[str], int | None], Refusal | None]


class RefusalText(Struct, frozen=True):
    """A text and the providers that send it. `make` returns None if the text matches without meaning: a range of 0."""

    pattern: re.Pattern[str]
    make: Maker
    providers: str


def _row(pattern: str, make: Maker | Refusal, providers: str) -> RefusalText:
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    if callable(make):
        return RefusalText(compiled, make, providers)
    fixed: Refusal = make
    return RefusalText(compiled, lambda match, span: fixed, providers)


# What a row makes of the numbers in a text


def _shrink(match: re.Match[str], span: int | None) -> Refusal | None:
    blocks = _number(match[1])
    return ShrinkTo(blocks) if blocks > 0 else None


def _shrink_to(blocks: int) -> Maker:
    """Returns a maker for a limit that the text does not name; half the range if the request kept to that limit."""

    def make(match: re.Match[str], span: int | None) -> Refusal:
        return ShrinkTo(blocks) if span is None or span > blocks else ShrinkTo(max(span // 2, 1))

    return make


def _shrink_by_half(match: re.Match[str], span: int | None) -> Refusal:
    return HalveQuery() if span is None else ShrinkTo(max(span // 2, 1))


def _shrink_to_a_plan(match: re.Match[str], span: int | None) -> Refusal:
    paid, free = 10_000, 100
    return ShrinkTo(paid) if span is None or span > paid else ShrinkTo(min(free, max(span // 2, 1)))


def _shrink_to_a_number(match: re.Match[str], span: int | None) -> Refusal:
    """Returns the largest limit in the text that is below the refused range, else half the range."""
    numbers = [_number(number) for number in STATED_LIMIT.findall(match.string)]
    limit = max((number for number in numbers if 1 < number < (span or 0)), default=0)
    return ShrinkTo(limit) if limit else _shrink_by_half(match, span)


def _smaller_batch(match: re.Match[str], span: int | None) -> Refusal:
    numbers = [_number(number) for number in STATED_LIMIT.findall(match.string)]
    return SmallerBatch(min((number for number in numbers if number > 0), default=None))


def _use_range(match: re.Match[str], span: int | None) -> Refusal:
    first, last = sorted(int(match[part], 0) for part in (1, 2))  # Alchemy has sent them inverted
    return UseRange(first, last)


def _number(text: str) -> int:
    """Parses "10,000", "10.000", "2K" or "2.5k"."""
    digits = text.strip().rstrip(".,").lower()
    if digits.endswith("k"):
        return int(float(digits[:-1].replace(",", "")) * 1_000)
    return int(re.sub(r"[.,]", "", digits))


BLOCKS = r"(\d[\d,.]*k?)"
RANGE_WORDS = r"\branges?\b|too many blocks|number of (requested )?blocks"
LIMIT_WORDS = r"limit|\bmax|exceed|too (wide|large|big|long|high|many|great)|(larger|bigger|greater|more) than|at most"
RESPONSE_TOO_BIG = r"\b(response|result)s?( \w+)? (is |was )?(too (large|big|long)|exceed|larger than)"
STATED_LIMIT = re.compile(
    rf"(?:limit|\bmax|exceed|than|at most|up to|allow)[^\d]{{0,30}}?(?<![\w.-]){BLOCKS}(?!\w|\s*(?:m?s|sec|min|%))",
    re.IGNORECASE,
)
"""A number after a word for a limit, unless it counts seconds or is a part of something else."""
RANGE = r"\[\s*(0x[0-9a-f]+)\s*,\s*(0x[0-9a-f]+)\s*\]"

CATALOG: tuple[RefusalText, ...] = (
    # A contract's message may contain any of the texts below
    _row(r"execution reverted|vm exception while processing transaction: revert", Reverted(), "geth, Hardhat"),
    # A batch too big
    _row(rf"^(?!.*rate.?limit)(?=.*\bbatch).*({LIMIT_WORDS})", _smaller_batch, "Erigon, Besu, geth, dRPC, all"),
    # A plan's span beside a range that works; in a text about the response size, that range is meant
    _row(rf"^(?!.*response size).*up to an? {BLOCKS} block range", _shrink, "Alchemy, Aurora, World Chain"),
    # A range that works
    _row(rf"this block range should work:?\s*{RANGE}", _use_range, "Alchemy"),
    _row(rf"try with this block range:?\s*{RANGE}", _use_range, "Infura, zkSync, thirdweb, Tenderly"),
    _row(r"retry with the range (\d+)\s*-\s*(\d+)", _use_range, "Envio, Squid"),
    # A span cap with its number
    _row(r"requested too many blocks from \d+ to \d+, maximum is set to (\d+)", _shrink, "Avalanche"),
    _row(r"max range: (\d+)", _shrink, "Cloudflare"),
    _row(r"maximum allowed number of requested blocks is (\d+)", _shrink, "thirdweb"),
    _row(r"range \d+ is bigger than range limit (\d+)", _shrink, "thirdweb, Tenderly"),
    _row(r"range \d+ exceeds limit of (\d+)", _shrink, "Infura"),
    _row(rf"limited to an? {BLOCKS}", _shrink, "QuickNode, 1RPC, Blast"),
    _row(rf"limited to {BLOCKS} block", _shrink, "BlockPI"),
    _row(r"exceeds the range allowed for your plan \(\d+ > (\d+)\)", _shrink, "Blast"),
    _row(rf"please limit the query to at most {BLOCKS} blocks", _shrink, "Coinbase"),
    _row(rf"maximum block range:? {BLOCKS}", _shrink, "PublicNode, BSC, Ankr"),
    _row(r"exceed max block range:? (\d+)", _shrink, "Tron"),
    _row(rf"query exceeds max block range {BLOCKS}", _shrink, "Hyperliquid"),
    _row(rf"block range greater than {BLOCKS} max", _shrink, "Swell"),
    _row(rf"block range exceeds {BLOCKS}", _shrink, "Somnia"),
    _row(r"block range is larger than max block range, .*max block range = (\d+)", _shrink, "Morph"),
    _row(rf"range is too large, max is {BLOCKS} blocks", _shrink, "Merkle"),
    _row(rf"query must be smaller than size {BLOCKS}", _shrink, "Harmony"),
    _row(r"block range is too wide \(maximum (\d+)\)", _shrink, "Moonriver"),
    _row(r"maximum \[from, to\] blocks distance: (\d+)", _shrink, "Ankr, TAC"),
    _row(r"block range too large \(\d+\), maximum allowed is (\d+) blocks", _shrink, "Sei"),
    _row(rf"ranges over {BLOCKS} blocks are not supported", _shrink, "dRPC"),
    # A response too big
    _row(r"query returned more than \d+ results", HalveQuery(), "Infura, Polygon zkEVM"),
    _row(r"query exceeds max results", HalveQuery(), "LlamaRPC, Ankr"),
    _row(r"logs matched by query exceeds limit of \d+", HalveQuery(), "Arbitrum"),
    _row(r"more than \d+ logs|\d+ logs returned|too many logs", HalveQuery(), "HyperRPC"),
    _row(r"response size should not greater than \d+ bytes", HalveQuery(), "1RPC"),
    _row(r"backend response too large|block range is too large", HalveQuery(), "Optimism"),
    _row(r"response is too big|exceeded max limit of \d+", HalveQuery(), "reth, jsonrpsee"),
    _row(r"log response size exceeded", HalveQuery(), "Alchemy"),
    _row(r"query timeout exceeded|query exceeds limit|too many results|try paginating", HalveQuery(), "eRPC's list"),
    # A span cap without its number
    _row(r"block range limit exceeded(?!.*\d)", _shrink_to_a_plan, "Chainstack"),
    _row(r"block range is too wide(?!.*\d)", _shrink_to(3_000), "Ankr"),
    _row(r"block range too large(?!.*\d)", _shrink_to(2_000), "Base, Monad"),
    _row(r"eth_getlogs is limited|logs over more|range limit exceeded", _shrink_to_a_number, "eRPC's list"),
    _row(r"range threshold exceeded|exceeded max allowed", _shrink_to_a_number, "Altitude, eRPC"),
    _row(r"exceeds the range", _shrink_to_a_number, "eRPC's list"),
    # Too many addresses
    _row(r"specify less number of address", SplitAddresses(), "eRPC's list"),
    _row(r"exceed max addresses or topics per search position", SplitAddresses(), "Alchemy, dRPC, geth"),
    _row(r"this query contains \d+ filters", SplitAddresses(), "Infura"),
    # A block that the provider does not have yet
    _row(r"after last accepted block|cannot query unfinalized data", WaitForHead(), "Avalanche"),
    _row(r"block range extends beyond current head block", WaitForHead(), "reth, geth"),
    _row(r"requested block range .*is beyond latest executed block", WaitForHead(), "Erigon"),
    _row(r"invalid block range params", WaitForHead(), "geth"),
    _row(r"invalid block height", WaitForHead(), "Hyperliquid"),
    _row(r"block not found with number", WaitForHead(), "eRPC"),
    _row(r"not currently canonical|unknown block\b", WaitForHead(), "geth"),
    # History that is gone
    _row(r"height is not available.*base height", HistoryGone(), "Sei"),
    _row(r"missing trie node|header not found", HistoryGone(), "geth"),
    _row(r"\bprun(ed|ing)\b|historical state .*not available", HistoryGone(), "geth, Erigon, reth"),
    _row(r"historical state unavailable|no state available for block", HistoryGone(), "geth, Nethermind"),
    # A body too big
    _row(r"(request|payload|content) (entity )?too large|failed to buffer the request body", SmallerBatch(), "proxies"),
    # A key that is not accepted
    _row(r"invalid api key|unauthori[sz]ed|api key .*(not valid|disabled|missing)", GiveUp(), "all"),
    _row(r"not (available|included|supported|enabled) (on|in|with|for) (your|this) .{0,20}plan", GiveUp(), "all"),
    # A range or a response too big, in words that no row above has
    _row(
        rf"^(?!.*rate.?limit)(?=.*(?:{RANGE_WORDS}))(?=.*(?:{LIMIT_WORDS}))", _shrink_to_a_number, "Besu, Erigon, all"
    ),
    _row(rf"too many (events|records)|more than \d+ (events|records)|{RESPONSE_TOO_BIG}", HalveQuery(), "geth, all"),
    # Too many requests
    _row(r"triggered rate limit", BackOff(), "BSC"),
    _row(r"rate.?limit|request rate exceeded|too many requests|requests limited to", BackOff(), "Infura, all"),
    _row(r"has exceeded|exceeded the quota|under too much load|request limit reached", BackOff(), "eRPC's list"),
    _row(r"reached the quota|monthly capacity limit|reached the free tier", BackOff(), "eRPC's list"),
    _row(r"\bquota\b|throttl", BackOff(), "rindexer's list"),
    # Too many of something
    _row(r"limit exceeded|exceeds? .{0,40}limit", LimitExceeded(), "rindexer's list"),
)

PARSE_ERROR, METHOD_NOT_FOUND, METHOD_NOT_SUPPORTED, VERSION_NOT_SUPPORTED = -32700, -32601, -32004, -32006
MISSING_DATA, LIMIT_EXCEEDED = -32014, -32005

MEANING_OF_CODES: dict[int | None, Refusal] = {
    PARSE_ERROR: GiveUp(),
    METHOD_NOT_FOUND: GiveUp(),
    METHOD_NOT_SUPPORTED: GiveUp(),
    VERSION_NOT_SUPPORTED: GiveUp(),
    MISSING_DATA: WaitForHead(),
    LIMIT_EXCEEDED: LimitExceeded(),
}
"""The meaning of codes whose text is in no row."""

MEANING_OF_STATUSES: dict[int | None, Refusal] = {
    **dict.fromkeys((401, 403, 404, 405, 501, 505), GiveUp()),
    CONTENT_TOO_LARGE: SmallerBatch(),
}
"""The meaning of HTTP statuses whose text is in no row."""
