"""./scripts/cluster: its options, and how it measures. The whole runs in .ci/run."""

import time

import pytest

from scripts.clustering.__main__ import main
from scripts.clustering.cluster import longest_pause
from scripts.clustering.part_logs import PartLogs


def test_wrong_minutes_are_named_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--minutes", "soon"])
    assert ended.value.code == 2
    assert '"soon" is not a number of minutes. Example: --minutes 10' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("moments", "seconds"), [([], 10.0), ([0.0, 4.0, 5.0, 99.0], 5.0), ([1.0, 2.0, 9.0], 7.0), ([7.0], 7.0)]
)
def test_a_pause_includes_the_time_before_the_first_moment_and_after_the_last(
    moments: list[float], seconds: float
) -> None:
    assert longest_pause(moments, 0.0, 10.0).seconds == seconds


def test_what_the_parts_said_is_shown_once_with_its_moments_and_without_usual_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs, now = PartLogs(), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines = (
        *("2026-01-01 10:00:00,123 INFO: no action. I am (pg0)", "2026-01-01 10:00:00,123 INFO: demoted self"),
        "2026-01-01 10:00:02,456 INFO: demoted self",
    )
    for now[0], line in zip((101.0, 102.0, 104.5), lines, strict=True):
        logs.of("pg0")(line)
    assert logs.between(100.0, 103.0) == ["+2.0 s pg0: INFO: demoted self"]
    assert logs.between(100.0, 110.0) == ["+2.0 s pg0: INFO: demoted self (2 times, last at +4.5 s)"]
