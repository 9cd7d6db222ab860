"""The command lines. `certindex` runs in this process: starting Python for each command would take most of a test."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Protocol

import pytest

from indexer.__main__ import main


@dataclass(frozen=True, slots=True)
class Done:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str


class Certindex(Protocol):
    def __call__(self, *arguments: str, database_url: str | None = None) -> Done: ...


def runner(capsys: pytest.CaptureFixture[str]) -> Certindex:
    """Returns a function that runs a command as `certindex` does, with the database as an option."""

    def run(*arguments: str, database_url: str | None = None) -> Done:
        capsys.readouterr()
        database = () if database_url is None else ("--database-url", database_url)
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *database])
        output = capsys.readouterr()
        return Done(int(ended.value.code or 0), output.out, output.err)

    return run


def certindex_api(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "HOST", "PORT")}
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        env={**inherited, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
