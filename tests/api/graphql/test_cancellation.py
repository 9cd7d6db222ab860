"""A request that is canceled while graphql-core executes it."""

import asyncio
import gc
import warnings
from contextlib import suppress

from api.graphql.context import Context
from api.graphql.execution import execute_ordinary, prepare
from api.graphql.request import GraphQLRequest
from api.reading.snapshot import open_snapshot
from tests.support.api.asking import SCHEMA, Api

QUERY = """{
  devices(first: 3) { nodes { tokenId owner authorizedUsers(first: 2) { nodes { user } } } }
  manufacturers(first: 3) { nodes { name } }
}"""
TURNS = 12
"""Turns of the event loop in which the first fields begin."""


async def test_a_canceled_request_leaves_no_coroutine_that_was_never_awaited(api: Api) -> None:
    prepared = prepare(SCHEMA, GraphQLRequest(QUERY))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for turns in range(TURNS):
            async with open_snapshot(api.engine) as snapshot:
                others = len(asyncio.all_tasks())
                request = asyncio.create_task(execute_ordinary(SCHEMA, prepared, Context(snapshot)))
                while len(asyncio.all_tasks()) <= others + 1 and not request.done():  # noqa: ASYNC110  # no event
                    await asyncio.sleep(0)
                for _ in range(turns):
                    await asyncio.sleep(0)
                request.cancel()
                with suppress(asyncio.CancelledError):
                    await request
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
