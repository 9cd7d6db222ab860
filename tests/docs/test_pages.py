"""What the documentation lists is what there is, and its answers are those of the demo's fleet."""

import json
import re
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, parse, validate

from api.graphql.errors import Code, Reason
from indexer.__main__ import main
from schema.events import FACT_TYPES
from schema.profile.model import parse_profile
from schema.vocabulary import EventFlag
from scripts.documentation.tables import REPOSITORY, TABLES, with_tables
from tests.support.api.asking import SCHEMA, Api

DOCS = REPOSITORY / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")])


def page(name: str) -> str:
    return (DOCS / name).read_text()


def rows(text: str, heading: str) -> list[list[str]]:
    """Returns the cells of the table whose head begins with a word."""
    cells = []
    for row in text[text.index(f"| {heading} |") :].splitlines()[2:]:
        if not row.startswith("|"):
            break
        cells.append([cell.strip() for cell in row.strip("|").split("|")])
    return cells


def first_column(text: str, heading: str) -> list[str]:
    return [cells[0] for cells in rows(text, heading)]


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_that_the_code_declares(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    assert with_tables(name, text) == text, "run: python -m scripts.documentation"


def test_every_fact_is_listed() -> None:
    assert first_column(page("guides/your-own-contract.md"), "fact") == list(FACT_TYPES)


def test_every_flag_is_explained() -> None:
    assert first_column(page("how-it-works/meaning.md"), "flag") == [flag.name for flag in EventFlag]


def test_every_error_code_and_reason_is_explained() -> None:
    text = page("reference/errors.md")
    assert sorted(first_column(text, "code")) == sorted(f"`{code.value}`" for code in Code)
    assert sorted(first_column(text, "`extensions.reason`")) == sorted(f"`{reason.value}`" for reason in Reason)


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    commands = re.findall(r"^    (\w+)(?: |$)", printed, re.MULTILINE)
    listed = re.findall(r"`certindex (\w+)", "\n".join(first_column(page("reference/commands.md"), "command")))
    assert sorted(listed) == sorted(commands)


def test_the_profile_that_is_shown_is_one() -> None:
    shown = re.search(r"```toml\n(.*?)```", page("guides/your-own-contract.md"), re.DOTALL)
    assert shown is not None
    assert [rule.event.name for rule in parse_profile(shown[1], "README.md").rules] == ["Born", "Upgraded"]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_the_files_that_are_named_exist(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"`((?:schema|indexer|api|scripts|docs|tests|\./scripts)/[\w./-]+)`", text):
        assert (REPOSITORY / name).exists(), name
    for name in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text):
        assert (path.parent / name).exists(), name


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_row_is_below_the_head_of_its_table(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert [table for table in tables if not re.match(r"\|.*\n\|[ :|-]+\|\n", table)] == []


def test_every_page_is_in_the_index() -> None:
    index = page("README.md")
    for path in DOCS.rglob("*.md"):
        assert path.name == "README.md" or f"({path.relative_to(DOCS).as_posix()})" in index, path


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_the_queries_that_are_shown_are_valid(path: Path) -> None:
    queries = re.findall(r"```graphql\n(.*?)```", path.read_text().replace('"0x..."', f'"0x{"ab" * 20}"'), re.DOTALL)
    assert [error for query in queries for error in validate(SCHEMA._schema, parse(query))] == []


def test_the_policies_for_caches_name_every_type_without_an_id() -> None:
    # scripts/judges/src/policies.ts runs the module with Apollo Client and Graphcache
    listed = re.search(r"const embedded = \[(.*?)\];", page("guides/caches.md"), re.DOTALL)
    assert listed is not None
    schema = SCHEMA._schema
    types = [type_ for type_ in schema.type_map.values() if isinstance(type_, GraphQLObjectType)]
    roots = (schema.query_type, schema.subscription_type)
    assert re.findall(r'"(\w+)"', listed[1]) == sorted(
        type_.name
        for type_ in types
        if "id" not in type_.fields and type_ not in roots and not type_.name.startswith("__")
    )


async def test_the_questions_have_the_answers_that_are_shown(api: Api) -> None:
    examples = re.findall(r"```graphql\n(.*?)```\s*```json\n(.*?)```", page("guides/fleet-owner.md"), re.DOTALL)
    assert len(examples) == 3
    for query, answer in examples:
        assert await api.ask(query) == json.loads(answer)
