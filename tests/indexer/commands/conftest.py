"""Commands create the tables: the databases of these tests are empty."""

import pytest

from tests.support.databases import Databases, NewDatabase


@pytest.fixture
def new_database(new_empty_database: NewDatabase) -> NewDatabase:
    return new_empty_database


@pytest.fixture
def sqlite_url(databases: Databases) -> str:
    return databases.new("sqlite", empty=True)
