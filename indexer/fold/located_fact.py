"""A fact with its place in the chain, and what the facts of a batch name."""

from collections.abc import Sequence

from msgspec import Struct

from indexer.changes import Names, TokenKey
from schema.events import AboutDevice, Fact, LicenseMinted, LicenseTransferred, ManufacturerTransferred
from schema.tables.kinds import IDENTITIES
from schema.tables.values import block_of


class LocatedFact(Struct, frozen=True, gc=False):
    """A fact, the place of its log, and the contracts that number what it names. `block_time` in unix seconds."""

    position: int
    block_time: int
    transaction_index: int
    fact: Fact
    device_contract: bytes
    manufacturer_contract: bytes
    hardware_license_contract: bytes
    vehicle_contract: bytes
    license_contract: bytes

    @property
    def transaction(self) -> tuple[int, int]:
        """Block number and index of the transaction."""
        return block_of(self.position), self.transaction_index


def named_by(facts: Sequence[LocatedFact]) -> Names:
    """Returns what the facts name: the fold needs the open rows of these."""
    tokens: dict[str, set[TokenKey]] = {table: set() for table in IDENTITIES}
    accounts: set[bytes] = set()
    for located in facts:
        fact = located.fact
        if isinstance(fact, AboutDevice):
            tokens["device"].add((located.device_contract, fact.token_id))
        elif isinstance(fact, LicenseMinted):
            accounts.add(fact.account)
        elif isinstance(fact, LicenseTransferred | ManufacturerTransferred):
            accounts |= {fact.sender, fact.recipient}
        if (manufacturer_id := getattr(fact, "manufacturer_id", None)) is not None:
            tokens["manufacturer"].add((located.manufacturer_contract, manufacturer_id))
        if (license_id := getattr(fact, "hardware_license_id", None)) is not None:
            tokens["hardware_license"].add((located.hardware_license_contract, license_id))
        if vehicle_id := getattr(fact, "vehicle_id", None):
            tokens["vehicle"].add((located.vehicle_contract, vehicle_id))
        if (token_license_id := getattr(fact, "license_id", None)) is not None:
            tokens["license"].add((located.license_contract, token_license_id))
    return Names(tokens, accounts)
