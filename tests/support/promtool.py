"""Prometheus's tool that checks and tests rules."""

import shutil
import subprocess
from pathlib import Path


def promtool(*arguments: str | Path) -> str:
    """Returns what promtool prints. Fails if it fails."""
    program = shutil.which("promtool")
    if program is None:
        raise RuntimeError("no promtool on PATH: apt-get install prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
