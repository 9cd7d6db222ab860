"""`certindex status` reports a rebuild that is due."""

import asyncio
import json

from sqlalchemy import text

from tests.support.certindex import Certindex
from tests.support.dimo.logs import index
from tests.support.dimo.vehicles import vehicle_chain
from tests.support.index.indexing import engine_of


def test_another_text_of_the_profile_makes_a_rebuild_due(sqlite_url: str, certindex: Certindex) -> None:
    with engine_of(sqlite_url) as engine:
        asyncio.run(index(engine, vehicle_chain()))
        assert "certindex rebuild" not in certindex("status", database_url=sqlite_url).out
        with engine.begin() as connection:
            connection.execute(text("UPDATE profile SET text = text || '\n# of an older release'"))
    assert "  rebuild    due" in certindex("status", database_url=sqlite_url).out
    assert "certindex rebuild --profile dimo\n" in certindex("status", database_url=sqlite_url).out
    [status] = json.loads(certindex("status", "--json", database_url=sqlite_url).out)
    assert status["rebuild_due"] is True
