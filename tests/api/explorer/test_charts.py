"""Where the bars of a chart stand."""

import pytest

from api.explorer.charts import HEIGHT, MONTHS, WIDTH, Share, bars, months_between, rates, recent_months, shares


def test_bars_fill_the_drawing_and_are_as_high_as_their_counts() -> None:
    low, none, high = bars([("a", 50), ("b", 0), ("c", 100)])
    assert (low.height, none.height, high.height) == (HEIGHT / 2, 0, HEIGHT)
    assert (low.y, high.y) == (HEIGHT / 2, 0)
    assert low.x == 0
    assert high.x + high.width <= WIDTH


@pytest.mark.parametrize("values", [[], [("a", 0)]])
def test_a_chart_of_nothing_has_no_bar_with_a_height(values: list[tuple[str, int]]) -> None:
    assert [bar for bar in bars(values) if bar.height] == []


def test_a_count_is_seen_beside_a_much_larger_one() -> None:
    assert bars([("a", 1), ("b", 10**9)])[0].height == 1


def test_small_parts_are_one_rest() -> None:
    values = [("a", 1), (None, 5), ("b", 3), ("c", 1)]
    assert shares(values, 4) == [Share(None, 5, 10), Share("b", 3, 10), Share("a", 1, 10), Share("c", 1, 10)]
    assert shares(values, 2) == [Share(None, 5, 10), Share(None, 5, 10, is_rest=True)]
    assert shares([], 2) == []


def test_months_follow_each_other_over_the_end_of_a_year() -> None:
    assert list(months_between("2024-11", "2025-02")) == ["2024-11", "2024-12", "2025-01", "2025-02"]


def test_a_bar_stands_for_the_share_that_failed_not_for_the_number() -> None:
    many, none, few, nothing = rates([("a", 100, 10), ("b", 50, 0), ("c", 4, 2), ("d", 0, 0)])
    assert (few.bar.height, many.bar.height) == (HEIGHT, HEIGHT / 5)
    assert none.bar.height == nothing.bar.height == 0
    assert (many.count, many.failed) == (100, 10)
    (rare,) = rates([("a", 10**6, 1)])
    assert rare.bar.height > 0


def test_recent_months_end_with_the_present_or_with_the_last_month_that_is_named() -> None:
    assert recent_months(["2025-01"], "2025-03") == ["2025-01", "2025-02", "2025-03"]
    assert recent_months([], "2025-03") == ["2025-03"]
    assert recent_months(["2026-01"], "2025-12") == ["2025-12", "2026-01"]
    assert len(recent_months(["1970-01"], "2025-03")) == MONTHS
