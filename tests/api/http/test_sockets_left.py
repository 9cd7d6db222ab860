"""A client closes its WebSocket while several answers wait to be sent."""

import asyncio
import gc
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from api.app import create_app
from api.settings import Settings

Message = MutableMapping[str, Any]


@pytest.mark.timeout(60)
async def test_a_client_that_leaves_while_two_answers_wait_leaves_no_word_in_the_log(sqlite_url: str) -> None:
    failures = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    said: list[Message] = [{"type": "connection_init"}]
    said += [{"type": "subscribe", "id": id, "payload": {"query": "{ __typename }"}} for id in "ab"]
    heard: list[Message] = [{"type": "websocket.connect"}]
    heard += [{"type": "websocket.receive", "text": json.dumps(message)} for message in said]
    sent = list[Message]()

    async def receive() -> Message:
        if not heard:
            await asyncio.sleep(60)
        return heard.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)
        if '"next"' in message.get("text", ""):
            await asyncio.sleep(0.5)  # the other one waits meanwhile
            raise OSError("gone")

    app = create_app(Settings(database_url=sqlite_url))
    scope = {
        "type": "websocket",
        "path": "/graphql",
        "headers": [],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "subprotocols": ["graphql-transport-ws"],
    }
    await app(scope, receive, send)
    gc.collect()
    await asyncio.sleep(0)
    assert sum('"next"' in message.get("text", "") for message in sent) == 1
    assert failures == []
