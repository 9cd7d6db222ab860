"""PostgreSQL refuses statements and keeps the connection: requests are not ready, the log says why, reads go on."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from api.settings import Settings
from tests.support.api.live import BLOCKS, acknowledged
from tests.support.api.server import CLIENT, post, serving, with_one_device
from tests.support.postgres import plain_url, with_options

DEVICES = "{ devices { totalCount nodes { tokenId } } }"


@pytest.mark.direct
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("-c statement_timeout=1000", "canceling statement due to statement timeout"),
        ("-c lock_timeout=1000", "canceling statement due to lock timeout"),
    ],
)
async def test_a_statement_that_the_server_ends_is_not_ready_and_leaves_no_trace(
    postgres_url: str, options: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with_one_device(postgres_url)
    with serving(Settings(database_url=with_options(postgres_url, options), cache_bytes=0)) as address:
        url = f"{address}/graphql"
        for _ in range(3):  # the third document is compiled
            assert post(url, {"query": DEVICES}).json()["data"]["devices"]["totalCount"] == 1
        with locked(postgres_url, "device"):
            for _ in range(3):
                answer = post(url, {"query": DEVICES})
                assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_READY", answer.text
                assert reason not in answer.text
            assert CLIENT.get(f"{address}/devices/did:erc721:1:0x{'ce' * 20}:7/bundle.json").status_code == 503
            assert CLIENT.get(url, headers={"accept": "text/html"}).status_code == 200
        assert caplog.text.count(reason) >= 3
        assert "Traceback" not in caplog.text
        for _ in range(3):
            assert post(url, {"query": DEVICES}).json()["data"]["devices"]["totalCount"] == 1
        with locked(postgres_url, "chain"):
            ready = CLIENT.get(f"{address}/readyz")
            assert (ready.status_code, reason in ready.text) == (503, True)
            answer = post(url, {"query": DEVICES})
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "NOT_READY")
            async with acknowledged(address) as client:
                await client.subscribe("1", BLOCKS)
                assert "NOT_READY" in str(await client.receive("1"))
        assert post(url, {"query": DEVICES}).json()["data"]["devices"]["totalCount"] == 1
        assert "Traceback" not in caplog.text


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """Locks a table against readers."""
    with psycopg.connect(plain_url(url)) as other:
        other.execute(f'LOCK TABLE "{table}"'.encode())
        yield
        other.rollback()
