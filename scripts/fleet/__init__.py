"""A fleet of devices on a development chain: two years of deeds, what they should amount to, and more every moment.

`Fleet.build` carries out the plan. `fleet.world` is what should now be true, `fleet.world_at(instant)` what was true
then, and `fleet.live()` goes on living.
"""

import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from random import Random

from scripts.devchain import Anvil, Artifact, Contract
from scripts.fleet.acts import (
    REGISTRAR,
    Act,
    LicenseManufacturer,
    LicenseModel,
    MintPallet,
    RevokeManufacturer,
    RevokeModel,
    call_of,
)
from scripts.fleet.live import next_act
from scripts.fleet.names import DAY, YEARS_TWO
from scripts.fleet.plan import plan
from scripts.fleet.world import World

__all__ = ["Done", "Fleet", "World", "start_chain"]

BASE_URI = "https://certificates.example/"
WEALTH = hex(10**27)  # wei; gas is no subject here


@dataclass(frozen=True, slots=True)
class Done:
    """An act as the chain recorded it."""

    act: Act
    block_number: int
    block_time: int
    transaction_hash: str


def start_chain(now: int, *, port: int = 0) -> Anvil:
    """Start a chain that a fleet can be built on: its time begins two years before `now`, and it mines when told."""
    return Anvil("--auto-impersonate", "--no-mining", "--order", "fifo", "--timestamp", str(now - YEARS_TWO), port=port)


class Fleet:
    """A contract on a chain, all that was done to it, and what that amounts to."""

    def __init__(self, chain: Anvil, contract: Contract, *, seed: int) -> None:
        self.chain = chain
        self.contract = contract
        self.start_block = chain.block_number
        self.done: list[Done] = []
        self.world = World()
        self._random = Random(seed)
        self._nonces: dict[str, int] = {}
        self._time = chain.timestamp()

    @property
    def settings(self) -> dict[str, str]:
        """The settings, as environment variables, with which our programs index this fleet."""
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
        progress: Callable[[int, int], None] = lambda done, planned: None,
    ) -> "Fleet":
        """Deploy the contract and carry out two years of acts, one block for each day that has any.

        The chain comes from `start_chain` with the same `now` (unix seconds; the present one unless given).
        """
        now = int(clock.time()) if now is None else now
        chain.request("anvil_setBalance", REGISTRAR, WEALTH)
        contract = Contract.deploy(chain, Artifact.read(), BASE_URI, sender=REGISTRAR, mine=True)
        fleet = cls(chain, contract, seed=seed)
        planned = plan(devices, seed=seed, now=now)
        for _, acts in groupby(planned, key=lambda act: (now - act.at) // DAY):
            fleet.carry_out(list(acts))
            progress(len(fleet.done), len(planned))
        chain.request("evm_mine", now)  # the story ends now, also where nothing happened lately
        fleet._time = now
        return fleet

    def carry_out(self, acts: list[Act], *, time: int | None = None) -> list[Done]:
        """Record acts in one block, a minute after the last of them unless told, and return them as recorded."""
        time = max(act.at for act in acts) + 60 if time is None else time
        self._time = max(time, self._time + 1)
        sent = [self._post(act) for act in acts]
        self.chain.request("evm_mine", self._time)
        receipts = {
            receipt["transactionHash"]: receipt for receipt in self.chain.request("eth_getBlockReceipts", "latest")
        }
        done = []
        for act, transaction_hash in zip(acts, sent, strict=True):
            receipt = receipts.get(transaction_hash)
            if receipt is None or receipt["status"] != "0x1":
                raise RuntimeError(f"the contract did not carry out {act}: {receipt}")
            done.append(Done(act, int(receipt["blockNumber"], 16), self._time, transaction_hash))
        self.done += done
        return done

    def world_at(self, instant: int) -> World:
        """Return what was true after the last block at or before an instant (unix seconds)."""
        world = World()
        for done in self.done:
            if done.block_time <= instant:
                world.apply(done.act, done.block_time)
        return world

    def live(self) -> Iterator[Done]:
        """Yield what happens next, each time it is asked, at the time it is asked."""
        while True:
            now = int(clock.time())
            yield from self.carry_out([next_act(self.world, self._random, now)], time=now)

    def _post(self, act: Act) -> str:
        """Send an act's transaction as whoever may, and take it into the world."""
        sender, function, arguments = call_of(act, *self._holders(act))
        if sender not in self._nonces:
            self.chain.request("anvil_setBalance", sender, WEALTH)
            self._nonces[sender] = self.chain.nonce(sender)
        sent = self.contract.post(function, *arguments, sender=sender, nonce=self._nonces[sender])
        self._nonces[sender] += 1
        self.world.apply(act, self._time)
        return sent

    def _holders(self, act: Act) -> tuple[str | None, int | None]:
        match act:
            case LicenseManufacturer() | RevokeManufacturer() | LicenseModel() | RevokeModel() | MintPallet():
                return None, None
            case _:
                device = self.world.devices[act.token]
                return device.owner, device.manufacturer
