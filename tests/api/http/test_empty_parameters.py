"""Empty parameters count as absent on every transport: clients send a name, an id and parameters of a URL that way."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.settings import Settings
from tests.support.api.asking import Json
from tests.support.api.live import acknowledged
from tests.support.api.server import CLIENT, code, post, serving, with_one_device

ONE = 'query Device { device(by: {tokenId: "7"}) { serialNumber } }'
SEVERAL = f"{ONE} query Version {{ _meta {{ version }} }}"
DATA = {"device": {"serialNumber": "SN-7"}}
STREAM = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """These requests do not depend on the database: one server suffices."""
    database_url = with_one_device(f"sqlite:///{tmp_path_factory.mktemp('empty') / 'a.db'}")
    with serving(Settings(database_url=database_url)) as address:
        yield address


EMPTY: list[Json] = [{"operationName": ""}, {"documentId": ""}, {"operationName": "", "documentId": ""}]


@pytest.mark.parametrize("empty", EMPTY)
async def test_an_empty_name_or_id_counts_as_absent(address: str, empty: Json) -> None:
    for answer in await on_every_transport(address, {"query": ONE, **empty}):
        assert answer["data"] == DATA


async def test_an_empty_name_does_not_choose_one_of_several_operations(address: str) -> None:
    for answer in await on_every_transport(address, {"query": SEVERAL, "operationName": ""}):
        assert "operationName" in answer["errors"][0]["message"]


async def test_a_subscription_with_an_empty_name_is_executed(address: str) -> None:
    body = {"query": "subscription Blocks { blockIndexed(chainId: 5) { number } }", "operationName": ""}
    async with acknowledged(address) as socket:
        await socket.send(id="a", type="subscribe", payload=body)
        errors = (await socket.receive("a"))["payload"]
    streamed = _events(CLIENT.post(f"{address}/graphql/stream", json=body, headers=STREAM))
    # only an executed subscription reads its argument
    assert [error[0]["extensions"]["code"] for error in (errors, streamed["errors"])] == ["BAD_USER_INPUT"] * 2


@pytest.mark.parametrize("path", ["/graphql", "/graphql/stream"])
@pytest.mark.parametrize("names", [["variables"], ["extensions"], ["variables", "extensions", "operationName"]])
def test_an_empty_parameter_of_a_url_counts_as_absent(address: str, path: str, names: list[str]) -> None:
    headers = STREAM if path == "/graphql/stream" else {}
    answer = CLIENT.get(address + path, params={"query": ONE} | dict.fromkeys(names, ""), headers=headers)
    assert answer.status_code == 200
    assert (answer.json() if path == "/graphql" else _events(answer))["data"] == DATA


def test_a_request_with_empty_parameters_alone_has_no_query(address: str) -> None:
    url = f"{address}/graphql"
    for refused in (CLIENT.get(url, params={"query": "", "documentId": ""}), post(url, {"documentId": ""})):
        assert (refused.status_code, code(refused)) == (400, "BAD_REQUEST")
        assert '"query" is missing' in refused.json()["errors"][0]["message"]


async def on_every_transport(address: str, body: Json) -> list[Any]:
    """Returns the answers to a request by POST, by GET, over WebSocket, and as events by POST and by GET."""
    async with acknowledged(address) as socket:
        await socket.send(id="a", type="subscribe", payload=body)
        message = await socket.receive("a")
    pushed = message["payload"] if message["type"] == "next" else {"errors": message["payload"]}
    return [
        post(f"{address}/graphql", body).json(),
        CLIENT.get(f"{address}/graphql", params=body).json(),
        pushed,
        _events(CLIENT.post(f"{address}/graphql/stream", json=body, headers=STREAM)),
        _events(CLIENT.get(f"{address}/graphql", params=body, headers=STREAM)),
    ]


def _events(response: httpx.Response) -> Json:
    """Returns the answer in the one `next` event of a stream."""
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    (line,) = (line for line in response.text.splitlines() if line.startswith("data: {"))
    answer: Json = json.loads(line.removeprefix("data: "))
    return answer
