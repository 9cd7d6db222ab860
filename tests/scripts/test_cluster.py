"""./scripts/cluster: its options, and how it measures. The whole runs in .ci/run."""

import pytest

from scripts.clustering.__main__ import main
from scripts.clustering.cluster import longest_pause


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
    assert longest_pause(moments, 0.0, 10.0) == seconds
