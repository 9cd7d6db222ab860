"""Ids, versions and activity of the devices that were written last, as they were committed: most events are of these.

The only state that outlives a step. It holds for the checkpoint at which it was noted and no other; a step that fails,
a rollback and a rebuild drop it. The rows are never changed: the fold copies what it changes.
"""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

from indexer.changes import OpenRows, TokenKey
from schema.tables.rows import DeviceActivity, DeviceVersion

MOST_DEVICES = 15_000
"""About 20 MB."""


class OpenRowCache:
    """Devices by token, those written last at the end."""

    def __init__(self, most_devices: int = MOST_DEVICES) -> None:
        self.most_devices = most_devices
        self._devices: OrderedDict[TokenKey, tuple[int, DeviceVersion, DeviceActivity]] = OrderedDict()
        self._checkpoint = b""

    def at(self, checkpoint: bytes) -> "OpenRowCache":
        """Returns this cache if it was noted at the checkpoint of this block hash, else an empty one."""
        return self if checkpoint == self._checkpoint else self.empty()

    def empty(self) -> "OpenRowCache":
        """Returns an empty cache of the same size."""
        return OpenRowCache(self.most_devices)

    def recall(self, devices: Iterable[TokenKey]) -> tuple[OpenRows, set[TokenKey]]:
        """Returns ids, versions and activity of those devices that are in the cache, and the tokens of the others."""
        open_rows = OpenRows()
        ids, versions, activities = open_rows.ids["device"], open_rows.device_version, open_rows.device_activity
        uncached: set[TokenKey] = set()
        for token in devices:
            device = self._devices.get(token)
            if device is None:
                uncached.add(token)
            else:
                id, versions[id], activities[id] = device
                ids[token] = id
        return open_rows, uncached

    def note(self, checkpoint: bytes, open_rows: OpenRows) -> None:
        """Notes the open rows of a batch's devices, after it was committed."""
        versions, activities = open_rows.device_version, open_rows.device_activity
        ids = open_rows.ids["device"]
        # of more than fit, the last: what is noted of the others goes too, because it is older than all of these
        for token, id in islice(ids.items(), max(len(ids) - self.most_devices, 0), None):
            self._devices[token] = (id, versions[id], activities[id])
            self._devices.move_to_end(token)
        self._checkpoint = checkpoint
        while len(self._devices) > self.most_devices:
            self._devices.popitem(last=False)
