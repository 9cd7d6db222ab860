"""Answers in process, as the application composes them: cache, admission and waits, without HTTP."""

from sqlalchemy import Engine

from api.answering.answers import Answers
from api.graphql.schema import Schema
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness


def charge_nothing(cost: int) -> None:
    """Lets any request pass."""


class OwnAnswers(Answers):
    """Answers with a change watch of their own, which is closed with them."""

    def __init__(self, engine: Engine, schema: Schema, *, cache_bytes: int = 10**6, max_seconds: float = 60) -> None:
        self.watch = ChangeWatch(engine)
        super().__init__(engine, schema, self.watch, Freshness(), cache_bytes=cache_bytes, max_seconds=max_seconds)

    async def close(self) -> None:
        await self.watch.close()
        await super().close()
