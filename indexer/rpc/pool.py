"""Several providers as one: each request goes to the healthiest provider, and to the next one if it fails.

A refusal that needs a different request (a shorter range, fewer addresses) is raised at once. After any other failure
the request goes to the other providers, and again to all of them after a pause, before the failure is raised.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from indexer.errors import Stop, TryAgain
from indexer.rpc import endpoint
from indexer.rpc.backoff import wait_seconds
from indexer.rpc.block_tags import tag_of
from indexer.rpc.endpoint import REQUEST_TIMEOUT_SECONDS, Endpoint
from indexer.rpc.errors import NoAnswer, RpcError
from indexer.rpc.failures import (
    is_final,
    is_tag_unknown,
    kind_of,
    may_be_too_wide,
    record_failure,
    record_refusal,
    span_of,
)
from indexer.rpc.gather import gather
from indexer.rpc.host import Exclusion, Host
from indexer.rpc.providers import Answered
from indexer.rpc.refusals import BackOff, GiveUp, HalveQuery, LimitExceeded, SmallerBatch
from indexer.rpc.request import is_wide, requested_blocks
from indexer.urls import SiteHeaders, headers_for, shown_url

ResultT = TypeVar("ResultT")

ROUNDS = 4
"""How often a request goes to all usable providers, with a pause after each round."""
LONGEST_WAIT_SECONDS = 10.0
"""The longest wait inside a call. If all providers are set aside for longer, the call raises the reason at once."""
NULL_IF_MISSING = ("eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts", "eth_getTransactionReceipt")
"""Methods that return null for what a provider does not have, while another provider may have it."""
FAVORITE_FACTOR = 0.7
"""Multiplies the score of the host used last, so that hosts that are nearly equal do not take turns."""
LAG_BLOCKS = 8
"""A host this far below the newest known head ranks last for requests that name no block."""
HEADS_SECONDS = 15.0
"""How often the heads of all hosts are read: otherwise a host that stands still would go unnoticed."""
HEAD_TIMEOUT_SECONDS = 5.0


class Pool:
    """Sends requests to the healthiest providers."""

    def __init__(
        self,
        urls: Sequence[str],
        headers: SiteHeaders = (),
        *,
        timeout: float = REQUEST_TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.hosts = [
            Host(Endpoint(url, headers_for(url, headers), timeout=timeout), name, clock, jitter)
            for url, name in zip(urls, _names(urls), strict=True)
        ]
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._chain_id: int | None = None
        self._favorite = self.hosts[0]
        self._heads_read_at = -HEADS_SECONDS
        self._responds = False
        self._probing: asyncio.Task[bool] | None = None

    async def check_chain(self, expected: int | None) -> int:
        """Returns the id of the chain that all providers serve: the expected one, or without it the one they agree on.

        A provider that does not answer is checked when it does; from now on only providers of this chain are used.
        Raises Stop if a provider serves another chain, or if all refuse for good; TryAgain if none answers.
        """
        results = await asyncio.gather(*map(self._chain_id_of, self.hosts), return_exceptions=True)
        ids = {host.name: id for host, id in zip(self.hosts, results, strict=True) if isinstance(id, int)}
        for error in results:
            if not isinstance(error, int | TryAgain):
                raise error
        if not ids:
            reasons = "; ".join(map(str, results))
            hopeless = all(isinstance(error, RpcError) and isinstance(error.refusal, GiveUp) for error in results)
            raise Stop(f"{reasons}. Correct RPC_URLS.") if hopeless else TryAgain(reasons)
        chain_id = next(iter(ids.values())) if expected is None else expected
        for name, id in ids.items():
            check_chain_id(chain_id, id, name)
        self._chain_id = chain_id
        for host in self.hosts:
            host.confirmed = host.name in ids
        return chain_id

    async def call(
        self, method: str, params: list[Any], result: type[ResultT], *, avoid: Sequence[Host] = (), strict: bool = False
    ) -> Answered[ResultT]:
        """Returns the result decoded as `result`. Raises RpcError for a refusal, TryAgain without an answer.

        Providers at the sites of `avoid` are requested last; with `strict` never. If a provider does not know the
        requested block tag and no other provider returns its block, the refusal is NoSuchTag. If a query for the logs
        of several blocks may be too wide for all providers, the failure is raised without further tries.
        """
        blocks, tag = requested_blocks(method, params), tag_of(method, params)
        if params[:1] == ["latest"] and len(self.hosts) > 1:
            await self._read_heads()
        failure: TryAgain | None = None
        wide = blocks if is_wide(method, params) else None
        for attempt in range(1, ROUNDS + 1):
            absent: Answered[ResultT] | None = None
            too_wide: TryAgain | None = None
            for host in await self._candidates(method, blocks, avoid, strict, tag):
                if failure is not None:
                    host.counts[method].retries += 1
                try:
                    answer = await self._call_host(host, method, params, result)
                except (RpcError, NoAnswer) as error:
                    failure = error
                    if tag is not None and isinstance(error, RpcError) and host.tag_refused(tag, error):
                        continue
                    if wide is not None and may_be_too_wide(error):
                        host.range_failed(wide)
                        too_wide = error
                    elif not record_failure(host, method, blocks, error):
                        raise
                else:
                    if answer is not None or method not in NULL_IF_MISSING:
                        return Answered(host, answer)
                    absent = Answered(host, answer)  # the provider may only lag
            if absent is not None:
                return absent
            if too_wide is not None:
                raise too_wide
            if tag is not None and (unknown := self._unknown_tag(tag)) is not None:
                raise unknown
            if failure is not None and tag is None and is_final(method, failure):
                raise failure
            await self._sleep(wait_seconds(attempt, jitter=self._jitter))
        assert failure is not None
        raise failure

    async def call_each(
        self, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> list[Answered[ResultT]]:
        """Returns the results of many requests, sent in batches. What a batch leaves out is requested alone."""
        blocks = _covering([requested_blocks(method, each) for each in params])
        host = (await self._candidates(method, blocks, (), strict=False))[0]
        size = min(host.batch.size, len(params))
        batched = await self._call_batches(host, method, params, result)
        missing = [place for place, answer in enumerate(batched) if answer is None]
        alone = await gather(*(self.call(method, params[place], result) for place in missing))
        if missing and all(answer.result is not None for answer in alone):
            host.batch.worked(1)
            if size > 1 and len(missing) == len(params):
                host.batch.refused(size)
        answers: list[Any] = [Answered(host, answer) for answer in batched]
        for place, answer in zip(missing, alone, strict=True):
            answers[place] = answer
        return answers

    def distrust(self, host: Host, reason: TryAgain) -> None:
        """Sets aside a provider that returned something wrong, for a while, if there is another one."""
        if any(other.away is None for other in self.hosts if other.site != host.site):
            host.distrusted(reason)

    async def pause(self, seconds: float) -> bool:
        """Waits. If no provider responds to a probe, waits only until one does, and returns True then.

        The probe is a cheap request to each provider, every PROBE_SECONDS. If one responds to the first, an outage may
        have ended meanwhile: that pause is short, but not the next one, as what failed may have another reason.
        """
        end = self._clock() + seconds
        if not any(host.may_be_probed for host in self.hosts):
            await self._sleep(seconds)
            return False
        if await self._probe():
            is_over, self._responds = not self._responds, True
            await self._sleep(max(min(end - self._clock(), endpoint.PROBE_SECONDS if is_over else seconds), 0.0))
            return is_over
        self._responds = False
        while (left := end - self._clock()) > 0:
            await self._sleep(min(left, endpoint.PROBE_SECONDS))
            if await self._probe():
                self._responds = True
                return True
        return False

    async def close(self) -> None:
        """Closes all connections."""
        if self._probing is not None:
            self._probing.cancel()
        for host in self.hosts:
            await host.endpoint.close()

    async def _probe(self) -> bool:
        """Returns whether a provider responds, or all are set aside for refusals. Callers share a probe."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe_hosts())
        return await asyncio.shield(self._probing)

    async def _probe_hosts(self) -> bool:
        hosts = [host for host in self.hosts if host.may_be_probed]
        responses = await asyncio.gather(*(host.endpoint.responds() for host in hosts))
        for host, responds in zip(hosts, responses, strict=True):
            if responds:
                host.is_back()
        return any(responses) or not hosts

    # One request

    async def _call_host(self, host: Host, method: str, params: list[Any], result: type[ResultT]) -> ResultT:
        async with host.limit:
            if self._chain_id is not None and not host.confirmed:
                await self._confirm(host, self._chain_id)
            began = self._clock()
            try:
                answer = await host.endpoint.call(method, params, result)
            except TryAgain as error:
                host.counts[method].answered(self._clock() - began)
                host.counts[method].failed(kind_of(error))
                raise
            elapsed = self._clock() - began
        host.counts[method].answered(elapsed)
        host.answered(elapsed)
        host.method_answered(method)
        if method == "eth_getLogs" and (blocks := requested_blocks(method, params)) is not None:
            host.span.worked(len(blocks))
        if method == "eth_getBlockByNumber":
            host.returned_block(answer, params[0])
        return answer

    async def _call_batches(
        self, host: Host, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> list[ResultT | None]:
        """Returns the results of one or more batches, None for each that they leave out.

        What is in a batch that was too large for the host is sent again in smaller ones.
        """
        results: list[ResultT | None] = [None] * len(params)
        waiting = list(range(len(params)))
        while len(waiting) > 1 and (size := host.batch.size) > 1:
            sent = waiting[:size] if host.batch.is_guess else waiting  # one batch shows what the host takes
            parts = [sent[start : start + size] for start in range(0, len(sent), size)]
            batches = await gather(
                *(self._call_batch(host, method, [params[i] for i in part], result) for part in parts)
            )
            waiting = waiting[len(sent) :]
            for part, batch in zip(parts, batches, strict=True):
                if batch is None:
                    waiting += part
                else:
                    for place, answer in zip(part, batch, strict=True):
                        results[place] = answer
        return results

    async def _call_batch(
        self, host: Host, method: str, params: Sequence[list[Any]], result: type[ResultT]
    ) -> Sequence[ResultT | None] | None:
        """Returns the results of a batch, None for each that is missing; no list if the batch was too large."""
        try:
            async with host.limit:
                if self._chain_id is not None and not host.confirmed:
                    await self._confirm(host, self._chain_id)
                began = self._clock()
                answers = await host.endpoint.call_batch(method, params, result)
                elapsed = self._clock() - began
        except TryAgain as error:
            host.counts[method].failed(kind_of(error))
            match error.refusal if isinstance(error, RpcError) else None:
                case SmallerBatch(named):
                    host.batch.refused(len(params), named, lasting=True)
                    return None
                case LimitExceeded() | HalveQuery():
                    host.batch.refused(len(params))
                    return None
                case BackOff(seconds):
                    host.rate_limited(seconds, error)
            return [None] * len(params)
        for _ in params:
            host.counts[method].answered(elapsed)
        if any(answer is not None for answer in answers):
            host.answered(elapsed)
            host.batch.worked(len(params))
        return answers

    def _unknown_tag(self, tag: str) -> TryAgain | None:
        """Returns the refusal of a host that does not know a block tag, if there is one."""
        exclusions = [host.exclusion("eth_getBlockByNumber", None, tag) for host in self.hosts]
        errors = [exclusion.error for exclusion in exclusions if exclusion is not None]
        return next((error.with_traceback(None) for error in errors if is_tag_unknown(error)), None)

    async def _candidates(
        self, method: str, blocks: range | None, avoid: Sequence[Host], strict: bool, tag: str | None = None
    ) -> list[Host]:
        """Returns the usable hosts, the healthiest first. If all are set aside, waits a little or raises the reason."""
        sites = {host.site for host in avoid}
        considered = [host for host in self.hosts if not (strict and host.site in sites)]
        if not considered:
            raise TryAgain(f"No other provider is left for {method}. Add one to RPC_URLS.")
        for waits in (True, False):
            excluded = [(host, host.exclusion(method, blocks, tag)) for host in considered]
            free = [host for host, exclusion in excluded if exclusion is None]
            if free:
                await self._require_reachable(free)
                return self._ranked(free, blocks, sites)
            exclusions = {host: exclusion for host, exclusion in excluded if exclusion is not None}
            if (error := self._final_error(method, exclusions, tag)) is not None:
                raise error
            soonest = min(exclusions.values(), key=lambda exclusion: exclusion.until)
            seconds = soonest.until - self._clock()
            if not waits or seconds > LONGEST_WAIT_SECONDS:
                break
            is_away = all(host.away is not None for host in considered)
            await (self.pause if is_away else self._sleep)(max(seconds, 0.0))
        raise soonest.error.with_traceback(None)

    async def _require_reachable(self, hosts: Sequence[Host]) -> None:
        """Raises the last failure of a host if no host is reachable and none responds to a probe."""
        failures = [host.unreachable for host in hosts if host.unreachable is not None]
        if len(failures) == len(hosts) and not await self._probe():
            raise failures[0].with_traceback(None)

    def _final_error(self, method: str, exclusions: Mapping[Host, Exclusion], tag: str | None) -> TryAgain | None:
        """Returns the error if the caller must send another request instead of waiting for an excluded host."""
        if tag is not None and (unknown := self._unknown_tag(tag)) is not None:
            return unknown
        if method == "eth_getBlockReceipts":  # receipts can be requested one by one
            for host, exclusion in exclusions.items():
                if host.away is None:
                    return exclusion.error.with_traceback(None)
        limits = [exclusion.error for exclusion in exclusions.values() if span_of(exclusion.error) > 0]
        return max(limits, key=span_of, default=None)

    def _ranked(self, hosts: list[Host], blocks: range | None, avoided_sites: Collection[str]) -> list[Host]:
        if len(hosts) == 1:
            return hosts
        best_head = max(host.head for host in self.hosts)
        needed = best_head - LAG_BLOCKS if blocks is None else blocks[-1]
        best = min((host.latency for host in hosts if host.latency is not None), default=0.0)

        def rank(host: Host) -> tuple[bool, bool, bool, float]:
            lags = 0 <= host.head < min(needed, best_head)
            score = host.score(best) * (FAVORITE_FACTOR if host is self._favorite else 1.0)
            return host.unreachable is not None, host.site in avoided_sites, lags, score

        ranked = sorted(hosts, key=rank)
        if not avoided_sites:
            self._favorite = ranked[0]
        return ranked

    # Requests to each host

    async def _chain_id_of(self, host: Host) -> int:
        return _id(host, await self._call_host(host, "eth_chainId", [], str))

    async def _confirm(self, host: Host, chain_id: int) -> None:
        id = _id(host, await host.endpoint.call("eth_chainId", [], str))
        if id != chain_id:
            error = NoAnswer(f"{host.name} is a node of chain {id}, not of chain {chain_id}.")
            host.on_wrong_chain(error)
            raise error
        host.confirmed = True

    async def _read_heads(self) -> None:
        """Reads the heads of all hosts, unless that was done HEADS_SECONDS ago or less."""
        now = self._clock()
        if now - self._heads_read_at < HEADS_SECONDS:
            return
        self._heads_read_at = now
        await asyncio.gather(
            *(self._read_head(host) for host in self.hosts if host.exclusion("eth_blockNumber", None) is None)
        )

    async def _read_head(self, host: Host) -> None:
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_SECONDS):
                host.head = int(await self._call_host(host, "eth_blockNumber", [], str), 16)
        except RpcError as error:
            record_refusal(host, "eth_blockNumber", None, error)
        except (TryAgain, ValueError) as error:
            host.failed(error if isinstance(error, TryAgain) else NoAnswer(f"{host.name}: {error}"))
        except TimeoutError:
            host.failed(NoAnswer(f"{host.name} did not answer eth_blockNumber in {HEAD_TIMEOUT_SECONDS:g} s."))


@asynccontextmanager
async def open_pool(urls: Sequence[str], chain_id: int, headers: SiteHeaders = ()) -> AsyncIterator[Pool]:
    """Yields the providers of a chain and closes their connections at the end. Raises what `check_chain` raises."""
    pool = Pool(urls, headers)
    try:
        await pool.check_chain(chain_id)
        yield pool
    finally:
        await pool.close()


def check_chain_id(expected: int, actual: int, name: str) -> None:
    """Raises Stop if a node serves another network than the settings or the other nodes name."""
    if expected != actual:
        raise Stop(f"{name} is a node of chain {actual}, not of chain {expected}. Correct RPC_URLS or CHAIN_ID.")


def _id(host: Host, result: str) -> int:
    try:
        return int(result, 16)
    except ValueError:
        raise NoAnswer(f"{host.name} returned {result!r} instead of a chain id.") from None


def _covering(ranges: Sequence[range | None]) -> range | None:
    known = [blocks for blocks in ranges if blocks is not None]
    return range(min(blocks.start for blocks in known), max(blocks.stop for blocks in known)) if known else None


def _names(urls: Sequence[str]) -> list[str]:
    """Returns each URL without its key; equal names get a number."""
    seen: Counter[str] = Counter()
    names = []
    for name in map(shown_url, urls):
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names
