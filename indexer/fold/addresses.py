"""Which device an address is: facts may name their device by it. Of several devices with one address, it is the last.

That is the device which got the address in the latest block, and in one block the younger one. The rows of devices have
the state after each block, so the answer is the same whatever blocks a batch holds.
"""

from collections.abc import Mapping

from indexer.changes import DeviceAddress, OpenRows, TokenKey
from indexer.fold.row_spans import RowSpans
from schema.tables.rows import DeviceVersion
from schema.tables.values import block_of

Versions = RowSpans[int, DeviceVersion]


class DeviceAddresses:
    """The devices by address: of those in a batch, all that had the address at any time of the batch."""

    def __init__(self, stored: OpenRows, ids: Mapping[TokenKey, int], versions: Versions) -> None:
        self._stored = stored
        self._versions = versions
        self._devices: dict[DeviceAddress, list[int]] = {}
        for (contract, _), device in ids.items():
            self.note(contract, versions.open[device].address, device)

    def note(self, contract: bytes, address: bytes | None, device: int) -> None:
        """Notes that a device of the contract has the address now."""
        if address is not None:
            self._devices.setdefault((contract, address), []).append(device)

    def device_at(self, contract: bytes, address: bytes) -> int | None:
        """Returns the device of the contract that has the address now."""
        noted = set(self._devices.get((contract, address), ()))
        devices = [device for device in noted if self._versions.open[device].address == address]
        if len(devices) < 2:
            return devices[0] if devices else None
        return max(devices, key=lambda device: (self._since(device), device))

    def _since(self, device: int) -> int:
        """Returns the block since which a device has its address."""
        address, since = self._versions.open[device].address, None
        for row in reversed(self._versions.opened):
            if row.device_id == device:
                if row.address != address:
                    break
                since = block_of(row.valid_from)
        else:
            stored = self._stored.device_version.get(device)
            if stored is not None and stored.address == address:
                return self._stored.address_blocks.get(device, -1)
        assert since is not None  # else the open row is the stored one
        return since
