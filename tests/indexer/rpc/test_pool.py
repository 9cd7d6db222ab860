"""Several providers as one: which is asked, which pauses for how long, and what is remembered of each."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.wire import WrongAnswer
from indexer.errors import Stop, TryAgain
from indexer.rpc.adaptive_limit import AdaptiveLimit
from indexer.rpc.backoff import LONGEST_WAIT_SECONDS, wait_seconds
from indexer.rpc.errors import NoAnswer, RpcError
from indexer.rpc.pool import Pool
from indexer.rpc.refusals import GiveUp, HistoryGone, ShrinkTo
from indexer.rpc.size_limit import FIRST_PAUSE_SECONDS
from tests.support.rpc import faults
from tests.support.rpc.clock import Clock
from tests.support.rpc.faultproxy import Exchange, FaultProxy

BLOCK = ["0x64", False]


async def answers(method: str, params: list[Any]) -> dict[str, Any]:
    """A node of chain 1 whose head is block 1,000."""
    match method:
        case "eth_chainId":
            return {"result": "0x1"}
        case "eth_blockNumber":
            return {"result": "0x3e8"}
        case "eth_getLogs":
            return {"result": []}
        case _:
            return {"result": "0x1"}


@asynccontextmanager
async def pool_of(count: int, clock: Clock | None = None) -> AsyncIterator[tuple[Pool, list[FaultProxy]]]:
    clock = clock or Clock()
    proxies = [FaultProxy(answers) for _ in range(count)]
    for proxy in proxies:
        await proxy.__aenter__()
    pool = Pool([proxy.url for proxy in proxies], clock=clock, sleep=clock.sleep, jitter=lambda: 1.0, timeout=5)
    try:
        yield pool, proxies
    finally:
        await pool.close()
        for proxy in proxies:
            await proxy.__aexit__()


def refusing(message: str, *, code: int = -32000, status: int = 200) -> Callable[[Exchange], bool]:
    def refuse(exchange: Exchange) -> bool:
        exchange.refuse(message, code=code, status=status)
        return True

    return refuse


def logs_of(first: int, last: int) -> list[Any]:
    return [{"fromBlock": hex(first), "toBlock": hex(last), "address": []}]


# Failing over


@pytest.mark.parametrize(
    "fault", [faults.html_with_status_200, faults.error_with_status_200, faults.truncated_body, faults.rate_limited]
)
async def test_what_one_provider_does_not_answer_is_asked_of_the_next(fault: Any) -> None:
    async with pool_of(2) as (pool, [one, other]):
        one.inject(fault)
        assert (await pool.call("eth_call", [{}, "0x1"], str)).result == "0x1"
        assert (len(one.calls), len(other.calls)) == (1, 1)


async def test_the_last_failure_is_told_when_nobody_answers() -> None:
    async with pool_of(2) as (pool, proxies):
        for proxy in proxies:
            proxy.inject(refusing("Internal error", code=-32603))
        with pytest.raises(RpcError, match="Internal error"):
            await pool.call("eth_call", [{}, "0x1"], str)
        assert [len(proxy.calls) for proxy in proxies] == [4, 4]


async def test_a_provider_that_failed_is_asked_again_after_a_while_and_kept_when_it_answers() -> None:
    clock = Clock()
    async with pool_of(2, clock) as (pool, [one, other]):
        struck = one.inject(faults.html_with_status_200, times=6)
        for _ in range(600):
            assert (await pool.call("eth_call", [{}, "0x1"], str)).result == "0x1"
            clock.now += 1.0
        assert struck.struck == 6
        assert len(one.calls) > 6
        assert len(other.calls) > 200


async def test_a_provider_that_keeps_failing_is_set_aside_longer_each_time_up_to_half_a_minute() -> None:
    clock = Clock()
    async with pool_of(1, clock) as (pool, _):
        [host] = pool.hosts
        pauses = []
        for _ in range(12):
            host.failed(TryAgain("down"))
            pauses.append(host.away.until - clock.now if host.away else 0.0)
        assert pauses[:4] == pytest.approx([0.0, 0.2, 0.4, 0.8])
        assert pauses == sorted(pauses)
        assert pauses[-1] == pytest.approx(30)
        clock.now += 31
        assert host.away is None


async def test_of_two_good_providers_the_quicker_is_asked() -> None:
    clock = Clock()

    def delayed(exchange: Exchange) -> bool:
        clock.now += 0.03
        return True

    async with pool_of(2, clock) as (pool, [slow, quick]):
        slow.inject(delayed)
        for _ in range(12):
            await pool.call("eth_call", [{}, "0x1"], str)
        assert (len(slow.calls), len(quick.calls)) == (1, 11)


async def test_a_block_that_one_provider_has_not_got_is_asked_of_the_next_and_null_if_nobody_has_it() -> None:
    async with pool_of(2) as (pool, [one, other]):
        one.inject(nothing_there)
        assert (await pool.call("eth_getBlockByNumber", BLOCK, str | None)).result == "0x1"  # type: ignore[arg-type]  # a union is no type[]
        other.inject(nothing_there)
        assert (await pool.call("eth_getBlockByNumber", BLOCK, str | None)).result is None  # type: ignore[arg-type]  # as above


def nothing_there(exchange: Exchange) -> bool:
    exchange.result = None
    return True


async def test_a_provider_that_stands_still_is_asked_after_those_that_go_on() -> None:
    async with pool_of(2) as (pool, [stuck, other]):
        stuck.inject(standing_still)
        await pool.call("eth_getBlockByNumber", ["latest", False], str)
        assert stuck.calls == ["eth_blockNumber"]
        assert other.calls == ["eth_blockNumber", "eth_getBlockByNumber"]


def standing_still(exchange: Exchange) -> bool:
    exchange.result = "0x64"
    return exchange.method == "eth_blockNumber"


# Backing off


async def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    clock = Clock()
    async with pool_of(1, clock) as (pool, [only]):
        only.inject(told_to_wait(7), times=1)
        assert (await pool.call("eth_call", [{}, "0x1"], str)).result == "0x1"
        assert sum(clock.slept) == pytest.approx(7)
        assert len(only.calls) == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_long_wait_is_told_to_the_caller_and_nothing_is_asked_meanwhile(status: int) -> None:
    clock = Clock()
    async with pool_of(1, clock) as (pool, [only]):
        only.inject(told_to_wait(600, status), times=1)
        for _ in range(3):
            with pytest.raises(RpcError, match=f"HTTP {status}"):
                await pool.call("eth_call", [{}, "0x1"], str)
        assert len(only.calls) == 1
        clock.now += 600
        assert (await pool.call("eth_call", [{}, "0x1"], str)).result == "0x1"


def told_to_wait(seconds: int, status: int = 429) -> Callable[[Exchange], bool]:
    def wait(exchange: Exchange) -> bool:
        exchange.status, exchange.body = status, b"slow down"
        exchange.headers["Retry-After"] = str(seconds)
        return True

    return wait


async def test_a_provider_that_complains_is_asked_less_at_once_and_slowly_more_again() -> None:
    async with pool_of(1) as (pool, [only]):
        limit = pool.hosts[0].limit
        before = limit.size
        only.inject(faults.rate_limited, times=1)
        await pool.call("eth_call", [{}, "0x1"], str)
        shrunk = limit.size
        assert shrunk < before / 2 + 1
        for _ in range(20):
            await pool.call("eth_call", [{}, "0x1"], str)
        assert shrunk < limit.size < before + 3


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_a_wait_is_anything_up_to_a_ceiling_that_doubles_to_half_a_minute(attempt: int, chance: float) -> None:
    ceiling = min(0.2 * 2 ** min(attempt - 1, 20), LONGEST_WAIT_SECONDS)
    assert wait_seconds(attempt, jitter=lambda: chance) == pytest.approx(chance * ceiling)


async def test_never_more_than_the_limit_is_under_way_and_nobody_is_forgotten() -> None:
    limit = AdaptiveLimit(start=3, largest=3)
    under_way, most = 0, 0

    async def work(number: int) -> None:
        nonlocal under_way, most
        async with limit:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    tasks = [asyncio.create_task(work(number)) for number in range(50)]
    await asyncio.sleep(0)
    for task in tasks[5:30:2]:
        task.cancel()
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    assert most == 3
    assert sum(result is None for result in done) == 37
    assert limit.taken == 0


# What is remembered of each


async def test_the_range_limit_of_a_host_is_remembered_and_the_rest_goes_to_another() -> None:
    async with pool_of(2) as (pool, [narrow, wide]):
        narrow.inject(faults.range_hint_with_status_400)
        with pytest.raises(RpcError) as caught:
            await pool.call("eth_getLogs", logs_of(1, 100), list[Any])
        assert caught.value.refusal == ShrinkTo(10)
        assert (await pool.call("eth_getLogs", logs_of(1, 100), list[Any])).result == []
        assert (await pool.call("eth_getLogs", logs_of(1, 10), list[Any])).result == []
        assert (len(narrow.calls) + len(wide.calls), narrow.calls[:1]) == (3, ["eth_getLogs"])


async def test_a_limit_that_is_known_is_told_without_asking_and_grows_again() -> None:
    clock = Clock()
    async with pool_of(1, clock) as (pool, [only]):
        struck = only.inject(faults.range_hint_with_status_400, times=1)
        for _ in range(3):
            with pytest.raises(RpcError) as caught:
                await pool.call("eth_getLogs", logs_of(1, 100), list[Any])
            assert caught.value.refusal == ShrinkTo(10)
        assert (struck.struck, len(only.calls)) == (1, 1)
        clock.now += FIRST_PAUSE_SECONDS
        while (span := pool.hosts[0].span).is_known:
            assert (await pool.call("eth_getLogs", logs_of(1, span.size), list[Any])).result == []
        assert (await pool.call("eth_getLogs", logs_of(1, 1_000_000), list[Any])).result == []


@pytest.mark.parametrize(("said", "asked", "known"), [(10, 100, 10), (100, 100, 99), (500, 100, 50)])
async def test_a_limit_that_the_refused_range_kept_to_counts_as_less(said: int, asked: int, known: int) -> None:
    async with pool_of(1) as (pool, [only]):
        only.inject(refusing(f"Max range: {said}"))
        with pytest.raises(RpcError):
            await pool.call("eth_getLogs", logs_of(1, asked), list[Any])
        assert pool.hosts[0].span.size == known


async def test_a_host_without_old_blocks_is_not_asked_for_them_but_for_newer_ones() -> None:
    async with pool_of(2) as (pool, [pruned, archive]):
        pruned.inject(forgetting_below(500))
        for block in (100, 90, 600):
            assert (await pool.call("eth_call", [{}, hex(block)], str)).result == "0x1"
        assert len(pruned.calls) + len(archive.calls) == 4
        assert len(pruned.calls) >= 1


def forgetting_below(number: int) -> Callable[[Exchange], bool]:
    def forget(exchange: Exchange) -> bool:
        if int(exchange.params[1], 16) >= number:
            return False
        exchange.refuse("missing trie node 7e1f (path )")
        return True

    return forget


async def test_where_nobody_has_a_block_any_more_the_reason_is_told() -> None:
    async with pool_of(2) as (pool, proxies):
        for proxy in proxies:
            proxy.inject(forgetting_below(500))
        for _ in range(2):
            with pytest.raises(RpcError, match="missing trie node") as caught:
                await pool.call("eth_call", [{}, "0x64"], str)
            assert caught.value.refusal == HistoryGone()
        assert [len(proxy.calls) for proxy in proxies] == [1, 1]


async def test_a_method_that_a_host_does_not_offer_is_asked_elsewhere_and_the_host_for_the_rest() -> None:
    async with pool_of(2) as (pool, [one, other]):
        one.inject(faults.no_block_receipts)
        assert (await pool.call("eth_getBlockReceipts", ["0x1"], str)).result == "0x1"
        assert (await pool.call("eth_getBlockReceipts", ["0x1"], str)).result == "0x1"
        assert one.calls == ["eth_getBlockReceipts"]
        other.inject(faults.no_block_receipts)
        with pytest.raises(RpcError) as caught:
            await pool.call("eth_getBlockReceipts", ["0x1"], str)
        assert caught.value.refusal == GiveUp()


# Asking another one


async def test_another_provider_is_asked_for_the_same_where_there_is_one() -> None:
    async with pool_of(2) as (pool, [one, other]):
        first = await pool.call("eth_call", [{}, "0x1"], str)
        second = await pool.call("eth_call", [{}, "0x1"], str, avoid=[first.host])
        assert [proxy.calls for proxy in (one, other)] == [["eth_call"]] * 2
        hosts = [first.host, second.host]
        assert len(set(hosts)) == 2
        assert (await pool.call("eth_call", [{}, "0x1"], str, avoid=hosts)).result == "0x1"  # nobody is left: anyone
        with pytest.raises(TryAgain, match="No other provider"):
            await pool.call("eth_call", [{}, "0x1"], str, avoid=hosts, strict=True)


async def test_a_provider_that_said_something_wrong_is_left_for_another_for_a_while() -> None:
    clock = Clock()
    async with pool_of(2, clock) as (pool, [one, other]):
        params = [{}, "0x1"]
        answer = await pool.call("eth_call", params, str)
        liar, honest = (one, other) if one.calls else (other, one)
        pool.distrust(answer.host, TryAgain("wrong"))
        for _ in range(3):
            await pool.call("eth_call", params, str)
        assert (len(liar.calls), len(honest.calls)) == (1, 3)
        clock.now += 31
        assert all(host.away is None for host in pool.hosts)


async def test_a_wrong_answer_is_never_told_as_the_answer_to_another_question() -> None:
    clock = Clock()
    async with pool_of(2, clock) as (pool, proxies):
        params = [{}, "0x1"]
        answer = await pool.call("eth_call", params, str)
        pool.distrust(answer.host, WrongAnswer("a removed log"))
        for proxy in proxies:
            proxy.inject(told_to_wait(600))
        for _ in range(2):
            with pytest.raises(TryAgain) as told:
                await pool.call("eth_chainId", [], str)
        assert not isinstance(told.value, WrongAnswer)
        assert "is set aside for a while: a removed log" in str(told.value)


async def test_the_only_provider_is_not_set_aside_for_a_wrong_answer() -> None:
    async with pool_of(1) as (pool, _):
        await pool.call("eth_call", [{}, "0x1"], str)
        pool.distrust(pool.hosts[0], TryAgain("wrong"))
        assert (await pool.call("eth_call", [{}, "0x1"], str)).result == "0x1"


# Chains


async def test_all_providers_must_be_of_the_wanted_chain() -> None:
    async with pool_of(2) as (pool, [_, other]):
        assert await pool.check_chain(None) == 1
        with pytest.raises(Stop, match="is a node of chain 1, not of chain 137"):
            await pool.check_chain(137)
        other.inject(faults.wrong_chain_id)
        with pytest.raises(Stop, match=r"#?.*is a node of chain 5, not of chain 1"):
            await pool.check_chain(None)


async def test_a_key_that_nobody_takes_is_a_stop_and_silence_is_not() -> None:
    async with pool_of(1) as (pool, [only]):
        only.inject(faults.invalid_key, times=1)
        with pytest.raises(Stop, match=r"invalid api key: \*\*\*\. Correct RPC_URLS"):
            await pool.check_chain(None)
        only.inject(faults.truncated_body, times=1)
        with pytest.raises(TryAgain, match="did not answer eth_chainId"):
            await pool.check_chain(None)


# Counting


async def test_requests_errors_retries_and_latency_are_counted_by_host_and_method() -> None:
    async with pool_of(2) as (pool, [one, _]):
        one.inject(faults.html_with_status_200, times=1)
        await pool.call("eth_call", [{}, "0x1"], str)
        first, second = (host.counts["eth_call"] for host in pool.hosts)
        assert (first.requests, first.errors, first.retries) == (1, {"NoAnswer": 1}, 0)
        assert (second.requests, second.errors, second.retries) == (1, {}, 1)
        samples = {sample.name: sample.value for family in first.latency.collect() for sample in family.samples}
        assert samples["seconds_count"] == 1


async def test_keys_are_in_no_name_and_no_error() -> None:
    async with pool_of(2) as (pool, [one, other]):
        for proxy in (one, other):
            proxy.inject(faults.truncated_json)
        with pytest.raises(NoAnswer) as caught:
            await pool.call("eth_call", [{}, "0x1"], str)
        assert "secret" not in str(caught.value) + "".join(host.name + host.site for host in pool.hosts)


async def test_two_urls_of_one_host_have_two_names() -> None:
    pool = Pool(["https://rpc.example/key-one", "https://rpc.example/key-two"])
    assert [host.name for host in pool.hosts] == ["https://rpc.example/...", "https://rpc.example/...#2"]
    assert {host.site for host in pool.hosts} == {"rpc.example"}
