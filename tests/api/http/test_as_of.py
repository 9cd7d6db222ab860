"""The parameter `asOf` of addresses."""

from datetime import UTC, datetime

import pytest

from api.graphql.errors import BadUserInput
from api.http.as_of import parse_as_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("2025-12-31", {"timestamp": "2025-12-31T23:59:59Z"}),
        ("2025-12-31T12:00", {"timestamp": "2025-12-31T12:00:00Z"}),
        ("2025-12-31 12:00:07", {"timestamp": "2025-12-31T12:00:07Z"}),
        ("2025-12-31T12:00:00+02:00", {"timestamp": "2025-12-31T10:00:00Z"}),
        (" 812 ", {"block": "812"}),
        ("0x" + "aB" * 32, {"blockHash": "0x" + "aB" * 32}),
    ],
)
def test_a_point_is_a_day_a_time_or_a_block(text: str, variable: dict[str, str]) -> None:
    as_of = parse_as_of(text, NOW)
    assert as_of is not None
    assert as_of.variable == variable


@pytest.mark.parametrize("text", ["", "  ", "2026-06-01"])
def test_nothing_and_today_are_the_present(text: str) -> None:
    assert parse_as_of(text, NOW) is None


@pytest.mark.parametrize(
    "text",
    ["yesterday", "2025-02-30", "2025-13-01T00:00", "0000-01-01", "0x12", "-5", "1.5", "٣", "2025-12-31T25:00", "<b>",
     "0001-01-01T00:00+14:00", "9" * 21],
)  # fmt: skip
def test_anything_else_is_refused_with_the_ways_to_name_a_point(text: str) -> None:
    with pytest.raises(BadUserInput, match=r"^--as-of is .*2025-06-01T12:00Z"):
        parse_as_of(text, NOW, "--as-of")
