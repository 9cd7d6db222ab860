"""The API over the demo fleet, on both databases. Import the fixture to use it."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.asking import Api, asking

__all__ = ["api"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def api(request: pytest.FixtureRequest, fleet_database: Callable[[str], str]) -> Iterator[Api]:
    """Ask about the fleet, first on SQLite, then on PostgreSQL."""
    with asking(fleet_database(request.param)) as asked:
        yield asked
