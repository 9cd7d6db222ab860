"""The seven contracts of a DIMO network on a development chain, and transactions with events of several of them."""

from functools import cache
from pathlib import Path
from typing import Any

from tests.support.chain.devchain import Anvil, Artifact, Contract
from tests.support.chain.factory import compile_solidity

ROLES = ("registry", "manufacturer", "aftermarket_device", "synthetic_device", "vehicle", "sacd", "stake")
EMITTER = Path(__file__).parent / "DimoEmitter.sol"

Line = tuple[Any, ...]
"""The role of the emitting contract, the function of the emitter, its arguments."""


@cache
def emitter() -> Artifact:
    compiled = compile_solidity(EMITTER)
    return Artifact(tuple(compiled["abi"]), compiled["bytecode"])


class Stage:
    """Mines on request, so that a block can hold many transactions. Needs a chain with `--no-mining --order fifo`."""

    def __init__(self, chain: Anvil) -> None:
        self.chain = chain
        self.sender = chain.accounts[0]
        self.contracts = {role: Contract.deploy(chain, emitter(), sender=self.sender, mine=True) for role in ROLES}
        self._pending: list[str] = []

    @property
    def contracts_setting(self) -> str:
        return ",".join(f"{role}={contract.address}" for role, contract in self.contracts.items())

    def address(self, role: str) -> str:
        return self.contracts[role].address

    def play(self, *lines: Line) -> None:
        """Adds a transaction to the next block. Its events are emitted in this order."""
        calls = [
            (self.address(role), bytes.fromhex(self.contracts[role].encode(function, *arguments)[2:]))
            for role, function, *arguments in lines
        ]
        self._pending.append(self.contracts["registry"].encode("play", calls))

    def mine(self, time: int) -> int:
        """Mines the transactions at this block time (unix seconds) and returns the block's number."""
        nonce = self.chain.nonce(self.sender)
        self.chain.batch(
            ("eth_sendTransaction", [self._transaction(data, nonce + index)])
            for index, data in enumerate(self._pending)
        )
        self.chain.request("evm_mine", time)
        receipts = self.chain.request("eth_getBlockReceipts", "latest")
        assert len(receipts) == len(self._pending), "a transaction was left out"
        assert all(receipt["status"] == "0x1" for receipt in receipts), "a transaction failed"
        self._pending = []
        return self.chain.block_number

    def _transaction(self, data: str, nonce: int) -> dict[str, str]:
        registry = self.address("registry")
        return {"from": self.sender, "to": registry, "data": data, "gas": hex(10**7), "nonce": hex(nonce)}
