"""Several providers as one: each request goes to the healthiest, and on to the next where that one fails.

A refusal that asks for another question (a shorter range, fewer addresses) is the caller's; every other failure is
tried elsewhere, then again after a pause, before the caller hears of it.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, assert_never

from indexer.errors import Stop, TryAgain
from indexer.rpc.backoff import wait_seconds
from indexer.rpc.endpoint import REQUEST_TIMEOUT_SECONDS, Endpoint
from indexer.rpc.errors import NoAnswer, RpcError, shown_url
from indexer.rpc.gather import gather
from indexer.rpc.host import Host
from indexer.rpc.providers import Answered
from indexer.rpc.refusals import (
    BackOff,
    GiveUp,
    HalveQuery,
    HistoryGone,
    Reverted,
    ShrinkTo,
    SmallerBatch,
    SplitAddresses,
    Unknown,
    UseRange,
    WaitForHead,
)
from indexer.rpc.request import requested_blocks

ResultT = TypeVar("ResultT")

ROUNDS = 4
PATIENCE_SECONDS = 10.0
"""The longest wait inside a call; a longer one is the caller's, who can say why nothing moves."""
ASKED_FOR_BLOCKS = ("eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts", "eth_getTransactionReceipt")
"""Methods that answer null for what a provider has not got, while another may have it."""
HABIT = 0.7
"""What the score of the host asked last counts for: hosts that are nearly equal do not take turns."""
LAG_BLOCKS = 8
CENSUS_SECONDS = 15.0
CENSUS_TIMEOUT_SECONDS = 5.0


class Pool:
    """Asks providers by their health."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout: float = REQUEST_TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.hosts = [
            Host(Endpoint(url, timeout=timeout), name, clock, jitter)
            for url, name in zip(urls, _names(urls), strict=True)
        ]
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._chain_id: int | None = None
        self._favourite = self.hosts[0]
        self._census_at = -CENSUS_SECONDS

    async def check_chain(self, expected: int | None) -> int:
        """Returns the id of the chain that all providers serve: the expected one, or without it the one they agree on.

        A provider that does not answer is checked when it does; from now on only providers of this chain are used.
        Raises Stop if a provider serves another chain, or if all refuse for good; TryAgain if none answers.
        """
        found = await asyncio.gather(*map(self._id_of, self.hosts), return_exceptions=True)
        ids = {host.name: id for host, id in zip(self.hosts, found, strict=True) if isinstance(id, int)}
        for error in found:
            if not isinstance(error, int | TryAgain):
                raise error
        if not ids:
            told = "; ".join(map(str, found))
            hopeless = all(isinstance(error, RpcError) and isinstance(error.refusal, GiveUp) for error in found)
            raise Stop(f"{told}. Set RPC_URLS right.") if hopeless else TryAgain(told)
        chain_id = next(iter(ids.values())) if expected is None else expected
        for name, id in ids.items():
            check_chain_id(chain_id, id, name)
        self._chain_id = chain_id
        for host in self.hosts:
            host.confirmed = host.name in ids
        return chain_id

    async def call(
        self,
        method: str,
        params: list[Any],
        result: type[ResultT],
        *,
        avoid: Collection[Host] = (),
        strict: bool = False,
    ) -> Answered[ResultT]:
        """Returns the result decoded as `result`. Raises RpcError for a refusal, TryAgain without an answer.

        Providers at the sites of `avoid` are requested last; with `strict` never.
        """
        asked = requested_blocks(method, params)
        if params[:1] == ["latest"] and len(self.hosts) > 1:
            await self._take_census()
        failure: TryAgain | None = None
        for attempt in range(1, ROUNDS + 1):
            absent: Answered[ResultT] | None = None
            for host in await self._candidates(method, asked, avoid, strict):
                if failure is not None:
                    host.counts[method].retries += 1
                try:
                    answer = await self._ask_host(host, method, params, result)
                except RpcError as error:
                    failure = error
                    if not _learn(host, method, asked, error):
                        raise
                except NoAnswer as error:
                    failure = error
                    host.failed(error)
                else:
                    if answer is not None or method not in ASKED_FOR_BLOCKS:
                        return Answered(host, answer)
                    absent = Answered(host, answer)  # no such block here: it may only be late
            if absent is not None:
                return absent
            if failure is not None and _is_final(failure):
                raise failure
            await self._sleep(wait_seconds(attempt, jitter=self._jitter))
        assert failure is not None
        raise failure

    async def call_each(
        self, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> list[Answered[ResultT]]:
        """Returns the results of many requests. They go out in batches; what those leave unanswered is asked alone."""
        asked = _spanned([requested_blocks(method, one) for one in params])
        host = (await self._candidates(method, asked, (), strict=False))[0]
        size = host.batch if len(params) > 1 else 1
        parts = [params[start : start + size] for start in range(0, len(params), size)] if size > 1 else []
        batches = await gather(*(self._ask_batch(host, method, part, result) for part in parts))
        results: list[Any] = [result for batch in batches for result in batch] or [None] * len(params)
        missing = [place for place, result in enumerate(results) if result is None]
        alone = await gather(*(self.call(method, params[place], result) for place in missing))
        answers = [Answered(host, result) for result in results]
        for place, answer in zip(missing, alone, strict=True):
            answers[place] = answer
        for part, batch in zip(parts, batches, strict=True):
            if all(answer.result is not None for answer in alone) and all(answer is None for answer in batch):
                host.refused_batch(len(part))
        return answers

    def distrust(self, host: Host, reason: TryAgain) -> None:
        """Sets aside a provider that returned something wrong, for a while, if there is another one."""
        if any(other.away is None for other in self.hosts if other.site != host.site):
            host.doubted(reason)

    async def close(self) -> None:
        """Closes all connections."""
        for host in self.hosts:
            await host.endpoint.close()

    # One request

    async def _ask_host(self, host: Host, method: str, params: list[Any], result: type[ResultT]) -> ResultT:
        async with host.limit:
            if self._chain_id is not None and not host.confirmed:
                await self._confirm(host, self._chain_id)
            began = self._clock()
            try:
                answer = await host.endpoint.call(method, params, result)
            except TryAgain as error:
                host.counts[method].answered(self._clock() - began)
                host.counts[method].failed(_kind(error))
                raise
            elapsed = self._clock() - began
        host.counts[method].answered(elapsed)
        host.answered(elapsed)
        if method == "eth_getBlockByNumber":
            host.at(answer, tag=params[0] == "latest")
        return answer

    async def _ask_batch(
        self, host: Host, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> Sequence[ResultT | None]:
        """Returns what a batch was answered; None for each where the host takes no batch, or fails."""
        async with host.limit:
            began = self._clock()
            try:
                if self._chain_id is not None and not host.confirmed:
                    await self._confirm(host, self._chain_id)
                answers = await host.endpoint.call_batch(method, params, result)
            except TryAgain as error:
                host.counts[method].failed(_kind(error))
                return [None] * len(params)
            elapsed = self._clock() - began
        for _ in params:
            host.counts[method].answered(elapsed)
        if any(answer is not None for answer in answers):
            host.answered(elapsed)
        return answers

    async def _candidates(self, method: str, asked: range | None, avoid: Collection[Host], strict: bool) -> list[Host]:
        """Returns whom to ask, the healthiest first; waits a little where all are set aside, or raises why."""
        sites = {host.site for host in avoid}
        considered = [host for host in self.hosts if not (strict and host.site in sites)]
        if not considered:
            raise TryAgain(f"No further provider can be asked {method}.")
        for waits in (True, False):
            excluded = [(host, host.exclusion(method, asked)) for host in considered]
            free = [host for host, exclusion in excluded if exclusion is None]
            if free:
                return self._ranked(free, asked, sites)
            reasons = [exclusion for _, exclusion in excluded if exclusion is not None]
            wider = [reason.error for reason in reasons if _span(reason.error) > 0]
            if wider:
                raise max(wider, key=_span)
            soonest = min(reasons, key=lambda reason: reason.until)
            seconds = soonest.until - self._clock()
            if not waits or seconds > PATIENCE_SECONDS:
                break
            await self._sleep(max(seconds, 0.0))
        raise soonest.error.with_traceback(None)

    def _ranked(self, hosts: list[Host], asked: range | None, avoided_sites: Collection[str]) -> list[Host]:
        if len(hosts) == 1:
            return hosts
        best_head = max(host.head for host in self.hosts)
        wanted = best_head - LAG_BLOCKS if asked is None else asked[-1]
        best = min((host.latency for host in hosts if host.latency is not None), default=0.0)

        def rank(host: Host) -> tuple[bool, bool, float]:
            lags = 0 <= host.head < min(wanted, best_head)
            score = host.score(best) * (HABIT if host is self._favourite else 1.0)
            return host.site in avoided_sites, lags, score

        ranked = sorted(hosts, key=rank)
        if not avoided_sites:
            self._favourite = ranked[0]
        return ranked

    # What is asked of each

    async def _id_of(self, host: Host) -> int:
        return _id(host, await self._ask_host(host, "eth_chainId", [], str))

    async def _confirm(self, host: Host, chain_id: int) -> None:
        found = _id(host, await host.endpoint.call("eth_chainId", [], str))
        if found != chain_id:
            error = NoAnswer(f"{host.name} is a node of chain {found}, but chain {chain_id} is wanted.")
            host.barred(error)
            raise error
        host.confirmed = True

    async def _take_census(self) -> None:
        """Asks all hosts how far they are, now and then: one that stands still would never be found out otherwise."""
        now = self._clock()
        if now - self._census_at < CENSUS_SECONDS:
            return
        self._census_at = now
        await asyncio.gather(*(self._count_in(host) for host in self.hosts if host.away is None))

    async def _count_in(self, host: Host) -> None:
        try:
            async with asyncio.timeout(CENSUS_TIMEOUT_SECONDS):
                host.head = int(await self._ask_host(host, "eth_blockNumber", [], str), 16)
        except (TryAgain, ValueError) as error:
            host.failed(error if isinstance(error, TryAgain) else NoAnswer(f"{host.name}: {error}"))
        except TimeoutError:
            host.failed(NoAnswer(f"{host.name} did not answer eth_blockNumber in {CENSUS_TIMEOUT_SECONDS:g} s."))


@asynccontextmanager
async def open_pool(urls: Sequence[str], chain_id: int) -> AsyncIterator[Pool]:
    """Yields the providers of a chain and closes their connections at the end. Raises what `check_chain` raises."""
    pool = Pool(urls)
    try:
        await pool.check_chain(chain_id)
        yield pool
    finally:
        await pool.close()


def check_chain_id(expected: int, found: int, name: str) -> None:
    """Raises Stop where a node is of another network than the settings or the other nodes."""
    if expected != found:
        raise Stop(
            f"{name} is a node of chain {found}, but chain {expected} is wanted. Set RPC_URLS or CHAIN_ID right."
        )


def _id(host: Host, found: str) -> int:
    try:
        return int(found, 16)
    except ValueError:
        raise NoAnswer(f"{host.name} gave {found!r} where the id of a chain is due.") from None


def _learn(host: Host, method: str, asked: range | None, error: RpcError) -> bool:
    """Notes what a refusal tells of the host. False: the caller must ask differently."""
    match error.refusal:
        case ShrinkTo(blocks) if asked is not None:
            host.takes(blocks, asked, error)
            return False
        case UseRange() | HalveQuery() | SplitAddresses() | SmallerBatch() if method == "eth_getLogs":
            return False
        case BackOff(seconds):
            host.complained(seconds, error)
        case HistoryGone():
            host.lost(method, asked, error)
        case GiveUp():
            host.gave_up(method, error)
        case WaitForHead():
            pass
        case Reverted():
            return False
        case Unknown() | ShrinkTo() | UseRange() | HalveQuery() | SplitAddresses() | SmallerBatch():
            host.failed(error)
        case _ as never:
            assert_never(never)
    return True


def _is_final(failure: TryAgain) -> bool:
    """Tells whether asking again in a moment is of no use."""
    return isinstance(failure, RpcError) and isinstance(failure.refusal, WaitForHead | HistoryGone | GiveUp)


def _spanned(asked: Sequence[range | None]) -> range | None:
    known = [blocks for blocks in asked if blocks is not None]
    return range(min(one.start for one in known), max(one.stop for one in known)) if known else None


def _kind(error: TryAgain) -> str:
    return type(error.refusal).__name__ if isinstance(error, RpcError) else type(error).__name__


def _span(error: TryAgain) -> int:
    refusal = error.refusal if isinstance(error, RpcError) else None
    return refusal.blocks if isinstance(refusal, ShrinkTo) else 0


def _names(urls: Sequence[str]) -> list[str]:
    """Returns each URL as it may be shown; those that look alike are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for name in map(shown_url, urls):
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names
