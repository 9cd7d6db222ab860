"""Answers in process, as the application composes them: cache, admission and waits, without HTTP."""

import asyncio
import json
from typing import Any

from sqlalchemy import Engine

from api.answering.answers import Answers, refused
from api.graphql.errors import Refusal
from api.graphql.request import GraphQLRequest
from api.graphql.schema import Schema
from api.reading.change_watch import ChangeWatch
from api.reading.readiness import Freshness


def charge_nothing(cost: int) -> None:
    """Lets any request pass."""


async def respond(answers: Answers, request: GraphQLRequest, places: asyncio.Semaphore) -> Any:
    """Returns the response to a request, also if it is refused."""
    try:
        answer = await answers.answer(request, places, charge_nothing)
    except Refusal as refusal:
        answer = refused(refusal)
    return json.loads(answer.body)


class OwnAnswers(Answers):
    """Answers with a change watch of their own, which is closed with them."""

    def __init__(self, engine: Engine, schema: Schema, *, cache_bytes: int = 10**6, max_seconds: float = 60) -> None:
        self.watch = ChangeWatch(engine)
        super().__init__(engine, schema, self.watch, Freshness(), cache_bytes=cache_bytes, max_seconds=max_seconds)

    async def close(self) -> None:
        await self.watch.close()
        await super().close()
