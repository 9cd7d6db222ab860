"""The development chain and the databases that the other tests run on."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.conftest import StartAnvil
from tests.support.chain import devchain
from tests.support.chain.devchain import REPOSITORY, Anvil
from tests.support.databases import NewDatabase
from tests.support.postgres import plain_url
from tests.support.processes import until


def test_a_chain_answers_mines_at_a_given_time_and_ends(anvil: StartAnvil) -> None:
    chain = anvil("--chain-id", "4242")
    later = chain.timestamp() + 86_400
    chain.mine(3, timestamp=later)
    assert (chain.chain_id, chain.block_number, chain.timestamp(1)) == (4242, 3, later)
    chain.stop()
    assert chain.child.exit_status is not None


def test_a_chain_goes_back_to_a_snapshot_and_reorgs(anvil: StartAnvil) -> None:
    chain = anvil()
    chain.mine(2)
    before = chain.snapshot()
    chain.mine(3)
    chain.revert(before)
    assert chain.block_number == 2
    replaced = chain.block(2)["hash"]
    chain.reorg(1)
    assert chain.block_number == 2
    assert chain.block(2)["hash"] != replaced


def test_a_chain_that_did_not_answer_in_time_answers_the_next_request(
    anvil: StartAnvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devchain, "PATIENCE_SECONDS", 1)
    chain = anvil("--chain-id", "4242")
    program = psutil.Process(chain.child.pid)
    program.suspend()
    try:
        until(lambda: program.status() == psutil.STATUS_STOPPED, "the program to stop")
        with pytest.raises(TimeoutError):
            chain.request("eth_chainId")
    finally:
        program.resume()
    assert chain.chain_id == 4242


def test_a_chain_that_cannot_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="--no-such-option"):
        Anvil("--no-such-option")


def test_every_database_is_empty_and_separate(new_database: NewDatabase) -> None:
    first, second = create_engine(new_database()), create_engine(new_database())
    with first.begin() as connection:
        connection.execute(text("CREATE TABLE only_in_the_first (id int)"))
    with second.begin() as connection:
        connection.execute(text("CREATE TABLE only_in_the_first (id int)"))
    first.dispose()
    second.dispose()


def test_a_postgres_database_is_utf8_and_orders_by_bytes(postgres_url: str) -> None:
    with psycopg.connect(plain_url(postgres_url)) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        assert connection.execute("SELECT 'a' < 'B' COLLATE \"C\"").fetchone() == (False,)


def test_a_killed_test_run_leaves_no_chain_behind() -> None:
    program = textwrap.dedent("""
        import time
        from tests.support.chain.devchain import Anvil
        print(Anvil().child.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        chain_pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 60
    while _runs(chain_pid):
        assert time.monotonic() < deadline, "the chain outlived its killed parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(") ")[1][:1]
