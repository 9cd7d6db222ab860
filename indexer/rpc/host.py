"""What is known of one provider: how fast, how reliable, how far, and what it has refused.

All of it is forgotten again: a plan is raised, a node catches up, an index is built.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from indexer.errors import TryAgain
from indexer.rpc.adaptive_limit import AdaptiveLimit
from indexer.rpc.backoff import wait_seconds
from indexer.rpc.catalogue import METHOD_NOT_FOUND, METHOD_NOT_SUPPORTED, PARSE_ERROR, VERSION_NOT_SUPPORTED
from indexer.rpc.counts import RequestCounts
from indexer.rpc.endpoint import Endpoint
from indexer.rpc.errors import NoAnswer, RpcError, site_of
from indexer.rpc.refusals import ShrinkTo

ResultT = TypeVar("ResultT")

WEIGHT = 0.2
"""Of the newest sample in a moving average."""
WEIGHT_OF_FAILURE = 5.0
SECONDS_OF_FAILURE = 0.1
SAMPLES_AGE_SECONDS = 60.0
CURIOSITY = 0.5
"""What the best latency counts for where a host's own is not known any more; below the pool's HABIT."""
NEAR_HEAD_BLOCKS = 128
REFUSED_SECONDS = 60.0
BATCH_REQUESTS = 64
MEMORY_SECONDS = 600.0
SPAN_SECONDS = 3_600.0
DOUBT_SECONDS = 30.0
STATE_METHODS = ("eth_call", "eth_getCode", "eth_getTransactionCount")
"""Full nodes keep all blocks and logs, and of states only the newest."""
METHOD_CODES = (METHOD_NOT_FOUND, METHOD_NOT_SUPPORTED)
REQUEST_CODES = (PARSE_ERROR, VERSION_NOT_SUPPORTED)


class Exclusion(Struct):
    """Why something is not to be asked, and until when (of the host's clock)."""

    until: float
    error: TryAgain


class Host:
    """One endpoint and its record. `name` is the URL as it may be shown, `site` tells who runs it."""

    def __init__(self, endpoint: Endpoint, name: str, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        self.endpoint = endpoint
        self.name = name
        self.site = site_of(endpoint.url)
        self.limit = AdaptiveLimit()
        self.counts: defaultdict[str, RequestCounts] = defaultdict(RequestCounts)
        self.head = -1
        self.confirmed = False
        self.latency: float | None = None
        self.failing = 0.0
        self._clock = clock
        self._jitter = jitter
        self._asked = False
        self._sampled_at = 0.0
        self._failures = 0
        self._complained_at = -1.0
        self._away: Exclusion | None = None
        self._span: tuple[int, Exclusion] | None = None
        self._pruned: dict[bool, tuple[int, Exclusion]] = {}
        self._methods: dict[str, Exclusion] = {}
        self._batch = BATCH_REQUESTS
        self._batch_until = 0.0

    # What may be asked

    def exclusion(self, method: str, asked: range | None) -> Exclusion | None:
        """Returns why the host is not to be asked this now; None: ask."""
        if self._holds(self._away):
            return self._away
        if self._holds(found := self._methods.get(method)):
            return found
        if asked is None:
            return None
        first, pruned = self._pruned.get(method in STATE_METHODS, (0, None))
        if asked.start < first and self._holds(pruned):
            return pruned
        if method == "eth_getLogs" and (span := self.span) is not None and len(asked) > span:
            error = RpcError(self.endpoint.url, method, f"asked for {len(asked)} blocks, it takes {span} at once")
            error.refusal = ShrinkTo(span)
            return Exclusion(self._clock(), error)
        return None

    @property
    def span(self) -> int | None:
        """How many blocks eth_getLogs may ask for here; None: not known."""
        return self._span[0] if self._span is not None and self._holds(self._span[1]) else None

    @property
    def batch(self) -> int:
        """How many requests may go out as one; 1: the host takes no batch."""
        return self._batch if self._batch_until > self._clock() else BATCH_REQUESTS

    @property
    def away(self) -> Exclusion | None:
        """Why the host is set aside; None: it is not."""
        return self._away if self._holds(self._away) else None

    def score(self, best: float) -> float:
        """Returns seconds that an answer costs, failures included, where the `best` host needs so many.

        Low for a host that was not asked for long, lowest for one never asked: each is tried again now and then.
        """
        if not self._asked:
            return 0.0
        if self._clock() - self._sampled_at >= SAMPLES_AGE_SECONDS:
            return best * CURIOSITY
        latency = best if self.latency is None else self.latency
        return latency * (1 + WEIGHT_OF_FAILURE * self.failing) + self.failing * SECONDS_OF_FAILURE

    # What is learned

    def answered(self, seconds: float) -> None:
        """Notes a good answer."""
        self._sample()
        self.latency = seconds if self.latency is None else self.latency + WEIGHT * (seconds - self.latency)
        self.failing -= WEIGHT * self.failing
        self._failures = 0
        self.limit.grow()

    def failed(self, error: TryAgain) -> None:
        """Notes a failure; from the second in a row on the host is set aside, longer each time."""
        self._sample()
        self.failing += WEIGHT * (1 - self.failing)
        self._failures += 1
        if self._failures > 1:
            self._set_aside(wait_seconds(self._failures - 1, jitter=self._jitter), error)

    def complained(self, seconds: float | None, error: TryAgain) -> None:
        """Notes that it was asked too much; `seconds` to wait, where it said so."""
        self._failures += 1
        now = self._clock()
        if now - self._complained_at >= 1.0:  # requests that were under way together complain once
            self._complained_at = now
            self.limit.shrink()
        self._set_aside(wait_seconds(self._failures, jitter=self._jitter) if seconds is None else seconds, error)

    def takes(self, blocks: int, asked: range, error: RpcError) -> None:
        """Notes the longest range of eth_getLogs; a limit that the refused range kept to counts as one less."""
        span = len(asked)
        if span > 1:
            known = blocks if blocks < span else span - 1 if blocks == span else span // 2
            self._span = (known, Exclusion(self._clock() + SPAN_SECONDS, error))

    def refused_batch(self, requests: int) -> None:
        """Notes that it gave nothing for a batch of so many, and all of them alone: a quarter may do."""
        self._batch = min(self.batch, max(requests // 4, 1))
        self._batch_until = self._clock() + REFUSED_SECONDS

    def lost(self, method: str, asked: range | None, error: RpcError) -> None:
        """Notes that blocks, or states, as old as these are gone; near the head it only has not got them yet."""
        if asked is not None and not 0 <= self.head - asked.start < NEAR_HEAD_BLOCKS:
            self._pruned[method in STATE_METHODS] = (asked.start + 1, Exclusion(self._clock() + MEMORY_SECONDS, error))

    def gave_up(self, method: str, error: RpcError) -> None:
        """Notes that it will not answer this method, or nothing at all."""
        if error.code in METHOD_CODES:
            self._methods[method] = Exclusion(self._clock() + MEMORY_SECONDS, error)
        elif error.code in REQUEST_CODES:
            self.failed(error)
        else:
            self._set_aside(REFUSED_SECONDS, error)

    def doubted(self, error: TryAgain) -> None:
        """Notes that what it said was wrong."""
        self.failing += WEIGHT * (1 - self.failing)
        # who asks something else meanwhile must not take this for an answer to it
        self._set_aside(DOUBT_SECONDS, NoAnswer(f"{self.name} is not asked for a while: {error}"))

    def barred(self, error: TryAgain) -> None:
        """Notes that it is not a provider for this chain."""
        self._set_aside(SPAN_SECONDS, error)

    def at(self, answer: Any, *, tag: bool) -> None:
        """Notes how far it is, from a block that it gave; by tag it may have gone back."""
        number = getattr(answer, "number", None)
        if isinstance(number, str) and number.startswith("0x"):
            found = int(number, 16)
            self.head = found if tag else max(self.head, found)

    def _sample(self) -> None:
        self._asked = True
        self._sampled_at = self._clock()

    def _set_aside(self, seconds: float, error: TryAgain) -> None:
        until = self._clock() + seconds
        if self._away is None or self._away.until < until:
            self._away = Exclusion(until, error)

    def _holds(self, exclusion: Exclusion | None) -> bool:
        return exclusion is not None and exclusion.until > self._clock()
