"""The hooks of pre-commit run what scripts/check runs."""

import re

from tests.support.chain.devchain import REPOSITORY


def test_the_hooks_are_the_commands_of_the_check() -> None:
    hooks = re.findall(r"entry: \.venv/bin/(.*)", (REPOSITORY / ".pre-commit-config.yaml").read_text())
    check = (REPOSITORY / "scripts" / "check").read_text()
    assert hooks == re.findall(r'^echo "check: .*" && (.*)$', check, re.MULTILINE)
