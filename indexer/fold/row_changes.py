"""The rows that a batch touches: what was open when it began, and what it opens, closes and appends."""

from typing import Any, Final

from msgspec import Struct

from indexer.changes import DeviceAddress, GrantKey, OpenRows, TokenKey
from indexer.fold.addresses import DeviceAddresses
from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_spans import RowSpans
from schema.events import ZERO_ADDRESS
from schema.tables import rows
from schema.tables.kinds import IDENTITIES, LIFECYCLE, SPANS
from schema.tables.values import uint256_bytes

SUBJECT_FIELDS: Final = 5
"""The fields of a grant's key that name its subject."""


class RowChanges:
    """The rows of a batch while it is folded. An id is the position of the first log that names a thing.

    Spans are attributes named as their table.
    """

    device_version: RowSpans[int, rows.DeviceVersion]
    device_key: RowSpans[int, rows.DeviceKey]
    device_activity: RowSpans[int, rows.DeviceActivity]
    device_attribute: RowSpans[tuple[int, str], rows.DeviceAttribute]
    authorization: RowSpans[GrantKey, rows.Authorization]
    manufacturer_version: RowSpans[int, rows.ManufacturerVersion]
    hardware_license_version: RowSpans[int, rows.HardwareLicenseVersion]
    vehicle_version: RowSpans[int, rows.VehicleVersion]
    license_version: RowSpans[int, rows.LicenseVersion]
    vehicle_attribute: RowSpans[tuple[int, str], rows.VehicleAttribute]
    synthetic_device_version: RowSpans[int, rows.SyntheticDeviceVersion]
    synthetic_device_attribute: RowSpans[tuple[int, str], rows.SyntheticDeviceAttribute]

    def __init__(self, stored: OpenRows) -> None:
        self.ids = {table: dict(ids) for table, ids in stored.ids.items()}
        self._spans = {
            name: RowSpans({} if table.repeats else getattr(stored, name), one_a_block=table.one_a_block)
            for name, table in SPANS.items()
        }
        for name, spans in self._spans.items():
            setattr(self, name, spans)
        self.burned: dict[DeviceAddress, tuple[int, tuple[int, int]]] = {}
        self.stored = stored
        self._addresses: DeviceAddresses | None = None
        self.grants_of: dict[tuple[int | None, ...], set[GrantKey]] = {}
        for key in stored.authorization:
            self.grants_of.setdefault(key[:SUBJECT_FIELDS], set()).add(key)
        self._appended: dict[str, list[Any]] = {table: [] for table in (*IDENTITIES, *LIFECYCLE)}

    def append(self, table: str, row: Struct) -> None:
        """Adds a row to a table of lifecycle facts or identities."""
        self._appended[table].append(row)

    # Each returns the id of a thing; one that no log has named before begins here

    def device(self, located: LocatedFact, token_id: int) -> int:
        key = (located.contracts.device, token_id)
        device = self.ids["device"].get(key)
        if device is None:
            device = self._begin("device", key, located)
            self.device_version.start(device, rows.DeviceVersion(device, located.position))
            self.device_activity.start(device, rows.DeviceActivity(device, located.position, located.block_time))
        return device

    def device_at(self, located: LocatedFact) -> int | None:
        """Returns the device that a fact names by its address, None if no device has the address."""
        if self._addresses is None:
            self._addresses = DeviceAddresses(self.stored, self.ids["device"], self.device_version)
        return self._addresses.device_at(located.contracts.device, located.address)

    def set_address(self, located: LocatedFact, device: int, address: bytes) -> None:
        version = self.device_version.change(device, located.position)
        version.address = None if address == ZERO_ADDRESS else address  # the zero address stands for none
        if self._addresses is not None:
            self._addresses.note(located.contracts.device, version.address, device)

    def manufacturer(self, located: LocatedFact, manufacturer_id: int) -> int:
        return self._identify("manufacturer", (located.contracts.manufacturer, manufacturer_id), located)

    def hardware_license(self, located: LocatedFact, hardware_license_id: int) -> int:
        return self._identify("hardware_license", (located.contracts.hardware_license, hardware_license_id), located)

    def vehicle(self, located: LocatedFact, vehicle_id: int) -> int:
        return self._identify("vehicle", (located.contracts.vehicle, vehicle_id), located)

    def license(self, located: LocatedFact, license_id: int) -> int:
        """Returns the id of a license that is an NFT."""
        return self._identify("license", (located.contracts.license, license_id), located)

    def synthetic_device(self, located: LocatedFact, synthetic_device_id: int) -> int:
        return self._identify("synthetic_device", (located.contracts.synthetic_device, synthetic_device_id), located)

    def account(self, located: LocatedFact, address: bytes) -> int:
        """Returns the id of an account that grants access."""
        return self._identify("account", (address, 0), located)

    def _identify(self, identity: str, key: TokenKey, located: LocatedFact) -> int:
        id = self.ids[identity].get(key)
        if id is None:
            id = self._begin(identity, key, located)
            table = SPANS.get(f"{identity}_version")
            if table is not None:
                row: Any = table.row(**{table.owner: id, "valid_from": id})
                self._spans[table.name].start(id, row)
        return id

    def _begin(self, identity: str, key: TokenKey, located: LocatedFact) -> int:
        contract, number = key
        self.ids[identity][key] = located.position
        self.append(identity, rows.Identity(located.position, contract, uint256_bytes(number)))
        return located.position

    def inserted(self) -> dict[str, list[Any]]:
        """Returns the rows to insert, by table."""
        return self._appended | {table: spans.opened for table, spans in self._spans.items()}

    def closed(self) -> dict[str, list[Any]]:
        """Returns the stored rows that now have an end, by table; of one that was not loaded, owner and end."""
        return {table: spans.closed for table, spans in self._spans.items()}

    def open_rows(self) -> OpenRows:
        """Returns all that is open now: ids and rows of what was stored and of what the batch began."""
        spans: dict[str, Any] = {name: spans.open for name, spans in self._spans.items() if not SPANS[name].repeats}
        return OpenRows(self.ids, **spans)
