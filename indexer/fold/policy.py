"""The policy of the fold: the rules that come from the profile and the watch set, not from the facts."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

from schema.events import DeviceMinted
from schema.licenses import (
    hardware_licensing_is_whole,
    history_is_whole,
    licensed_by_tokens,
    manufacturer_licensing_is_whole,
)
from schema.profile.model import GrantPolicy, Profile
from schema.profile.reader import Reader


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that come from the profile and the watch set, not from the facts.

    The functions take the contract that numbers the ids. Those that end in `_are_whole` return whether all such facts
    of the contract are indexed, so that an absent one never happened. `licensed_by_tokens`: a manufacturer's license is
    an NFT that its owner holds. `claims_provision`: no provisioning is recorded, and a claim stands for it.
    """

    grant_policies: Mapping[str, GrantPolicy]
    mints_are_whole: Callable[[bytes], bool]
    manufacturer_licenses_are_whole: Callable[[bytes], bool]
    hardware_licenses_are_whole: Callable[[bytes], bool]
    licensed_by_tokens: bool
    claims_provision: Callable[[bytes], bool]


def policy_of(profile: Profile, reader: Reader, whole: Collection[bytes]) -> Policy:
    """Returns the policy. `whole`: the contracts that are watched from their first block."""
    return Policy(
        grant_policies=profile.grant_policies,
        mints_are_whole=cache(lambda contract: history_is_whole(reader, whole, contract, DeviceMinted)),
        manufacturer_licenses_are_whole=cache(
            lambda contract: manufacturer_licensing_is_whole(reader, whole, contract)
        ),
        hardware_licenses_are_whole=cache(lambda contract: hardware_licensing_is_whole(reader, whole, contract)),
        licensed_by_tokens=licensed_by_tokens(reader),
        claims_provision=reader.claims_provision,
    )
