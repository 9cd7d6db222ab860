"""`certindex reconcile` against contracts on a chain: state without events, and values that old events lack."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.commands.complete import complete
from indexer.commands.rebuild import rebuild
from indexer.commands.reconcile import reconcile
from indexer.commands.sync import sync
from indexer.settings import NodeSettings, RebuildSettings, Settings
from schema.program.settings import read_settings
from tests.support.api.asking import Api
from tests.support.chain.devchain import Anvil
from tests.support.dimo.network import Network
from tests.support.dimo.stage import Stage

BEGAN = 1_667_300_000

ASKED = """
query ($token: BigInt!) {
  device(by: {tokenId: $token}) {
    manufacturer { tokenId name } manufacturerLicenseAtMint { status }
    sourceOf(field: MANUFACTURER) { origin event { kind } reason }
    mint { manufacturerId }
  }
}
"""


class Indexed:
    """A small network with an index of it: device 1 and maker 1 are of 2022, device 2 and maker 2 of today."""

    def __init__(self, chain: Anvil, url: str) -> None:
        self.url = url
        self.chain_url = chain.url
        self.network = Network(Stage(chain), seed=3, began=BEGAN)
        self.network.mint_maker(1, licensed=True)
        self.network.mine()
        self.old = self.network.mint()
        self.network.mine()
        self.network.year = "today"
        self.network.mint_maker(2, licensed=True)
        self.network.mine()
        self.network.world.makers.pop(1)
        self.new = self.network.mint()
        self.network.claim(self.new)
        self.network.mine()
        self.sync()

    def sync(self) -> None:
        more = {"PROFILE": "dimo", "CONTRACTS": self.network.stage.contracts_setting}
        assert asyncio.run(sync(self.settings(Settings, **more))) == 0

    def settings(self, kind: Any, **more: str) -> Any:
        return read_settings(kind, None, {"RPC_URLS": self.chain_url, "DATABASE_URL": self.url, **more})

    def reconcile(self, sample: int | None = None) -> int:
        return asyncio.run(reconcile(self.settings(NodeSettings), sample=sample))

    def complete(self) -> int:
        return asyncio.run(complete(self.settings(NodeSettings)))

    def play(self, *lines: Any) -> None:
        """Sends the transactions and indexes their events."""
        self.network.stage.play(*lines)
        self.network.mine()
        self.sync()

    def ask(self, token: int) -> Any:
        api = Api(self.url)
        try:
            return asyncio.run(api.ask(ASKED, token=str(token)))["device"]
        finally:
            api.engine.dispose()


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[Indexed]:
    with Anvil("--no-mining", "--order", "fifo", "--timestamp", str(BEGAN - 86_400)) as chain:
        yield Indexed(chain, f"sqlite:///{tmp_path / 'dimo.db'}")


def test_the_values_of_events_equal_those_of_the_contracts(
    indexed: Indexed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert indexed.reconcile() == 0
    assert "devices=2 of=2 manufacturers=1 differences=0" in capsys.readouterr().out
    assert indexed.reconcile(sample=1) == 0
    assert "devices=1 of=2" in capsys.readouterr().out


def test_a_change_without_an_event_is_reported(indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
    devices = indexed.network.stage.address("aftermarket_device")
    indexed.play(
        ("registry", "changeManufacturer", devices, indexed.new.token, 7),
        ("registry", "renameManufacturer", 2, "Renamed"),
    )
    assert indexed.reconcile() == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"device {indexed.new.token}: manufacturer is 2 by the events, 7 by getParentNode" in lines
    assert "manufacturer 2: manufacturer name is Maker 2 by the events, Renamed by getManufacturerNameById" in lines
    assert "differences=2" in lines[-1]


def test_a_burned_device_has_no_owner_by_both(indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
    indexed.network.burn(indexed.new)
    indexed.play()
    assert indexed.reconcile() == 0


def test_an_owner_that_the_events_lack_is_reported(indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
    # a burn that came with no event of the contract: its answer is a refusal
    indexed.play(("aftermarket_device", "forgetOwner", indexed.new.token))
    assert indexed.reconcile() == 1
    assert f"device {indexed.new.token}: owner is {indexed.new.owner} by the events, none by ownerOf" in (
        capsys.readouterr().out
    )


def test_what_old_mints_leave_out_is_completed_with_its_source(
    indexed: Indexed, capsys: pytest.CaptureFixture[str]
) -> None:
    before = indexed.ask(indexed.old.token)
    assert (before["manufacturer"], before["sourceOf"]["origin"]) == (None, "NOT_ON_CHAIN")
    assert indexed.complete() == 0
    assert "missing=2 answered=2" in capsys.readouterr().out
    after = indexed.ask(indexed.old.token)
    assert after["manufacturer"] == {"tokenId": "1", "name": "Maker 1"}
    assert after["manufacturerLicenseAtMint"] == {"status": "VALID"}
    assert (after["sourceOf"]["origin"], after["sourceOf"]["event"]) == ("CALL", None)
    assert "getParentNode returned it by eth_call at block" in after["sourceOf"]["reason"]
    assert after["mint"] == {"manufacturerId": None}
    assert indexed.ask(indexed.new.token)["sourceOf"]["origin"] == "LOG"


def test_a_completion_outlives_a_rebuild_and_is_requested_once(
    indexed: Indexed, capsys: pytest.CaptureFixture[str]
) -> None:
    indexed.complete()
    completed = indexed.ask(indexed.old.token)
    assert asyncio.run(rebuild(indexed.settings(RebuildSettings))) == 0
    assert indexed.ask(indexed.old.token) == completed
    capsys.readouterr()
    indexed.complete()
    assert "missing=0 answered=0" in capsys.readouterr().out


def test_values_that_the_contract_has_deleted_are_read_as_of_the_mint(
    indexed: Indexed, capsys: pytest.CaptureFixture[str]
) -> None:
    devices = indexed.network.stage.address("aftermarket_device")
    indexed.play(("registry", "changeManufacturer", devices, indexed.old.token, 0))
    indexed.complete()
    assert indexed.ask(indexed.old.token)["manufacturer"]["tokenId"] == "1"


def test_values_without_a_response_stay_unknown(indexed: Indexed, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere, somebody = indexed.network.stage.address("vehicle"), "0x" + "06" * 20
    indexed.play(("registry", "mintDeviceIn2022", elsewhere, 9, 50, "0x" + "05" * 20, somebody))
    indexed.complete()
    assert "missing=3 answered=2" in capsys.readouterr().out
    assert indexed.ask(50)["manufacturer"] is None


def test_the_command_line_takes_either_a_sample_or_completes(
    indexed: Indexed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from indexer.__main__ import main

    monkeypatch.setenv("DATABASE_URL", indexed.url)
    monkeypatch.setenv("RPC_URLS", indexed.chain_url)
    for arguments, status in (
        (["reconcile", "--sample", "1"], 0),
        (["reconcile", "--complete"], 0),
        (["reconcile", "--sample", "0"], 2),
        (["reconcile", "--sample", "1", "--complete"], 2),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == status
    assert '"0" is not a number of devices. Example: --sample 100' in capsys.readouterr().err
