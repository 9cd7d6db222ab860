"""What a fact contradicts: the flags that it gets, by what was recorded of its device before it."""

from collections.abc import Callable

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


def contradictions(fact: DeviceFact, before: DeviceVersion, *, ends: Callable[[], bool], mints_are_whole: bool) -> int:
    """Returns AFTER_END_OF_LIFE, BEFORE_MINT, DUPLICATE_MINT and WRONG_SENDER as they apply.

    `ends` tells whether the fact ends a grant or a pairing. `mints_are_whole`: no mint can have been missed.
    """
    flags = 0
    if _is_after_end_of_life(fact, before.end_of_life_status, ends):
        flags |= EventFlag.AFTER_END_OF_LIFE
    if mints_are_whole and not exists(before) and not _begins(fact):
        flags |= EventFlag.BEFORE_MINT
    if type(fact) is DeviceMinted and _is_minted(before):
        flags |= EventFlag.DUPLICATE_MINT
    if type(fact) is DeviceTransferred and _is_from_another(fact, before):
        flags |= EventFlag.WRONG_SENDER
    return flags


def exists(before: DeviceVersion) -> bool:
    """Tells whether the token has been minted, as far as was recorded; a burned one has."""
    return before.mint_position is not None or before.owner is not None or before.burn_position is not None


def _begins(fact: DeviceFact) -> bool:
    return isinstance(fact, DeviceMinted) or (isinstance(fact, DeviceTransferred) and fact.sender == ZERO_ADDRESS)


def _is_minted(before: DeviceVersion) -> bool:
    """Tells whether a mint was recorded, and no burn since."""
    return before.mint_position is not None and (before.burn_position or 0) < before.mint_position


def _is_from_another(fact: DeviceTransferred, before: DeviceVersion) -> bool:
    if before.owner is not None:
        return fact.sender != before.owner
    return before.burn_position is not None and fact.sender != ZERO_ADDRESS


def _is_after_end_of_life(fact: DeviceFact, status: int, ends: Callable[[], bool]) -> bool:
    if status == EndOfLifeStatus.IN_SERVICE:
        return False
    if status == EndOfLifeStatus.DISPOSED:
        return not isinstance(fact, UserRevoked | DeviceAttributeSet) and not ends()
    if isinstance(fact, EndOfLifeRecorded):
        return known_code(EndOfLifeProcess, fact.process) and fact.process < status
    return isinstance(fact, ENDS_WITH_SERVICE) and not ends()
