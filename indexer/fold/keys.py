"""The rows of `device_key`: what devices are found by, as their versions have it."""

from operator import attrgetter

from indexer.fold.row_changes import RowChanges
from schema.tables.rows import DeviceKey
from schema.tables.values import OPEN

_values = attrgetter(*DeviceKey.__struct_fields__[3:])


def follow_versions(changes: RowChanges) -> None:
    """Ends the row of each device whose versions of this batch have other keys, and begins the next ones."""
    keys = changes.device_key
    for version in changes.device_version.opened:
        device, start, values = version.device_id, version.valid_from, _values(version)
        if (row := keys.open.get(device)) is not None:
            if _values(row) == values:
                continue
            keys.end(device, start)
        elif (stored := changes.stored.device_version.get(device)) is not None:
            if _values(stored) == values:
                continue
            keys.closed.append(DeviceKey(device, stored.valid_from, start))
        keys.start(device, DeviceKey(device, start, OPEN, *values))
