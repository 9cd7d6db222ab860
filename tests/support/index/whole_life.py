"""A bundle of a device with a whole life, all of whose blocks are proven, and the chain that it is of."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schema.bundle.document import to_json
from schema.bundle.making import make_bundle
from tests.support.chain.devchain import Anvil
from tests.support.chain.evidence import Nodes
from tests.support.chain.factory import HASH, Factory, end_of_life_step, mint_request, report
from tests.support.index.verifying import Indexed, index, indexed


@dataclass
class WholeLife:
    """The chain, the database of its index, and the bundle of device 1."""

    chain: Anvil
    url: str
    data: bytes


@contextmanager
def whole_life(folder: Path) -> Iterator[WholeLife]:
    """Yields the bundle while its chain runs. The database is a file of the folder."""
    url = f"sqlite:///{folder / 'chain.db'}"
    with Anvil() as chain:
        factory = Factory(chain)
        _live(factory)
        index(factory, url)
        with indexed(factory, url) as database:
            asyncio.run(_verify_all(database, chain))
            contract = bytes.fromhex(factory.contract.address[2:])
            with database.engine.begin() as connection:
                bundle = make_bundle(connection, chain.chain_id, contract, 1)
        assert bundle is not None
        yield WholeLife(chain, url, to_json(bundle))


def _live(factory: Factory) -> None:
    """Takes device 1 from mint to disposal, beside another of the same pallet."""
    first, second = mint_request(number=1), mint_request(number=2)
    factory.send("mintBatch", 1, factory.owner, [first, second], sender=factory.maker)
    factory.send("recordInCircuitTest", 1, report(), sender=factory.maker)
    factory.send("recordQualityInspection", 1, report(), sender=factory.maker)
    factory.send("provision", 1, 1_700_000_150, sender=factory.maker)
    factory.send("authorizeUser", 1, factory.user, "Garage", 3, 1_900_000_000)
    factory.send("updateFirmware", 1, "1.1.0", HASH, 0, 1_700_000_160)
    factory.send("updateFirmware", 1, "1.2.0", HASH, 1, 1_700_000_170)
    factory.send("factoryReset", 1, 1_700_000_180, 2)
    factory.send("revokeUser", 1, factory.user)
    factory.send("correct", 1, "colour", "gr\u00fcn", sender=factory.maker)
    factory.send("transferFrom", factory.owner, factory.stranger, 1)
    factory.send("recordEndOfLife", 1, end_of_life_step(1), sender=factory.stranger)
    factory.send("recordMechanicalTest", 1, report(False), sender=factory.maker)
    factory.send("revokeManufacturerLicense", 1, "fraud", sender=factory.registrar)
    factory.send("recordEndOfLife", 1, end_of_life_step(3, 2), sender=factory.stranger)


async def _verify_all(database: Indexed, chain: Anvil) -> None:
    verifier = database.verifier(Nodes(chain))
    while await verifier.advance() is not None:
        pass
