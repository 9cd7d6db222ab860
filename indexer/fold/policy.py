"""What the profile and the watch set say beyond the facts, put together for the fold."""

from collections.abc import Collection
from functools import cache

from indexer.fold.fold import Rules
from schema.events import DeviceMinted
from schema.licenses import (
    hardware_licensing_is_whole,
    history_is_whole,
    licensed_by_tokens,
    manufacturer_licensing_is_whole,
)
from schema.profile.model import Profile, Reader


def rules_of(profile: Profile, reader: Reader, whole: Collection[bytes]) -> Rules:
    """Returns the rules. `whole`: the contracts that are watched from their first block."""
    return Rules(
        grant_policies=profile.grant_policies,
        mints_are_whole=cache(lambda contract: history_is_whole(reader, whole, contract, DeviceMinted)),
        manufacturer_licenses_are_whole=cache(
            lambda contract: manufacturer_licensing_is_whole(reader, whole, contract)
        ),
        hardware_licenses_are_whole=cache(lambda contract: hardware_licensing_is_whole(reader, whole, contract)),
        licensed_by_tokens=licensed_by_tokens(reader),
        claims_provision=reader.claims_provision,
    )
