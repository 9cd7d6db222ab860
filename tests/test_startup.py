"""Programs import only the libraries that their command needs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Set as AbstractSet

from tests.support.chain.devchain import REPOSITORY
from tests.support.chain.fakechain import CERTIFICATE, FakeNode, emitted
from tests.support.index.indexing import Indexer, engine_of
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider

LIBRARIES = {
    "aiohttp",
    "alembic",
    "apscheduler",
    "eth_abi",
    "eth_utils",
    "jinja2",
    "limits",
    "psycopg",
    "pydantic",
    "segno",
    "sqlalchemy",
    "sqlmodel",
    "starlette",
    "strawberry",
    "uvicorn",
    "web3",
    "websockets",
}
READS_TABLES = {"sqlalchemy", "sqlmodel", "pydantic"}
ANSWERS = READS_TABLES | {"jinja2", "starlette", "strawberry", "uvicorn", "websockets"}
ASKS_NODES = {"aiohttp", "web3", "eth_abi", "eth_utils", "websockets"}
FOLLOWS = READS_TABLES | ASKS_NODES | {"apscheduler"}


def test_the_api_answers_from_sqlite_without_what_migrates_counts_or_speaks_to_postgresql(sqlite_url: str) -> None:
    ask = f"""
import asyncio
import httpx
from api.command import Settings, server_config

async def ask():
    app = server_config(Settings(database_url={sqlite_url!r})).load_app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        answer = await client.post("/graphql", json={{"query": "{{ devices {{ totalCount }} }}"}})
        assert answer.json()["data"] == {{"devices": {{"totalCount": 0}}}}
        assert "holds no chain yet" in (await client.get("/readyz")).text

asyncio.run(ask())
"""
    assert loaded_by(ask) <= ANSWERS


def test_the_indexer_reads_a_chain_without_what_serves(sqlite_url: str) -> None:
    node = FakeNode(finality=2)
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=7))
    node.mine_blocks(4)
    settings = {"DATABASE_URL": sqlite_url, "CONTRACTS": f"certificate=0x{CERTIFICATE.hex()}"}
    sync = """
from indexer.__main__ import main

try:
    main(["sync"])
except SystemExit as end:
    assert end.code == 0
"""
    with Provider(of_fake(node)) as provider:
        creates, goes_on = (loaded_by(sync, RPC_URLS=provider.url, **settings) for _ in range(2))
    assert creates <= FOLLOWS | {"alembic"}
    assert goes_on <= FOLLOWS


def test_what_needs_the_database_alone_loads_nothing_that_asks_nodes(sqlite_url: str) -> None:
    node = FakeNode(finality=2)
    node.mine(emitted("Transfer", to=b"\x0a" * 20, tokenId=7))
    node.mine_blocks(4)
    with engine_of(sqlite_url) as engine:
        indexer = Indexer(engine, node)
        asyncio.run(indexer.catch_up())
        indexer.lease.release()
    commands = """
from indexer.__main__ import main

for command in ("status", "digest", "rebuild", "rebuild --check", "rebuild --into next.db", "rollback --to 1"):
    try:
        main(command.split())
    except SystemExit as end:
        assert end.code == 0, command
"""
    assert loaded_by(commands, DATABASE_URL=sqlite_url) <= READS_TABLES | {"alembic"}


def test_the_help_of_every_command_loads_no_library() -> None:
    show_help = """
from indexer.__main__ import COMMANDS, main

for command in ("", *(command.__name__.rpartition(".")[2] for command in COMMANDS)):
    try:
        main([*command.split(), "--help"])
    except SystemExit as end:
        assert end.code == 0
"""
    assert loaded_by(show_help) == set()


def test_a_bundle_is_checked_without_any_library() -> None:
    check = """
from indexer.__main__ import main

try:
    main(["check", "README.md"])
except SystemExit as end:
    assert end.code == 1
"""
    assert loaded_by(check) == set()


def loaded_by(code: str, **settings: str) -> AbstractSet[str]:
    """Returns the libraries that a Python process has loaded after it has run some code."""
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=REPOSITORY, env=os.environ | settings, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return LIBRARIES & set(ran.stdout.splitlines()[-1].split())
