"""The files of scripts/deploy as hadolint, checkov and the Compose Specification judge them.

Prints a line for each check. Ends with status 1 if one fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from compose_spec import PyCompose

DEPLOY = Path(__file__).parents[1] / "deploy"
CONTAINERFILE = DEPLOY / "container/Containerfile"
COMPOSE = DEPLOY / "container/compose.yml"
OFFLINE = {"BC_SKIP_MAPPING": "TRUE"}
"""Keeps checkov from fetching its guidelines."""


def main() -> int:
    """Runs all checks and returns the exit status."""
    failures = 0
    for name, check in _checks():
        try:
            check()
            print(f"ok  {name}")
        except Exception as error:
            print(f"FAIL {name}: {error}")
            failures += 1
    return int(failures > 0)


def _checks() -> Iterator[tuple[str, Callable[[], object]]]:
    yield "hadolint accepts the Containerfile", _hadolint
    yield "checkov accepts the Containerfile", lambda: _checkov("dockerfile", "Dockerfile", CONTAINERFILE.read_text())
    yield "the compose file is of the Compose Specification", _compose


def _hadolint() -> None:
    _run(Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", CONTAINERFILE)


def _checkov(framework: str, name: str, text: str) -> None:
    """Raises if checkov fails a check of this text, or runs none. It knows what a file is by its name."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(text)
        scan = ("--framework", framework, "--directory", folder)
        output = _run(sys.executable, "-m", "checkov.main", *scan, "--compact", "--quiet", "--skip-download")
    if not re.search(r"Passed checks: [1-9]\d*, Failed checks: 0, Skipped checks: 0", output):
        raise ValueError(output)


def _compose() -> None:
    # with its anchors resolved, as `docker compose` does
    PyCompose.from_json(json.dumps(yaml.safe_load(COMPOSE.read_text()))).validate()


def _run(*command: str | Path) -> str:
    """Returns the output. Raises with it if the status is not 0."""
    done = subprocess.run(command, env=os.environ | OFFLINE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
