"""A fact with its place in the chain, and what the facts of a batch name."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
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


OWNER_FIELDS: Mapping[type[Fact], Sequence[str]] = {
    LicenseMinted: ("account",),
    LicenseTransferred: ("sender", "recipient"),
    ManufacturerTransferred: ("sender", "recipient"),
}
"""The fields of facts that name owners whose licenses may change."""


def named_by(facts: Sequence[LocatedFact]) -> Names:
    """Returns what the facts name: the fold needs the open rows of these."""
    tokens: dict[str, set[TokenKey]] = {table: set() for table in IDENTITIES}
    keyed: defaultdict[tuple[str, str], set[TokenKey]] = defaultdict(set)
    accounts: set[bytes] = set()
    addresses: set[DeviceAddress] = set()
    alike: defaultdict[tuple[type[Fact], int], list[LocatedFact]] = defaultdict(list)
    for located in facts:  # the profile has one object of contracts for each of its rules
        alike[type(located.fact), id(located.contracts)].append(located)
    for (fact_type, _), group in alike.items():
        contracts, of_group = group[0].contracts, [located.fact for located in group]
        if contracts.by_address:
            addresses.update((contracts.device, located.address) for located in group)
        for identity, field in _id_fields(fact_type, contracts.by_address):
            ids = set(map(attrgetter(field), of_group)) - {None}
            if identity == "account":  # names itself
                named = {(account, 0) for account in ids}
            else:
                contract = getattr(contracts, identity)
                named = {(contract, number) for number in ids}
            tokens[identity] |= named
            if fact_type in KEYED_TABLES:
                keyed[KEYED_TABLES[fact_type], identity] |= named
        for field in OWNER_FIELDS.get(fact_type, ()):
            accounts.update(map(attrgetter(field), of_group))
    return Names(tokens, keyed, accounts, addresses)


@cache
def _id_fields(fact_type: type[Fact], by_address: bool) -> list[tuple[str, str]]:
    """Returns the fields of a fact that hold ids, each after the table of the identity."""
    return [
        (identity, field)
        for field, identity in IDENTITY_OF_ID.items()
        if field in fact_type.__struct_fields__ and not (by_address and identity == "device")
    ]
