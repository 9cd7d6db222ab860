"""What the store and the fold exchange: keys of what a batch names, its open rows, and the changes to the tables.

The store loads open rows and writes changes, the fold computes one from the other; neither imports the other.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schema.tables import rows
from schema.tables.kinds import IDENTITIES

TokenKey = tuple[bytes, int]
"""The contract that numbers a device, manufacturer, license or vehicle, and its number there. Of an account: 0."""

DeviceAddress = tuple[bytes, bytes]
"""The contract that numbers devices, and the address of one of them."""


class GrantSubject(NamedTuple):
    """What a grant is on: one of the ids, a device's 0 if it is not the one. In the order of the table's columns."""

    device_id: int = 0
    vehicle_id: int | None = None
    synthetic_device_id: int | None = None
    manufacturer_id: int | None = None
    account_id: int | None = None


GrantKey = tuple[int, int | None, int | None, int | None, int | None, bytes, str, str]
"""Subject, user, source, scope: a grant replaces the open grant of the same key and of no other."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the facts of a batch name. `tokens` by table of identities.

    `keyed`: of these, by table of spans with a key and table of identities, those whose rows there may change.
    `accounts`: owners whose licenses, or whose manufacturers' licenses, may change. `addresses`: of devices that are
    named by them.
    """

    tokens: Mapping[str, Set[TokenKey]]
    keyed: Mapping[tuple[str, str], Set[TokenKey]]
    accounts: Set[bytes]
    addresses: Set[DeviceAddress] = frozenset()


@dataclass(slots=True)
class OpenRows:
    """Ids, by table of identities, and open rows, by table of spans and key, as they are stored.

    `address_blocks`: the block since which a device has its address, of devices that share a named one.
    """

    ids: dict[str, dict[TokenKey, int]] = field(default_factory=lambda: {table: {} for table in IDENTITIES})
    device_version: dict[int, rows.DeviceVersion] = field(default_factory=dict)
    device_activity: dict[int, rows.DeviceActivity] = field(default_factory=dict)
    device_attribute: dict[tuple[int, str], rows.DeviceAttribute] = field(default_factory=dict)
    authorization: dict[GrantKey, rows.Authorization] = field(default_factory=dict)
    manufacturer_version: dict[int, rows.ManufacturerVersion] = field(default_factory=dict)
    hardware_license_version: dict[int, rows.HardwareLicenseVersion] = field(default_factory=dict)
    vehicle_version: dict[int, rows.VehicleVersion] = field(default_factory=dict)
    license_version: dict[int, rows.LicenseVersion] = field(default_factory=dict)
    vehicle_attribute: dict[tuple[int, str], rows.VehicleAttribute] = field(default_factory=dict)
    synthetic_device_version: dict[int, rows.SyntheticDeviceVersion] = field(default_factory=dict)
    synthetic_device_attribute: dict[tuple[int, str], rows.SyntheticDeviceAttribute] = field(default_factory=dict)
    address_blocks: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a batch: readings of the facts' events by position, rows to insert and spans to close by table.

    `open_rows`: what is open afterwards, of all that the batch names.
    """

    readings: Mapping[int, rows.EventReading]
    inserted: Mapping[str, Sequence[Any]]
    closed: Mapping[str, Sequence[Any]]
    open_rows: OpenRows
