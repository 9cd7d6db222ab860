"""Splitting a refused log query: the parts ask for exactly the same logs, whatever the provider's refusal says."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.log_query import SIDE_BY_SIDE, LogQuery, divide
from indexer.rpc.refusals import (
    BackOff,
    GiveUp,
    HalveQuery,
    HistoryGone,
    LimitExceeded,
    Refusal,
    ShrinkTo,
    SmallerBatch,
    SplitAddresses,
    Unknown,
    UseRange,
    WaitForHead,
)

numbers = st.integers(0, 400)
refusals = st.one_of(
    st.builds(ShrinkTo, st.integers(1, 500)),
    st.builds(UseRange, numbers, numbers),
    st.sampled_from([HalveQuery(), SplitAddresses(), SmallerBatch(), LimitExceeded(), Unknown()]),
)
queries = st.builds(
    lambda first, blocks, addresses: LogQuery(
        first, first + blocks, [f"0x{number:040x}" for number in range(addresses)]
    ),
    numbers,
    st.integers(0, 300),
    st.integers(1, 5),
)


@given(query=queries, refusal=refusals)
def test_the_parts_ask_for_exactly_the_same_and_each_for_less(query: LogQuery, refusal: Refusal) -> None:
    parts = cut(query, refusal)
    asked = [
        (block, address) for part in parts for block in range(part.first, part.last + 1) for address in part.addresses
    ]
    whole = [(block, address) for block in range(query.first, query.last + 1) for address in query.addresses]
    assert not parts or sorted(asked) == sorted(whole)
    assert all(part.blocks * len(part.addresses) < len(whole) for part in parts)


@given(query=queries, refusal=refusals)
def test_a_query_is_cut_to_the_end_or_not_at_all(query: LogQuery, refusal: Refusal) -> None:
    pending, rounds = [query], 0
    while pending:
        pending = [part for asked in pending[:3] for part in cut(asked, refusal)]
        rounds += 1
        assert rounds < 500


def test_a_limit_of_so_many_blocks_counts_both_ends() -> None:
    parts = cut(LogQuery(100, 124, []), ShrinkTo(10))
    assert [(part.first, part.last) for part in parts] == [(100, 109), (110, 119), (120, 124)]


def test_a_suggested_range_is_used_as_it_is() -> None:
    parts = cut(LogQuery(100, 124, []), UseRange(100, 106))
    assert [(part.first, part.last) for part in parts] == [(100, 106), (107, 124)]
    parts = cut(LogQuery(100, 124, []), UseRange(110, 111))
    assert [(part.first, part.last) for part in parts] == [(100, 109), (110, 111), (112, 124)]


def test_a_suggestion_of_other_blocks_is_no_help() -> None:
    for outside in (UseRange(0, 50), UseRange(100, 124), UseRange(120, 130)):
        assert [(part.first, part.last) for part in cut(LogQuery(100, 124, []), outside)] == [(100, 112), (113, 124)]


def test_addresses_are_split_before_blocks() -> None:
    parts = cut(LogQuery(1, 9, ["a", "b", "c"]), SplitAddresses())
    assert [(part.first, part.last, part.addresses) for part in parts] == [(1, 9, ["a"]), (1, 9, ["b", "c"])]


def test_if_it_is_unclear_whether_less_helps_the_first_half_shows_it() -> None:
    for refusal in (Unknown(), LimitExceeded(), SmallerBatch()):
        assert [len(parts) for parts in divide(LogQuery(0, 10_000, []), refusal)] == [1, 1]
    assert [len(parts) for parts in divide(LogQuery(0, 10_000, []), HalveQuery())] == [2]


def test_what_comes_after_the_first_parts_is_cut_later_when_the_limit_may_have_grown() -> None:
    first, [rest] = divide(LogQuery(0, 999, []), ShrinkTo(10))
    assert [part.blocks for part in first] == [10] * SIDE_BY_SIDE
    assert (rest.first, rest.last) == (10 * SIDE_BY_SIDE, 999)


def test_a_body_that_is_too_large_for_one_block_has_fewer_addresses() -> None:
    parts = cut(LogQuery(1, 1, ["a", "b"]), SmallerBatch())
    assert [(part.first, part.last, part.addresses) for part in parts] == [(1, 1, ["a"]), (1, 1, ["b"])]


def test_what_time_or_another_provider_must_mend_is_not_cut() -> None:
    for refusal in (BackOff(), WaitForHead(), HistoryGone(), GiveUp()):
        assert divide(LogQuery(0, 10_000, ["a", "b"]), refusal) == []


def cut(query: LogQuery, refusal: Refusal) -> list[LogQuery]:
    return list(chain.from_iterable(divide(query, refusal)))
