"""Positions: the total order of a chain's logs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.tables.values import MAX_OFFSET, block_of, end_of_block, offset_of, offsets, position

INDEXES = (
    st.integers(0, 10)
    | st.integers(MAX_OFFSET - 5, MAX_OFFSET + 5)
    | st.integers(2**32 - 40, 2**32)
    | st.just(2**63 - 1)
)


@given(st.sets(INDEXES).map(sorted))
def test_offsets_keep_the_order_of_any_indexes_and_are_the_indexes_if_these_fit(indexes: list[int]) -> None:
    found = offsets(indexes)
    assert all(first < second for first, second in pairwise(found))
    assert all(0 <= offset <= MAX_OFFSET for offset in found)
    if not indexes or indexes[-1] <= MAX_OFFSET:
        assert found == indexes


def test_the_last_logs_have_the_last_offsets_if_an_index_is_too_large() -> None:
    assert offsets([0, 7, MAX_OFFSET + 1, 2**32 - 1]) == [0, 7, MAX_OFFSET - 1, MAX_OFFSET]
    assert offsets([MAX_OFFSET, MAX_OFFSET + 1]) == [MAX_OFFSET - 1, MAX_OFFSET]
    assert offsets([2, 2, 2, 3, 9]) == [2, 3, 4, 5, 9]
    assert offsets([2, 2, MAX_OFFSET, MAX_OFFSET, MAX_OFFSET]) == [2, 3, MAX_OFFSET - 2, MAX_OFFSET - 1, MAX_OFFSET]


def test_more_logs_than_offsets_are_seen_by_a_negative_one() -> None:
    assert offsets(range(1, MAX_OFFSET + 3))[0] == -1


def test_a_position_holds_block_and_offset() -> None:
    assert (block_of(position(9, 5)), offset_of(position(9, 5))) == (9, 5)
    assert end_of_block(9) == position(9, MAX_OFFSET)
    with pytest.raises(OverflowError, match="log 1048576 of block 9 has no position"):
        position(9, MAX_OFFSET + 1)
