"""Open rows of the devices that were written last, as they were committed: most events are of such a device.

The only state that outlives a step. It holds for the checkpoint at which it was noted and no other; a step that fails,
a rollback and a rebuild drop it. The rows are never changed: the fold copies what it changes.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from indexer.changes import OpenRows, TokenKey
from schema.tables import rows
from schema.tables.kinds import SPANS

MOST_ROWS = 30_000
"""About 10,000 devices and 20 MB."""
MOST_PACKED = 40_000
"""Devices written before these, as 0.5 kB of MessagePack each: a tenth of the cost of loading them again."""


class DeviceRows(Struct, gc=False, array_like=True):
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
_encoder = Encoder()
_decoder = Decoder(DeviceRows)


class OpenRowCache:
    """Devices by token, those written last at the end; those written longer ago packed."""

    def __init__(self, most_rows: int = MOST_ROWS, most_packed: int = MOST_PACKED) -> None:
        self.most_rows = most_rows
        self.most_packed = most_packed
        self._devices: OrderedDict[TokenKey, DeviceRows] = OrderedDict()
        self._packed: OrderedDict[TokenKey, bytes] = OrderedDict()
        self._rows = 0
        self._checkpoint = b""

    def at(self, checkpoint: bytes) -> "OpenRowCache":
        """Returns this cache if it was noted at the checkpoint of this block hash, else an empty one."""
        return self if checkpoint == self._checkpoint else self.empty()

    def empty(self) -> "OpenRowCache":
        """Returns an empty cache of the same size."""
        return OpenRowCache(self.most_rows, self.most_packed)

    def recall(self, devices: Iterable[TokenKey]) -> tuple[OpenRows, set[TokenKey]]:
        """Returns the open rows of those devices that are in the cache, and the tokens of the others."""
        open_rows = OpenRows()
        ids = open_rows.ids["device"]
        uncached: set[TokenKey] = set()
        for key in devices:
            device = self._devices.get(key) or self._unpacked(key)
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
            before = self._devices.pop(token, None)
            if before is None:
                self._packed.pop(token, None)
            else:
                self._rows -= before.count
            device = DeviceRows(id, versions[id], activities[id], attributes.get(id, ()), grants.get(id, ()))
            self._devices[token] = device
            self._rows += device.count
        self._checkpoint = checkpoint
        self._pack_oldest()

    def _unpacked(self, key: TokenKey) -> DeviceRows | None:
        packed = self._packed.get(key)
        return None if packed is None else _decoder.decode(packed)

    def _pack_oldest(self) -> None:
        while self._rows > self.most_rows:
            key, device = self._devices.popitem(last=False)
            self._rows -= device.count
            self._packed[key] = _encoder.encode(device)
        while len(self._packed) > self.most_packed:
            self._packed.popitem(last=False)


OfDevice = TypeVar("OfDevice", rows.DeviceAttribute, rows.Authorization)


def _by_device(rows: Iterable[OfDevice]) -> Mapping[int, Sequence[OfDevice]]:
    """Returns the rows of each device. Grants on others than devices have the id 0."""
    of_device: defaultdict[int, list[OfDevice]] = defaultdict(list)
    for row in rows:
        of_device[row.device_id].append(row)
    return of_device
