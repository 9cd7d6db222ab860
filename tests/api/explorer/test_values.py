"""How values are written on a page."""

from datetime import UTC, datetime

import pytest

from api.explorer import values

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SN-1", "SN-1"),
        ("a\x00b", "a␀b"),
        ("a\nb\x7f", "a␊b␡"),
        ("\x85", "[U+0085]"),
        ("abc\u202edef", "abc[U+202E]def"),
        ("a\u200b\u2066\ufeff", "a[U+200B][U+2066][U+FEFF]"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * values.MARKS),
        ("👩\u200d🔧 שלום", "👩\u200d🔧 שלום"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_a_text_of_the_chain_shows_what_is_invisible(text: str, shown: str) -> None:
    assert values.visible(text) == shown


def test_a_long_text_is_cut_off_and_kept_whole() -> None:
    text = values.chain_text("x" * 9_000)
    assert (len(text.shown), len(text.whole), text.length, text.is_long) == (values.LONG, 9_000, 9_000, True)
    assert len(values.chain_text("x" * 100_000).whole) == values.LONGEST
    assert not values.chain_text("x" * values.LONG).is_long
    assert values.chain_short("x" * 100) == "x" * values.SHORT + "…"


@pytest.mark.parametrize(
    ("instant", "age"),
    [
        ("2026-06-01T12:00:00Z", "just now"),
        ("2026-06-01T11:59:59Z", "1 second ago"),
        ("2026-06-01T11:00:01Z", "59 minutes ago"),
        ("2026-05-31T12:00:00Z", "1 day ago"),
        ("2026-01-01T12:00:00Z", "4 months ago"),
        ("2020-06-01T12:00:00Z", "5 years ago"),
        ("2026-06-13T12:00:00Z", "in 12 days"),
        ("9999-12-31T23:59:59Z", "in 7973 years"),
        ("1970-01-01T00:00:00Z", "56 years ago"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(instant: str, age: str) -> None:
    assert values.age(instant, NOW) == age


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        ("1429", "1,429"),
        (2**256 - 1, "1157920892…639935"),
        ("-5", "-5"),
    ],
)
def test_a_number_has_separators_and_a_long_id_is_shortened(value: object, shown: str) -> None:
    assert values.number(value) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 0, "none"), (0, 9, "0 %"), (9, 9, "100 %"), (1, 3, "33 %"), (1, 20, "5.0 %"), (1, 10**6, "0.1 %"),
     (10**6 - 1, 10**6, "99.9 %")],
)  # fmt: skip
def test_a_share_is_nothing_or_all_only_if_it_is(part: int, whole: int, shown: str) -> None:
    assert values.percent(part, whole) == shown


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://reports.example/1.pdf", "reports.example"),
        ("HTTP://Reports.example", "reports.example"),
        ("javascript:alert(1)", None),
        ("data:text/html,<script>", None),
        ("ipfs://bafy", None),
        ("https://", None),
        ("https://[::1", None),
        ("https://good.example\u202e@evil.example", None),
        ("//evil.example", None),
        ("", None),
    ],
)
def test_only_an_address_of_the_web_becomes_a_link(uri: str, host: str | None) -> None:
    assert values.web_host(uri) == host
