"""A fleet of devices on a development chain: two years of acts, the state that they lead to, and further acts.

`Fleet.build` records the plan's acts on the chain. `fleet.world` is the state that an index of the chain must show now,
`fleet.world_at(instant)` the state at an instant, and `fleet.live()` records further acts.
"""

import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from random import Random

from tests.support.chain.devchain import Anvil, Artifact, Contract
from tests.support.fleet.acts import (
    REGISTRAR,
    Act,
    LicenseManufacturer,
    LicenseModel,
    MintPallet,
    RevokeManufacturer,
    RevokeModel,
    call_of,
)
from tests.support.fleet.live import next_act
from tests.support.fleet.names import DAY, YEARS_TWO
from tests.support.fleet.plan import plan
from tests.support.fleet.world import World

__all__ = ["Fleet", "RecordedAct", "World", "start_chain"]

BASE_URI = "https://certificates.example/"
WEALTH = hex(10**27)  # wei, so that no account lacks gas


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """An act and the block that recorded it."""

    act: Act
    block_number: int
    block_time: int
    transaction_hash: str


def start_chain(now: int, *options: str, port: int = 0) -> Anvil:
    """Starts a chain for a fleet: its time begins two years before `now`, and it mines on request.

    `options` are further ones of the anvil program.
    """
    start = str(now - YEARS_TWO)
    return Anvil("--auto-impersonate", "--no-mining", "--order", "fifo", "--timestamp", start, *options, port=port)


class Fleet:
    """A contract on a chain, the acts recorded on it, and the state that they lead to."""

    def __init__(self, chain: Anvil, contract: Contract, *, seed: int) -> None:
        self.chain = chain
        self.contract = contract
        self.start_block = chain.block_number
        self.recorded: list[RecordedAct] = []
        self.world = World()
        self._random = Random(seed)
        self._nonces: dict[str, int] = {}
        self._time = chain.timestamp()

    @property
    def settings(self) -> dict[str, str]:
        """The settings for an indexer of this fleet, as environment variables."""
        return {
            "RPC_URLS": self.chain.url,
            "CHAIN_ID": str(self.chain.chain_id),
            "PROFILE": "device_certificate",
            "CONTRACTS": f"certificate={self.contract.address}",
            "START_BLOCK": str(self.start_block),
        }

    @classmethod
    def build(
        cls,
        chain: Anvil,
        *,
        devices: int = 200,
        seed: int = 1,
        now: int | None = None,
        progress: Callable[[int, int], None] = lambda recorded, planned: None,
    ) -> "Fleet":
        """Deploys the contract and records two years of acts, in one block for each day with acts.

        The chain comes from `start_chain` with the same `now` (unix seconds; the present one unless given).
        """
        now = int(clock.time()) if now is None else now
        chain.request("anvil_setBalance", REGISTRAR, WEALTH)
        contract = Contract.deploy(chain, Artifact.read(), BASE_URI, sender=REGISTRAR, mine=True)
        fleet = cls(chain, contract, seed=seed)
        planned = plan(devices, seed=seed, now=now)
        for _, acts in groupby(planned, key=lambda act: (now - act.at) // DAY):
            fleet.record(list(acts))
            progress(len(fleet.recorded), len(planned))
        chain.request("evm_mine", now)  # the last block is of now, even without recent acts
        fleet._time = now
        return fleet

    def record(self, acts: list[Act], *, time: int | None = None) -> list[RecordedAct]:
        """Records acts in one block and returns them. Its time is a minute after the last act by default."""
        time = max(act.at for act in acts) + 60 if time is None else time
        self._time = max(time, self._time + 1)
        hashes = [self._post(act) for act in acts]
        self.chain.request("evm_mine", self._time)
        receipts = {
            receipt["transactionHash"]: receipt for receipt in self.chain.request("eth_getBlockReceipts", "latest")
        }
        recorded = []
        for act, transaction_hash in zip(acts, hashes, strict=True):
            receipt = receipts.get(transaction_hash)
            if receipt is None or receipt["status"] != "0x1":
                raise RuntimeError(f"the transaction of {act} failed: {receipt}")
            recorded.append(RecordedAct(act, int(receipt["blockNumber"], 16), self._time, transaction_hash))
        self.recorded += recorded
        return recorded

    def finalize(self) -> None:
        """Mines empty blocks, a second apart, until the chain's finalized block has all recorded acts before it."""
        while int(self.chain.block("finalized")["number"], 16) < self.recorded[-1].block_number:
            self._time += 1
            self.chain.request("evm_mine", self._time)

    def world_at(self, instant: int) -> World:
        """Returns the state after the last block at or before an instant (unix seconds)."""
        world = World()
        for recorded in self.recorded:
            if recorded.block_time <= instant:
                world.apply(recorded.act, recorded.block_time)
        return world

    def live(self) -> Iterator[RecordedAct]:
        """Records the next act, at the present time, each time that the next item is requested."""
        while True:
            now = int(clock.time())
            yield from self.record([next_act(self.world, self._random, now)], time=now)

    def _post(self, act: Act) -> str:
        """Sends an act's transaction from an account that may send it, and applies the act to the world."""
        sender, function, arguments = call_of(act, *self._owner_and_manufacturer(act))
        if sender not in self._nonces:
            self.chain.request("anvil_setBalance", sender, WEALTH)
            self._nonces[sender] = self.chain.nonce(sender)
        transaction_hash = self.contract.post(function, *arguments, sender=sender, nonce=self._nonces[sender])
        self._nonces[sender] += 1
        self.world.apply(act, self._time)
        return transaction_hash

    def _owner_and_manufacturer(self, act: Act) -> tuple[str | None, int | None]:
        match act:
            case LicenseManufacturer() | RevokeManufacturer() | LicenseModel() | RevokeModel() | MintPallet():
                return None, None
            case _:
                device = self.world.devices[act.token]
                return device.owner, device.manufacturer
