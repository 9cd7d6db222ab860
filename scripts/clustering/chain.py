"""A living chain with reorgs, and what each of its blocks makes of the index."""

import random

from tests.support.chain.fakechain import FakeNode, Log, emitted
from tests.support.rpc.faultproxy import of_fake
from tests.support.rpc.provider import Provider

FINALITY = 12
MINT_SHARE = 0.7


class LivingChain:
    """Grows block by block. `devices` is the number of devices after each block of any branch, by its hash."""

    def __init__(self, seed: int) -> None:
        self.node = FakeNode(finality=FINALITY)
        self.provider = Provider(of_fake(self.node), seed=seed)
        self.reorgs = 0
        self._random = random.Random(seed)
        self._minted = 0
        self.devices: dict[bytes, int] = {}
        self._count()

    def grow(self) -> None:
        """Adds a block."""
        logs = self._logs()

        def mine() -> None:
            self.node.mine(*logs)
            self._count()  # before the block can be indexed and served

        self.provider.do(mine)

    def reorg(self) -> None:
        """Replaces up to three of the last blocks."""
        depth = min(self._random.randint(1, 3), self.node.head.number - self.node.finalized_number)
        if depth > 0:
            blocks = [self._logs() for _ in range(depth)]

            def replace() -> None:
                self.node.reorg(depth, *blocks)
                self._count()

            self.provider.do(replace)
            self.reorgs += 1

    def _logs(self) -> list[Log]:
        if self._random.random() > MINT_SHARE:
            return []
        self._minted += 1
        number = self._minted
        return [
            emitted("Transfer", to=b"\x0a" * 20, tokenId=number),
            emitted("CertificateMinted", tokenId=number, manufacturerId=1, serialNumber=f"SN-{number}"),
        ]

    def _count(self) -> None:
        count = 0
        for block in self.node.blocks:
            count += bool(block.logs)
            self.devices.setdefault(block.hash, count)
