"""A fact with its place in the chain, and what the facts of a batch name."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from indexer.changes import DeviceAddress, Names, TokenKey
from schema.events import (
    AccessGranted,
    AccessRevoked,
    Address,
    DeviceAttributeSet,
    DeviceTransferred,
    Fact,
    LicenseMinted,
    LicenseTransferred,
    ManufacturerTransferred,
    SyntheticDeviceAttributeSet,
    SyntheticDeviceTransferred,
    UserAuthorized,
    UserRevoked,
    VehicleAttributeSet,
    VehicleTransferred,
)
from schema.profile.reader import Contracts
from schema.tables.kinds import IDENTITIES, IDENTITY_OF_ID
from schema.tables.values import block_of


class LocatedFact(Struct, frozen=True, gc=False):
    """A fact, the place of its log, and the contracts that number what it names. `block_time` in unix seconds.

    `item` is that of the log which is several facts.
    """

    position: int
    block_time: int
    transaction_index: int
    fact: Fact
    contracts: Contracts
    item: int = 0

    @property
    def transaction(self) -> tuple[int, int]:
        """Block number and index of the transaction."""
        return block_of(self.position), self.transaction_index

    @property
    def address(self) -> Address:
        """The address by which the fact names its device, if it names it so."""
        fact: Any = self.fact
        return Address(fact.token_id.to_bytes(20, "big"))


KEYED_TABLES: Mapping[type[Fact], str] = {
    UserAuthorized: "authorization",
    UserRevoked: "authorization",
    DeviceTransferred: "authorization",
    AccessGranted: "authorization",
    AccessRevoked: "authorization",
    ManufacturerTransferred: "authorization",
    VehicleTransferred: "authorization",
    SyntheticDeviceTransferred: "authorization",
    DeviceAttributeSet: "device_attribute",
    VehicleAttributeSet: "vehicle_attribute",
    SyntheticDeviceAttributeSet: "synthetic_device_attribute",
}
"""The table of spans with a key that a fact may change: most facts change grants and attributes of nothing."""


def named_by(facts: Sequence[LocatedFact]) -> Names:
    """Returns what the facts name: the fold needs the open rows of these."""
    tokens: dict[str, set[TokenKey]] = {table: set() for table in IDENTITIES}
    keyed: defaultdict[tuple[str, str], set[TokenKey]] = defaultdict(set)
    accounts: set[bytes] = set()
    addresses: set[DeviceAddress] = set()
    for located in facts:
        fact = located.fact
        by_address = located.contracts.by_address
        if by_address:
            addresses.add((located.contracts.device, located.address))
        table = KEYED_TABLES.get(type(fact))
        for identity, field in _id_fields(type(fact), by_address):
            id = getattr(fact, field)
            if id is not None:
                account = identity == "account"  # names itself
                token = (id, 0) if account else (getattr(located.contracts, identity), id)
                tokens[identity].add(token)
                if table is not None:
                    keyed[table, identity].add(token)
        if isinstance(fact, LicenseMinted):
            accounts.add(fact.account)
        elif isinstance(fact, LicenseTransferred | ManufacturerTransferred):
            accounts |= {fact.sender, fact.recipient}
    return Names(tokens, keyed, accounts, addresses)


@cache
def _id_fields(fact_type: type[Fact], by_address: bool) -> list[tuple[str, str]]:
    """Returns the fields of a fact that hold ids, each after the table of the identity."""
    return [
        (identity, field)
        for field, identity in IDENTITY_OF_ID.items()
        if field in fact_type.__struct_fields__ and not (by_address and identity == "device")
    ]
