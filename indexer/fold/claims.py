"""Changes of a device's row by claims, pairings and reprovisioning. Each function edits the row in place."""

from indexer.fold import devices
from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_changes import RowChanges
from schema.events import ZERO_ADDRESS
from schema.tables.rows import DeviceVersion


def claim(version: DeviceVersion, block_time: int, *, provisions: bool) -> None:
    """Records a claim. `provisions`: the contract records no provisioning, so the claim stands for it."""
    version.claimed_at = block_time
    if provisions:
        devices.provision(version, block_time)


def unclaim(version: DeviceVersion) -> None:
    version.claimed_at = None


def pair(version: DeviceVersion, vehicle: int | None, block_time: int) -> None:
    """Records a pairing; one without a vehicle ends the pairing before it."""
    version.vehicle_id = vehicle
    version.paired_at = None if vehicle is None else block_time


def set_beneficiary(version: DeviceVersion, beneficiary: bytes) -> None:
    # the zero address means the owner
    version.beneficiary = None if beneficiary == ZERO_ADDRESS else beneficiary


def leave(changes: RowChanges, located: LocatedFact, device: int, version: DeviceVersion) -> None:
    """Remembers the burned device for a mint in the same transaction that takes over its address."""
    if version.address is not None:
        changes.burned[located.contracts.device, version.address] = (device, located.transaction)


def succeed(changes: RowChanges, located: LocatedFact, device: int, version: DeviceVersion) -> None:
    """Links a minted device to the one whose address it takes over."""
    if version.address is None:
        return
    burned, transaction = changes.burned.get((located.contracts.device, version.address), (device, None))
    if transaction == located.transaction and burned != device:
        version.predecessor_id = burned
