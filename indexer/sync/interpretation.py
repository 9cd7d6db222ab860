"""How a chain's logs are interpreted: the profile compiled for the watched contracts, and the policy of the fold."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from indexer.chain.batch import BlockLogs
from indexer.fold.policy import Policy, policy_of
from indexer.store.watch_set import WatchedContract
from schema.profile.factories import Factories
from schema.profile.model import Profile
from schema.profile.reader import Reader


class Interpretation(Struct):
    """`reader` decodes logs to facts, `policy` rules how they are folded, `factories` find contracts that logs create.

    All three by the profile, for `contracts`.
    """

    profile: Profile
    contracts: Sequence[WatchedContract]
    reader: Reader
    policy: Policy
    factories: Factories
    _last: "Interpretation | None" = None

    def watching(self, contracts: Sequence[WatchedContract]) -> "Interpretation":
        """Returns the interpretation of the logs of other contracts, the last one if it is of the same."""
        if list(contracts) == list(self.contracts):
            return self
        if self._last is None or list(contracts) != list(self._last.contracts):
            self._last = interpret(self.profile, contracts)
        return self._last

    def created_in(self, blocks: Iterable[BlockLogs]) -> list[WatchedContract]:
        """Returns the contracts that the logs create, in order. An address that is watched already keeps its role."""
        known = {contract.address for contract in self.contracts}
        created: list[WatchedContract] = []
        for block in blocks:
            for log in block.logs:
                creation = self.factories.creation(log)
                if creation is not None and creation.address not in known:
                    known.add(creation.address)
                    role, address, whole = creation.role, creation.address, creation.whole
                    created.append(WatchedContract(role, address, block.number, whole, log.position))
        return created


def interpret(profile: Profile, contracts: Iterable[WatchedContract]) -> Interpretation:
    """Returns the interpretation of the logs of these contracts by the profile."""
    contracts = list(contracts)
    addresses: dict[str, list[bytes]] = {}
    whole: set[bytes] = set()
    for contract in contracts:
        addresses.setdefault(contract.role, []).append(contract.address)
        if contract.whole:
            whole.add(contract.address)
    reader = profile.compile(addresses)
    factories = profile.compile_factories(addresses)
    return Interpretation(profile, contracts, reader, policy_of(profile, reader, whole), factories)
