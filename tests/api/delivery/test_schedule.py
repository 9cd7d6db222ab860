"""The schedule of attempts is that of Standard Webhooks, with jitter; Retry-After is a number or a date."""

import pytest

from api.delivery.schedule import BROKER_SECONDS, delay_after, retry_after

HOUR = 3600
SCHEDULE = (5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
NOW = 1_700_000_000.0


def test_delays_grow_by_the_schedule_and_the_last_repeats() -> None:
    for failures, seconds in enumerate((*SCHEDULE, 24 * HOUR, 24 * HOUR), 1):
        delays = {delay_after(failures) for _ in range(50)}
        assert all(0.9 * seconds <= delay <= 1.1 * seconds for delay in delays)
        assert len(delays) > 40, "without jitter all receivers are called at once"


def test_a_broker_is_tried_again_soon() -> None:
    delays = [delay_after(failures, BROKER_SECONDS) for failures in range(1, 12)]
    assert delays[0] < 6
    assert all(27 <= delay <= 33 for delay in delays[1:])


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", 1),
        ("999999999", 24 * HOUR),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2000 22:14:20 GMT", 1),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
