"""Subscriptions in batches: what they hold while they wait, how large a batch grows, how long it may take."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from api.answering.admission import LIVE_SNAPSHOTS, Admission
from api.answering.operations import Operations
from api.answering.persisted import PersistedQueries
from api.graphql.limits import Limits
from api.graphql.request import GraphQLRequest
from api.graphql.schema import build_schema
from schema.tables.database import connect
from tests.support.api.answering import OwnAnswers, charge_nothing
from tests.support.api.asking import Json
from tests.support.api.feeding import Copy, Moving, minted, updated
from tests.support.api.live import PATIENCE
from tests.support.processes import until


class World:
    """A database that grows, and what executes operations over it."""

    def __init__(self, url: str) -> None:
        self.moving = Moving(url)
        self.engine = connect(url, read_only=True)
        self.snapshots = 0  # that are open
        for name, count in (("begin", 1), ("commit", -1), ("rollback", -1)):
            event.listen(self.engine, name, partial(self._note_snapshots, count))
        schema = build_schema(limits=Limits(cost=10))
        self.answers = OwnAnswers(self.engine, schema)
        self.admission = Admission(LIVE_SNAPSHOTS)
        self.operations = Operations(
            schema,
            self.answers.watch,
            PersistedQueries(),
            self.answers,
            self.admission,
            max_seconds=10,
            max_connections=10,
        )

    def _note_snapshots(self, count: int, *_: Any) -> None:
        self.snapshots += count


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    world = World(database_url)
    yield world
    await world.answers.close()
    world.engine.dispose()
    world.moving.close()


async def test_a_subscription_that_waits_holds_no_snapshot(world: World) -> None:
    moving, operations = world.moving, world.operations
    await moving.mine(*minted(1))
    query = "subscription { lifecycleEvents { event { kind } } }"
    async with aclosing(operations.execute(GraphQLRequest(query), charge_nothing)) as answers:
        assert await anext(answers) == []  # it has its place
        waiting = asyncio.ensure_future(anext(answers))
        await asyncio.to_thread(until, lambda: world.answers.watch._waiting, "the wait for a change")
        assert (world.admission._value, world.snapshots) == (LIVE_SNAPSHOTS, 0)
        await moving.mine(updated(1))
        batch = await asyncio.wait_for(waiting, PATIENCE)
        assert len(batch) == 1
        assert world.admission._value == LIVE_SNAPSHOTS


async def test_a_batch_costs_no_more_than_a_query_may(world: World) -> None:
    moving, operations = world.moving, world.operations
    for _ in range(6):
        await moving.mine(*[updated(1)] * 10)
    query = GraphQLRequest("{ changes(first: 1) { endCursor } }")
    first = await world.answers.answer(query, world.admission, charge_nothing)
    after = first.body.split(b'"endCursor":"')[1].split(b'"')[0].decode()
    text = f'subscription {{ lifecycleEvents(after: "{after}") {{ cursor retracted event {{ id }} }} }}'
    copy, batches = Copy(), []
    async with aclosing(operations.execute(GraphQLRequest(text), charge_nothing)) as answers:
        async for batch in answers:
            batches.append(len(batch))
            copy.apply([_message(answer.body) for answer in batch])
            if len(copy.ids) == 59:
                break
    assert copy.ids == moving.ids()[1:]
    assert batches == [5] * 11 + [4]


def _message(body: bytes) -> Json:
    message: Json = json.loads(body)["data"]["lifecycleEvents"]
    return message


async def test_a_batch_that_takes_too_long_ends_the_subscription(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    moving, operations = world.moving, world.operations
    await moving.mine(updated(1))
    operations._max_seconds = 0.3
    monkeypatch.setattr("api.graphql.roots.changes.read_feed", lambda *_: time.sleep(1.0))
    query = "subscription { lifecycleEvents { cursor } }"
    async with aclosing(operations.execute(GraphQLRequest(query), charge_nothing)) as answers:
        (answer,) = await anext(answers)
        assert answer.errors is not None
        assert answer.errors[0]["extensions"]["code"] == "TIMEOUT"
    assert world.admission._value == LIVE_SNAPSHOTS
