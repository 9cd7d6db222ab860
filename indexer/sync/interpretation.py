"""How a chain's logs are interpreted: the profile compiled for the watched contracts, and the policy of the fold."""

from collections.abc import Iterable

from msgspec import Struct

from indexer.fold.policy import Policy, policy_of
from indexer.store.watch_set import WatchedContract
from schema.profile.model import Profile
from schema.profile.reader import Reader


class Interpretation(Struct, frozen=True):
    """`reader` finds facts in logs, `policy` says what the facts mean; both by the profile."""

    profile: Profile
    reader: Reader
    policy: Policy


def interpret(profile: Profile, contracts: Iterable[WatchedContract]) -> Interpretation:
    """Returns the interpretation of the logs of these contracts by the profile."""
    addresses: dict[str, list[bytes]] = {}
    whole: set[bytes] = set()
    for contract in contracts:
        addresses.setdefault(contract.role, []).append(contract.address)
        if contract.whole:
            whole.add(contract.address)
    reader = profile.compile(addresses)
    return Interpretation(profile, reader, policy_of(profile, reader, whole))
