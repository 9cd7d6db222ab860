"""The systemd units of scripts/deploy/systemd: systemd-analyze verifies them, and rates how much they are exposed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.documentation.tables import REPOSITORY

UNITS = sorted((REPOSITORY / "scripts/deploy/systemd").glob("*.service"))
MOST_EXPOSED = 30
"""In tenths, of 100: systemd calls a service below 5.0 moderately exposed at most."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        raise RuntimeError("no systemd-analyze on PATH: apt-get install systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_valid_and_hardened(unit: Path, tmp_path: Path) -> None:
    rated = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)
    assert rated.returncode == 0, rated.stdout[-200:]
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/opt/certindex/bin/\S+", "/bin/true", unit.read_text()))  # it is not installed here
    verified = analyze("verify", copy)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_units_are_those_of_all_programs() -> None:
    names = [unit.name for unit in UNITS]
    assert names == ["certindex-api.service", "certindex-deliver.service", "certindex.service"]
