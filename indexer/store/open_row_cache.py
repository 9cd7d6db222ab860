"""Open rows of the devices that were written last, as they were committed: most events are of such a device.

The only state that outlives a step. It holds for the checkpoint at which it was noted and no other; a step that fails,
a rollback and a rebuild drop it. The rows are never changed: the fold copies what it changes.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from indexer.changes import OpenRows, TokenKey
from schema.tables import rows
from schema.tables.kinds import SPANS

MOST_ROWS = 30_000
"""About 12,000 devices and 20 MB."""


class DeviceRows(Struct, gc=False):
    """All open rows of a device. Rows of one device are forgotten together."""

    id: int
    version: rows.DeviceVersion
    activity: rows.DeviceActivity
    attributes: Sequence[rows.DeviceAttribute]
    grants: Sequence[rows.Authorization]

    @property
    def count(self) -> int:
        return 2 + len(self.attributes) + len(self.grants)


_grant_key = SPANS["authorization"].key()


class OpenRowCache:
    """Devices by token, those written last at the end."""

    def __init__(self, most_rows: int = MOST_ROWS) -> None:
        self.most_rows = most_rows
        self._devices: OrderedDict[TokenKey, DeviceRows] = OrderedDict()
        self._rows = 0
        self._checkpoint = b""

    def at(self, checkpoint: bytes) -> "OpenRowCache":
        """Returns this cache if it was noted at the checkpoint of this block hash, else an empty one."""
        return self if checkpoint == self._checkpoint else self.empty()

    def empty(self) -> "OpenRowCache":
        """Returns an empty cache of the same size."""
        return OpenRowCache(self.most_rows)

    def recall(self, devices: Iterable[TokenKey]) -> tuple[OpenRows, set[TokenKey]]:
        """Returns the open rows of those devices that are in the cache, and the tokens of the others."""
        open_rows = OpenRows()
        ids = open_rows.ids["device"]
        uncached: set[TokenKey] = set()
        for key in devices:
            device = self._devices.get(key)
            if device is None:
                uncached.add(key)
                continue
            ids[key] = device.id
            open_rows.device_version[device.id] = device.version
            open_rows.device_activity[device.id] = device.activity
            for attribute in device.attributes:
                open_rows.device_attribute[device.id, attribute.name] = attribute
            for grant in device.grants:
                open_rows.authorization[_grant_key(grant)] = grant
        return open_rows, uncached

    def note(self, checkpoint: bytes, open_rows: OpenRows) -> None:
        """Notes the open rows of a batch's devices, after it was committed."""
        attributes = _by_device(open_rows.device_attribute.values())
        grants = _by_device(open_rows.authorization.values())
        versions, activities = open_rows.device_version, open_rows.device_activity
        for token, id in open_rows.ids["device"].items():
            if (before := self._devices.pop(token, None)) is not None:
                self._rows -= before.count
            device = DeviceRows(id, versions[id], activities[id], attributes.get(id, ()), grants.get(id, ()))
            self._devices[token] = device
            self._rows += device.count
        self._checkpoint = checkpoint
        while self._rows > self.most_rows:
            self._rows -= self._devices.popitem(last=False)[1].count


OfDevice = TypeVar("OfDevice", rows.DeviceAttribute, rows.Authorization)


def _by_device(rows: Iterable[OfDevice]) -> Mapping[int, Sequence[OfDevice]]:
    """Returns the rows of each device. Grants on others than devices have the id 0."""
    of_device: defaultdict[int, list[OfDevice]] = defaultdict(list)
    for row in rows:
        of_device[row.device_id].append(row)
    return of_device
