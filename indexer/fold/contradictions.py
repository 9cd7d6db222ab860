"""The flags of a fact that contradicts what was recorded of its device before."""

from indexer.fold.grants import expiry
from indexer.fold.policy import Policy
from schema.events import (
    ZERO_ADDRESS,
    DeviceAddressReset,
    DeviceAttributeSet,
    DeviceClaimed,
    DeviceFact,
    DeviceMinted,
    DevicePaired,
    DeviceProvisioned,
    DeviceTransferred,
    EndOfLifeRecorded,
    FirmwareUpdated,
    TestRecorded,
    UserAuthorized,
    UserRevoked,
)
from schema.tables.rows import DeviceVersion
from schema.vocabulary import EndOfLifeProcess, EndOfLifeStatus, EventFlag, known_code

# plain numbers: the members and the operators of an enumeration take longer than the rest of their line
IN_SERVICE = EndOfLifeStatus.IN_SERVICE.value
AFTER_END_OF_LIFE = EventFlag.AFTER_END_OF_LIFE.value
BEFORE_MINT = EventFlag.BEFORE_MINT.value
DUPLICATE_MINT = EventFlag.DUPLICATE_MINT.value
WRONG_SENDER = EventFlag.WRONG_SENDER.value

ENDS_WITH_SERVICE = (
    DeviceProvisioned,
    FirmwareUpdated,
    TestRecorded,
    UserAuthorized,
    DeviceAddressReset,
    DeviceClaimed,
    DevicePaired,
)
"""Activity that is not expected after the first step of the end of life."""


def contradictions(fact: DeviceFact, before: DeviceVersion, policy: Policy, contract: bytes) -> int:
    """Returns AFTER_END_OF_LIFE, BEFORE_MINT, DUPLICATE_MINT and WRONG_SENDER as they apply to a fact.

    `before` is the row of its device, `contract` the device's contract.
    """
    flags = 0
    status = before.end_of_life_status
    if status != IN_SERVICE and _is_after_end_of_life(fact, status, policy):
        flags |= AFTER_END_OF_LIFE
    if not exists(before) and not _begins(fact) and policy.mints_are_whole(contract):
        flags |= BEFORE_MINT
    if type(fact) is DeviceMinted and _is_minted(before):
        flags |= DUPLICATE_MINT
    if type(fact) is DeviceTransferred and _is_from_another(fact, before):
        flags |= WRONG_SENDER
    return flags


def exists(before: DeviceVersion) -> bool:
    """Returns whether a mint of the token was recorded, or follows from an owner or a burn."""
    return before.mint_position is not None or before.owner is not None or before.burn_position is not None


def _begins(fact: DeviceFact) -> bool:
    return isinstance(fact, DeviceMinted) or (isinstance(fact, DeviceTransferred) and fact.sender == ZERO_ADDRESS)


def _is_minted(before: DeviceVersion) -> bool:
    """Returns whether a mint was recorded, and no burn since."""
    return before.mint_position is not None and (before.burn_position or 0) < before.mint_position


def _is_from_another(fact: DeviceTransferred, before: DeviceVersion) -> bool:
    if before.owner is not None:
        return fact.sender != before.owner
    return before.burn_position is not None and fact.sender != ZERO_ADDRESS


def _is_after_end_of_life(fact: DeviceFact, status: int, policy: Policy) -> bool:
    if status == EndOfLifeStatus.DISPOSED:
        return not isinstance(fact, UserRevoked | DeviceAttributeSet) and not _ends(fact, policy)
    if isinstance(fact, EndOfLifeRecorded):
        return known_code(EndOfLifeProcess, fact.process) and fact.process < status
    return isinstance(fact, ENDS_WITH_SERVICE) and not _ends(fact, policy)


def _ends(fact: DeviceFact, policy: Policy) -> bool:
    """Returns whether a grant or a pairing only ends the one before it."""
    match fact:
        case UserAuthorized():
            return expiry(policy.grant_policies[fact.source], fact) is None
        case DevicePaired():
            return not fact.vehicle_id
        case _:
            return False
