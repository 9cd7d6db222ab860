"""docs/guides/dimo.md names every role and event shape of the profile and its start blocks, and its query is valid."""

import re
from collections import Counter

import pytest
from graphql import parse, validate

from api.graphql.schema import build_schema
from schema.profile.model import load_profile
from tests.support.chain.devchain import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "guides" / "dimo.md").read_text()
PROFILE = load_profile("dimo")


@pytest.mark.parametrize("role", PROFILE.roles)
def test_the_document_names_every_role(role: str) -> None:
    assert f"{role}=0x..." in DOCUMENT


def test_the_document_lists_every_event_that_had_several_shapes() -> None:
    shapes = Counter((rule.contract, rule.event.name) for rule in PROFILE.rules)
    assert [name for (_, name), count in shapes.items() if count > 1 and name not in DOCUMENT] == []


@pytest.mark.parametrize(("chain_id", "words"), [(137, "block 34,500,000"), (80002, "block 0")])
def test_the_document_says_where_indexing_begins(chain_id: int, words: str) -> None:
    starts = {contract.start_block for contracts in PROFILE.networks[chain_id].values() for contract in contracts}
    assert starts == {int(words.removeprefix("block ").replace(",", ""))}
    assert words in DOCUMENT


def test_the_example_is_a_valid_query() -> None:
    [query] = re.findall(r"```graphql\n(.*?)```", DOCUMENT, re.DOTALL)
    addressed = query.replace('"0x..."', f'"0x{"ab" * 20}"')
    assert validate(build_schema()._schema, parse(addressed)) == []
