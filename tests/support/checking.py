"""The check of bundles, done twice: by `indexer.check`, and by the script that the explorer serves, run under Node.

Every bundle that a test checks here is part of the corpus on which both must agree, in verdict and words.
"""

import atexit
import base64
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from indexer.check import bundle as python
from indexer.check.__main__ import report
from indexer.check.bundle import Checked, Failed
from schema.abi.keccak import keccak256
from schema.bundle.document import canonical
from tests.support.chain.devchain import REPOSITORY

SCRIPT = REPOSITORY / "api" / "explorer" / "static" / "check.js"
RUNNER = Path(__file__).parent / "checking.cjs"

OWN_WORDS = (
    "the file is no bundle of a known format: ",
    "the header cannot be read: ",
    "the profile cannot be used: ",
    "the profile is named ",
    "the proof cannot be read: ",
)
"""After these the words are those of a library: of the JSON, TOML or RLP reader."""


def check(data: bytes, trusted: Mapping[int, bytes]) -> Checked:
    """Checks a bundle as `indexer.check` does, and asserts that the browser's check says the same. Raises Failed."""
    result = check_in_browser(data, trusted)
    checked = _checked(data, trusted)
    if isinstance(checked, Failed):
        assert result["verdict"] == "FAIL"
        assert _comparable(result["report"]) == _comparable(f"FAIL {checked}")
        raise checked
    assert result["verdict"] == ("PASS" if checked.is_complete else "INCOMPLETE")
    assert result["report"] == report(checked)
    return checked


def resealed(document: Mapping[str, Any]) -> bytes:
    """Returns the document with a manifest that fits it, as a forger of a bundle would."""
    contents = {name: part for name, part in document.items() if name != "manifest"}
    counts = {name: len(contents[name]) for name in ("events", "receipts", "blocks")}
    return canonical(contents | {"manifest": {"hash": f"0x{keccak256(canonical(contents)).hex()}", **counts}})


def _checked(data: bytes, trusted: Mapping[int, bytes]) -> Checked | Failed:
    try:
        return python.check(data, trusted)
    except Failed as failure:
        return failure


def check_in_browser(data: bytes, trusted: Mapping[int, bytes]) -> dict[str, Any]:
    """Returns the result that the browser's check posts to its page."""
    runner = _runner()
    assert runner.stdin is not None
    assert runner.stdout is not None
    hashes = [[number, f"0x{hash.hex()}"] for number, hash in sorted(trusted.items())]
    runner.stdin.write(json.dumps({"bytes": base64.b64encode(data).decode(), "trusted": hashes}) + "\n")
    runner.stdin.flush()
    message: dict[str, Any] = json.loads(runner.stdout.readline())
    assert "error" not in message, message["error"]
    result: dict[str, Any] = message["result"]
    return result


def _comparable(text: str) -> str:
    for words in OWN_WORDS:
        before, found, _ = text.partition(words)
        if found:
            return before + found
    return text


@cache
def _runner() -> subprocess.Popen[str]:
    """Returns Node with the script: started once, since it takes most of the time."""
    runner = subprocess.Popen(
        ["node", RUNNER, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    atexit.register(runner.kill)
    return runner
