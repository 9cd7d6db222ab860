"""The documents of the pages are valid, and so are the words that pages have for the constants of the schema."""

import pytest
from graphql import GraphQLEnumType, build_schema, parse, validate

from api.explorer.endpoint import NETWORK
from api.explorer.page import Page
from api.explorer.pages import PAGES
from api.explorer.vocabulary import LABELS
from api.graphql.schema import sdl

SCHEMA = build_schema(sdl())
ENUMS = {
    "verdict": "Verdict",
    "license": "LicenseStatus",
    "end_of_life": "EndOfLifeStatus",
    "process": "EndOfLifeProcess",
    "sanitization": "Sanitization",
    "firmware_update": "FirmwareUpdateResult",
    "reset": "FactoryResetReason",
    "grant_end": "AuthorizationEndReason",
    "finality": "Finality",
    "verification": "VerificationLevel",
    "flag": "EventFlag",
    "test": "TestKind",
    "origin": "ValueOrigin",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_the_document_of_a_page_is_valid(page: Page) -> None:
    assert validate(SCHEMA, parse(page.document)) == []


def test_the_document_of_the_header_is_valid() -> None:
    assert validate(SCHEMA, parse(NETWORK)) == []


def test_every_constant_has_words() -> None:
    assert ENUMS.keys() == LABELS.keys()
    for kind, name in ENUMS.items():
        enum = SCHEMA.type_map[name]
        assert isinstance(enum, GraphQLEnumType)
        assert enum.values.keys() == LABELS[kind].keys(), name
