"""Random events of the reference contract on a development chain, and reorgs that lose some of them."""

import random
from contextlib import suppress
from typing import Any

from tests.support.chain.devchain import Anvil
from tests.support.chain.factory import Factory, Refused, mint_request, report

FINALITY = 12
"""Depth of anvil's finalized block, which is twice `--slots-in-an-epoch`. Reorgs are less deep."""


class Life:
    """Random events, each in a block of its own, and reorgs that keep some of them."""

    def __init__(self, factory: Factory, seed: int) -> None:
        self.factory = factory
        self.chain: Anvil = factory.chain
        self.random = random.Random(seed)
        self.devices = 0

    def go_on(self, blocks: int) -> None:
        for _ in range(blocks):
            sender, name, arguments = self._next_event()
            with suppress(Refused):  # its device may have been lost in a reorg
                self.factory.send(name, *arguments, sender=sender)

    def reorg(self, depth: int) -> None:
        """Replaces blocks: most of their transactions are included again, in other blocks; some are lost."""
        height = self.chain.block_number
        lost = [
            transaction
            for number in range(height - depth + 1, height + 1)
            for transaction in self.chain.request("eth_getBlockByNumber", hex(number), True)["transactions"]
        ]
        kept = [again(transaction) for transaction in lost if self.random.random() < 0.7]
        self.chain.reorg(depth, [(transaction, self.random.randrange(depth)) for transaction in kept])

    def _next_event(self) -> tuple[str, str, tuple[Any, ...]]:
        """Returns the sender, the function and its arguments."""
        factory, token = self.factory, self.random.randint(1, max(self.devices, 1))
        if self.devices < 3 or self.random.random() < 0.2:
            self.devices += 1
            return factory.maker, "mint", (1, factory.owner, mint_request(number=self.devices))
        return self.random.choice(
            [
                (factory.maker, "recordQualityInspection", (token, report(self.random.random() < 0.5))),
                (factory.owner, "authorizeUser", (token, factory.user, "Depot", 3, 0)),
                (factory.owner, "revokeUser", (token, factory.user)),
                (factory.owner, "factoryReset", (token, 1_700_000_300, 1)),
                (factory.owner, "transferFrom", (factory.owner, factory.owner, token)),
                (factory.maker, "correct", (token, "colour", self.random.choice(("red", "blue", "")))),
            ]
        )


def again(transaction: dict[str, Any]) -> dict[str, Any]:
    return {key: transaction[key] for key in ("from", "to", "gas")} | {"data": transaction["input"]}
