"""What the explorer serves is what its sources give."""

import subprocess
from pathlib import Path

import pytest

from scripts.explorer.declarations import PATH, declarations_json
from tests.support.chain.devchain import REPOSITORY

STATIC = REPOSITORY / "api" / "explorer" / "static"


def test_the_declarations_are_those_of_the_code() -> None:
    assert PATH.read_text() == declarations_json(), "run python -m scripts.explorer, then scripts/build-explorer"


@pytest.mark.slow
def test_the_scripts_are_built_from_their_sources(tmp_path: Path) -> None:
    subprocess.run([REPOSITORY / "scripts" / "build-explorer", tmp_path], check=True, capture_output=True)
    built = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {"check.js", "explorer.js", "node.js", "LICENSES.txt"} <= built.keys()
    for name, content in built.items():
        assert (STATIC / name).read_text() == content, f"{name} is not what scripts/build-explorer makes"
