"""The record of one provider: its latency, failures, head, and what it has refused.

Each entry expires, since plans are raised, nodes catch up and indexes get built.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from indexer.errors import TryAgain
from indexer.rpc.adaptive_limit import AdaptiveLimit
from indexer.rpc.backoff import wait_seconds
from indexer.rpc.block_tags import BLOCK_TAGS, is_about_tag, is_tag_unknown
from indexer.rpc.catalog import METHOD_NOT_FOUND, METHOD_NOT_SUPPORTED, PARSE_ERROR, VERSION_NOT_SUPPORTED
from indexer.rpc.counts import RequestCounts
from indexer.rpc.errors import BrokenOff, NoAnswer, NotConnected, RpcError
from indexer.rpc.refusals import HalveQuery, NoSuchTag, Refusal, ShrinkTo, UseRange
from indexer.rpc.size_limit import SizeLimit
from indexer.urls import site_of

if TYPE_CHECKING:
    from indexer.rpc.endpoint import Endpoint  # loads web3: commands that only read the database do without

ResultT = TypeVar("ResultT")

SAMPLE_WEIGHT = 0.2
"""Weight of the newest sample in the moving averages of latency and failures."""
FAILURE_FACTOR = 5.0
FAILURE_SECONDS = 0.1
"""score = latency * (1 + FAILURE_FACTOR * failure rate) + FAILURE_SECONDS * failure rate"""
SAMPLE_SECONDS = 60.0
"""Measurements older than this have expired."""
EXPIRED_FACTOR = 0.5
"""Score of a host whose measurements have expired, as a multiple of the best host's latency.

Lower than the pool's FAVORITE_FACTOR, so that the host is tried again.
"""
NEAR_HEAD_BLOCKS = 128
"""If a host lacks a block this close to its head, it has not indexed it yet; an older one is pruned."""
REFUSED_SECONDS = 60.0
"""How long a host is set aside after it refused for good."""
LOG_BLOCKS, BATCH_REQUESTS = 100_000, 64
"""The most blocks of a query for logs, and the most requests of a batch, if the host takes them."""
MEMORY_SECONDS = 600.0
"""How long a method that is not offered, a tag that is unknown, or history that is gone, is remembered."""
WRONG_CHAIN_SECONDS = 3_600.0
DISTRUST_SECONDS = 30.0
STATE_METHODS = ("eth_call", "eth_getCode", "eth_getTransactionCount")
"""Methods that read state: full nodes keep all blocks and logs, but only the newest states."""
RECEIPT_METHODS = ("eth_getBlockReceipts", "eth_getTransactionReceipt")
"""Methods that indexing can do without: their results do not count for the provider's health."""
INDEXING_METHODS = ("eth_chainId", "eth_getBlockByNumber", "eth_getLogs")
"""Methods without which a host is useless: a host that refuses one that it has answered refuses everything."""
REFUSALS_OF_METHOD = 3
"""Refusals of eth_getBlockReceipts in a row after which a host gets none: fewer may be about single blocks."""
REFUSALS_OF_TAG = 3
"""Refusals of a tag, in words that may mean a failure of the node, after which the node does not know it."""
METHOD_CODES = (METHOD_NOT_FOUND, METHOD_NOT_SUPPORTED)
NO_NODE_STATUSES = (404, 405, 501)
"""Without a code in the body, it is no node that refuses, but a gateway that has no node behind it."""
REQUEST_CODES = (PARSE_ERROR, VERSION_NOT_SUPPORTED)


class Exclusion(Struct):
    """Why a host gets no requests, and until when (by the host's clock, in seconds).

    `is_probed`: a probe may show earlier that it is back.
    """

    until: float
    error: TryAgain
    is_probed: bool = False


class Host:
    """One endpoint and its record. `name` is the URL without its key, `site` is host and port."""

    def __init__(
        self, endpoint: "Endpoint", name: str, clock: Callable[[], float], jitter: Callable[[], float]
    ) -> None:
        self.endpoint = endpoint
        self.name = name
        self.site = site_of(endpoint.url)
        self.limit = AdaptiveLimit()
        self.span = SizeLimit(LOG_BLOCKS, clock)
        self.batch = SizeLimit(BATCH_REQUESTS, clock)
        self.counts: defaultdict[str, RequestCounts] = defaultdict(RequestCounts)
        self.head = -1
        self.confirmed = False
        self.latency: float | None = None
        self.failure_rate = 0.0
        self._clock = clock
        self._jitter = jitter
        self._has_samples = False
        self._sampled_at = 0.0
        self._failures = 0
        self._backed_off_at = -1.0
        self._away: Exclusion | None = None
        self._failure: TryAgain | None = None
        self._pruned: dict[str, tuple[int, Exclusion]] = {}
        self._methods: dict[str, Exclusion] = {}
        self._answered_methods: set[str] = set()
        self._refusals: dict[str, int] = {}
        self._known_tags: set[str] = set()
        self._tag_refusals: dict[str, int] = {}
        self._unknown_tags: dict[str, Exclusion] = {}

    # May it get a request?

    def exclusion(self, method: str, blocks: range | None, tag: str | None = None) -> Exclusion | None:
        """Returns why the host must not get this request now, None if it may."""
        if tag is not None and self._holds(unknown := self._unknown_tags.get(tag)):
            return unknown
        if self._holds(self._away):
            return self._away
        if self._holds(refused := self._methods.get(method)):
            return refused
        if blocks is None:
            return None
        first, pruned = self._pruned.get(_history_of(method), (0, None))
        if blocks.start < first and self._holds(pruned):
            return pruned
        if method == "eth_getLogs" and self.span.is_known and len(blocks) > (span := self.span.size):
            error = RpcError(self.endpoint.url, method, f"{len(blocks)} blocks requested, its limit is {span}")
            error.refusal = ShrinkTo(span)
            return Exclusion(self._clock(), error)
        return None

    @property
    def away(self) -> Exclusion | None:
        """Returns why the host is set aside, None if it is not."""
        return self._away if self._holds(self._away) else None

    @property
    def unreachable(self) -> TryAgain | None:
        """Returns the last failure, if it is the second or later without a response in a row."""
        return self._failure if self._failures > 1 and isinstance(self._failure, NotConnected | BrokenOff) else None

    @property
    def may_be_probed(self) -> bool:
        """Returns whether a probe may show that the host is back: not while it is set aside for a refusal."""
        return self.away is None or self.away.is_probed

    def score(self, best: float) -> float:
        """Returns the expected seconds for an answer, failures included; `best` is the latency of the quickest host.

        Low for a host whose measurements have expired, 0 for a host without any: each is tried now and then.
        """
        if not self._has_samples:
            return 0.0
        if self._clock() - self._sampled_at >= SAMPLE_SECONDS:
            return best * EXPIRED_FACTOR
        latency = best if self.latency is None else self.latency
        return latency * (1 + FAILURE_FACTOR * self.failure_rate) + self.failure_rate * FAILURE_SECONDS

    # Its record

    def answered(self, seconds: float) -> None:
        """Records a good answer."""
        self._sample()
        self.latency = seconds if self.latency is None else self.latency + SAMPLE_WEIGHT * (seconds - self.latency)
        self.failure_rate -= SAMPLE_WEIGHT * self.failure_rate
        self._failures = 0
        self._failure = None
        self.limit.grow()

    def failed(self, error: TryAgain) -> None:
        """Records a failure. From the second in a row, the host is set aside, longer each time."""
        self._sample()
        self.failure_rate += SAMPLE_WEIGHT * (1 - self.failure_rate)
        self._failures += 1
        self._failure = error
        if self._failures > 1:
            self._set_aside(wait_seconds(self._failures - 1, jitter=self._jitter), error, is_probed=True)

    def is_back(self) -> None:
        """Records that the host responds again."""
        self._failures = 0
        self._failure = self._away = None

    def rate_limited(self, seconds: float | None, error: TryAgain) -> None:
        """Records a refusal because of too many requests; `seconds` is the wait that the host named, if any."""
        self._failures += 1
        now = self._clock()
        if now - self._backed_off_at >= 1.0:  # requests in flight together shrink the limit once
            self._backed_off_at = now
            self.limit.shrink()
        self._set_aside(wait_seconds(self._failures, jitter=self._jitter) if seconds is None else seconds, error)

    def range_limited(self, blocks: range, refusal: Refusal) -> None:
        """Records that a query for the logs of several blocks was refused because of their number, or of the logs'."""
        match refusal:
            case ShrinkTo(span):
                self.span.refused(len(blocks), span, lasting=True)
            case UseRange(first, last):
                self.span.refused(len(blocks), last - first + 1)
            case HalveQuery():
                self.span.refused(len(blocks))
            case _:
                pass

    def range_failed(self, blocks: range) -> None:
        """Records that a query for the logs of several blocks failed: of their number, or because the host fails.

        The host is not set aside, since a shorter query may succeed, but ranks behind others.
        """
        self._sample()
        self.failure_rate += SAMPLE_WEIGHT * (1 - self.failure_rate)
        self.span.refused(len(blocks))

    def history_missing(self, method: str, blocks: range | None, error: RpcError) -> None:
        """Records that blocks, or states, of this age are gone. Near the head they are only not indexed yet."""
        if blocks is not None and not 0 <= self.head - blocks.start < NEAR_HEAD_BLOCKS:
            self._pruned[_history_of(method)] = (blocks.start + 1, Exclusion(self._clock() + MEMORY_SECONDS, error))

    def refused(self, method: str, error: RpcError) -> None:
        """Records that the host does not offer this method, or refuses everything."""
        others = self._answered_methods - {method}
        if error.code is None and error.status in NO_NODE_STATUSES:
            self._set_aside(REFUSED_SECONDS, error, is_probed=True)
        elif error.code in METHOD_CODES:
            self._methods[method] = Exclusion(self._clock() + MEMORY_SECONDS, error)
        elif others and (method not in INDEXING_METHODS or method not in self._answered_methods):
            self._methods[method] = Exclusion(self._clock() + REFUSED_SECONDS, error)
        elif error.code in REQUEST_CODES:
            self.failed(error)
        else:
            self._set_aside(REFUSED_SECONDS, error)

    def receipts_refused(self, method: str, error: RpcError) -> None:
        """Records that the host refused receipts: of one block, or of all if it does so several times in a row."""
        self._refusals[method] = self._refusals.get(method, 0) + 1
        if method == "eth_getBlockReceipts" and self._refusals[method] >= REFUSALS_OF_METHOD:
            self._methods[method] = Exclusion(self._clock() + MEMORY_SECONDS, error)

    def method_answered(self, method: str) -> None:
        """Records that the host answers this method."""
        self._answered_methods.add(method)
        self._refusals.pop(method, None)

    def tag_refused(self, tag: str, error: RpcError) -> bool:
        """Records that the host refused a block tag. Returns False if that is a failure of the host.

        A host that has never answered the tag does not know it: at once if the error names the tag or a missing block,
        else at the third refusal. The error's refusal is then NoSuchTag.
        """
        if tag in self._known_tags or not is_about_tag(error):
            return False
        self._tag_refusals[tag] = self._tag_refusals.get(tag, 0) + 1
        if is_tag_unknown(error) or self._tag_refusals[tag] >= REFUSALS_OF_TAG:
            error.refusal = NoSuchTag()
            self._unknown_tags[tag] = Exclusion(self._clock() + MEMORY_SECONDS, error)
        return True

    def distrusted(self, error: TryAgain) -> None:
        """Records that an answer was wrong."""
        self.failure_rate += SAMPLE_WEIGHT * (1 - self.failure_rate)
        # as NoAnswer: a caller with another request must not take this for a wrong answer to it
        self._set_aside(DISTRUST_SECONDS, NoAnswer(f"{self.name} is set aside for a while: {error}"))

    def on_wrong_chain(self, error: TryAgain) -> None:
        """Records that the host serves another chain."""
        self._set_aside(WRONG_CHAIN_SECONDS, error)

    def returned_block(self, block: Any, requested: str) -> None:
        """Records the host's head from a block that it returned; the newest block may be lower than before.

        `requested` is the block's number in hex, or its tag.
        """
        if requested in BLOCK_TAGS and block is not None:
            self._known_tags.add(requested)
        text = getattr(block, "number", None)
        if isinstance(text, str) and text.startswith("0x"):
            number = int(text, 16)
            self.head = number if requested == "latest" else max(self.head, number)

    def _sample(self) -> None:
        self._has_samples = True
        self._sampled_at = self._clock()

    def _set_aside(self, seconds: float, error: TryAgain, *, is_probed: bool = False) -> None:
        until = self._clock() + seconds
        if self._away is None or self._away.until < until:
            self._away = Exclusion(until, error, is_probed)

    def _holds(self, exclusion: Exclusion | None) -> bool:
        return exclusion is not None and exclusion.until > self._clock()


def _history_of(method: str) -> str:
    """Returns which history a method reads: a host may keep all blocks, but only the newest states or receipts."""
    if method in STATE_METHODS:
        return "states"
    return "receipts" if method in RECEIPT_METHODS else "blocks"
