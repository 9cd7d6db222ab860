"""Stored data that something else changed: a typed error names it, and whatever else was requested is answered."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from api.settings import Settings
from schema.tables.database import connect
from tests.support.api.server import CLIENT, serving
from tests.support.chain.devchain import Anvil
from tests.support.chain.evidence import Nodes
from tests.support.chain.factory import Factory
from tests.support.databases import Databases, Kind
from tests.support.index.verifying import index, indexed

EVENTS = """{
  lifecycleEvents(first: 20, filterBy: {kind: {eq: DEVICE_MINTED}}) { nodes {
    logIndex
    kind flags recordTime verification contract block { number hash } device { tokenId }
    ... on DeviceMinted { serialNumber imei { value } }
    proof { header key nodes receiptLogIndex } } }
  device(by: {tokenId: "1"}) { tokenId owner manufacturer { tokenId } }
}"""
PROOF = "certindex verify --from"
READ = "was changed after it was stored"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def damaged_url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """A verified index of two devices, which every test changes and restores."""
    kind: Kind = request.param
    with Anvil() as chain, databases.temporary(kind, empty=True) as new_database:
        url = new_database()
        factory = Factory(chain)
        factory.mint(number=1)
        factory.mint(number=2)
        index(factory, url)
        with indexed(factory, url) as database:
            asyncio.run(_verify(database.verifier(Nodes(chain))))
        yield url


async def _verify(verifier: Any) -> None:
    while await verifier.advance() is not None:
        pass


def ask(address: str) -> tuple[int, dict[str, Any]]:
    answer = CLIENT.post(f"{address}/graphql", json={"query": EVENTS})
    return answer.status_code, answer.json()


class Damage:
    """Changes a column of a table in every row, and restores it."""

    def __init__(self, url: str, table: str, column: str, value: str) -> None:
        self.engine = connect(url)
        self.table, self.column, self.value = table, column, value

    def __enter__(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(f'CREATE TABLE kept AS SELECT * FROM "{self.table}"'))
            connection.execute(text(f'UPDATE "{self.table}" SET {self.column} = {self._value}'))

    def __exit__(self, *_: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(f'DELETE FROM "{self.table}"'))
            connection.execute(text(f'INSERT INTO "{self.table}" SELECT * FROM kept'))
            connection.execute(text("DROP TABLE kept"))
        self.engine.dispose()

    @property
    def _value(self) -> str:
        if self.engine.dialect.name == "sqlite":
            return f"CAST({self.value} AS BLOB)" if "||" in self.value else self.value
        return self.value.replace("x'", "'\\x").replace("substr(", "substring(")


@pytest.mark.parametrize(
    ("table", "column", "value", "message"),
    [
        ("receipt_proof", "nodes", "x'000000'", PROOF),
        ("receipt_proof", "nodes", "x'c0'", PROOF),
        ("receipt_proof", "nodes", "x''", PROOF),
        ("receipt_proof", "nodes", "substr(nodes, 1, length(nodes) - 1) || x'07'", PROOF),
        ("receipt_proof", "first_log_index", "first_log_index + 1", PROOF),
        ("receipt_proof", "first_log_index", "-5000000000", PROOF),
        ("verified_header", "rlp", "x'00'", PROOF),
        ("verified_header", "rlp", "substr(rlp, 1, length(rlp) - 1) || x'07'", PROOF),
        ("event", "data", "data || x'00'", PROOF),
        ("event", "topics", "topics || x'00'", PROOF),
        ("event", "flags", "-1", None),
        ("event", "device_id", "77", None),
        ("block", "level", "99", READ),
        ("block", "timestamp", "-99999999999999", None),
        ("device_version", "manufacturer_id", "77", READ),
    ],
)
def test_what_was_changed_is_named_and_the_rest_is_answered(
    damaged_url: str, table: str, column: str, value: str, message: str | None
) -> None:
    with serving(Settings(database_url=damaged_url, cache_bytes=0, metrics_port=None)) as address:
        status, whole = ask(address)
        assert (status, whole.get("errors")) == (200, None)
        with Damage(damaged_url, table, column, value):
            for _ in range(2):  # by graphql-core, and by the compiled executor, which leaves it to the former
                status, answer = ask(address)
                errors = answer.get("errors", [])
                assert status == 200, answer
                assert {error["extensions"]["code"] for error in errors} <= {"DAMAGED_DATA"}, errors
                if message is not None:
                    assert any(message in error["message"] for error in errors), errors
                    assert all(READ in error["message"] for error in errors), errors
                if table in ("receipt_proof", "verified_header"):
                    assert answer["data"]["device"] == whole["data"]["device"]
                    nodes = answer["data"]["lifecycleEvents"]["nodes"]
                    assert [node["proof"] for node in nodes] == [None, None]
                    assert nodes[0]["kind"] == "DEVICE_MINTED"
        assert ask(address)[1]["data"] == whole["data"]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("profile", "text", "'name = 1'"), ("contract", "role", "'nobody'")],
)
def test_a_chain_that_cannot_be_read_is_a_typed_error(damaged_url: str, table: str, column: str, value: str) -> None:
    with (
        Damage(damaged_url, table, column, value),
        serving(Settings(database_url=damaged_url, cache_bytes=0, metrics_port=None)) as address,
    ):
        for _ in range(2):
            status, answer = ask(address)
            [error] = answer["errors"]
            assert (status, error["extensions"]["code"]) == (500, "DAMAGED_DATA")
            assert "The stored chain, contract or profile cannot be read" in error["message"]
