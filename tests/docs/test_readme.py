"""The README lists the settings, events, flags and commands that exist; its examples have the answers it shows."""

import json
import re

import pytest

from indexer.__main__ import main
from schema.events import FACT_TYPES
from schema.profile.model import load_profile, parse_profile
from schema.vocabulary import EventFlag
from scripts.devchain import REPOSITORY
from scripts.documentation.settings import README, with_tables
from tests.support.api.asking import Api

TEXT = README.read_text()
MEANING = (REPOSITORY / "docs" / "how-it-works" / "meaning.md").read_text()
EXAMPLES = re.findall(r"```graphql\n(.*?)```\s*```json\n(.*?)```", TEXT, re.DOTALL)


def first_column(text: str, heading: str) -> list[str]:
    """Returns the first cells of the table whose head begins with a word."""
    rows = text[text.index(f"| {heading} |") :].splitlines()[2:]
    names = []
    for row in rows:
        if not row.startswith("|"):
            break
        names.append(row.split("|")[1].strip())
    return names


def test_the_settings_are_those_that_are_declared() -> None:
    assert with_tables(TEXT) == TEXT, "run: python -m scripts.documentation"


def test_every_fact_of_the_reference_contract_is_listed() -> None:
    told = {rule.fact_type.__name__ for rule in load_profile("device-certificate").rules}
    assert first_column(TEXT, "fact") == [fact for fact in FACT_TYPES if fact in told]


def test_every_flag_is_explained() -> None:
    assert first_column(MEANING, "flag") == [flag.name for flag in EventFlag]


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    commands = re.findall(r"^    (\w+)(?: |$)", printed, re.MULTILINE)
    listed = re.findall(r"`certindex (\w+)", "\n".join(first_column(TEXT, "command")))
    assert sorted(listed) == sorted(commands)


def test_the_profile_that_is_shown_is_one() -> None:
    shown = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert shown is not None
    assert [rule.event.name for rule in parse_profile(shown[1], "README.md").rules] == ["Born", "Upgraded"]


def test_the_files_that_are_named_exist() -> None:
    for name in re.findall(r"`((?:schema|indexer|api|scripts|docs|\./scripts)/[\w./-]+)`", TEXT):
        assert (REPOSITORY / name).exists(), name
    for name in re.findall(r"\]\(([\w./-]+)\)", TEXT):
        assert (REPOSITORY / name).exists(), name


async def test_the_questions_have_the_answers_that_are_shown(api: Api) -> None:
    assert len(EXAMPLES) == 3
    for query, answer in EXAMPLES:
        assert await api.ask(query) == json.loads(answer)
