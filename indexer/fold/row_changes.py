"""The rows that a batch touches: what was open when it began, and what it opens, closes and appends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from indexer.fold.row_spans import Spans
from schema.events import AboutDevice, Fact, LicenseMinted, LicenseTransferred, ManufacturerTransferred
from schema.tables import rows
from schema.tables.values import block_of, uint256_bytes

TokenKey = tuple[bytes, int]
"""The contract that numbers a thing, and its number there."""

TokenAddress = tuple[bytes, bytes]
"""A device contract, and the address that a device of it held."""

GrantKey = tuple[int, bytes, str, str]
"""Device, user, source, scope: a grant replaces the open grant of the same key and of no other."""


class Placed(Struct, frozen=True, gc=False):
    """A fact, the place of its log, and the contracts that number what it names. `block_time` in unix seconds."""

    position: int
    block_time: int
    transaction_index: int
    fact: Fact
    device_contract: bytes
    manufacturer_contract: bytes
    hardware_license_contract: bytes
    vehicle_contract: bytes
    license_contract: bytes

    @property
    def transaction(self) -> tuple[int, int]:
        """Block and index of the transaction."""
        return block_of(self.position), self.transaction_index


@dataclass(frozen=True, slots=True)
class Names:
    """What a batch's facts name. `accounts` are those whose licences, or whose manufacturers' licences, may change."""

    devices: frozenset[TokenKey]
    manufacturers: frozenset[TokenKey]
    hardware_licenses: frozenset[TokenKey]
    vehicles: frozenset[TokenKey]
    licenses: frozenset[TokenKey]
    accounts: frozenset[bytes]


@dataclass(slots=True)
class OpenRows:
    """Ids and open rows of all that a batch names, as they are stored."""

    devices: dict[TokenKey, int] = field(default_factory=dict)
    manufacturers: dict[TokenKey, int] = field(default_factory=dict)
    hardware_licenses: dict[TokenKey, int] = field(default_factory=dict)
    vehicles: dict[TokenKey, int] = field(default_factory=dict)
    licenses: dict[TokenKey, int] = field(default_factory=dict)
    device_versions: dict[int, rows.DeviceVersion] = field(default_factory=dict)
    device_activities: dict[int, rows.DeviceActivity] = field(default_factory=dict)
    device_attributes: dict[tuple[int, str], rows.DeviceAttribute] = field(default_factory=dict)
    authorizations: dict[GrantKey, rows.Authorization] = field(default_factory=dict)
    manufacturer_versions: dict[int, rows.ManufacturerVersion] = field(default_factory=dict)
    hardware_license_versions: dict[int, rows.HardwareLicenseVersion] = field(default_factory=dict)
    vehicle_versions: dict[int, rows.VehicleVersion] = field(default_factory=dict)
    license_versions: dict[int, rows.LicenseVersion] = field(default_factory=dict)


def named_by(facts: Sequence[Placed]) -> Names:
    """Returns what the facts name: that of which the fold needs the open rows."""
    devices, manufacturers, hardware_licenses = set(), set(), set()
    vehicles, licenses, accounts = set(), set(), set()
    for placed in facts:
        fact = placed.fact
        if isinstance(fact, AboutDevice):
            devices.add((placed.device_contract, fact.token_id))
        elif isinstance(fact, LicenseMinted):
            accounts.add(fact.account)
        elif isinstance(fact, LicenseTransferred | ManufacturerTransferred):
            accounts |= {fact.sender, fact.recipient}
        if (manufacturer_id := getattr(fact, "manufacturer_id", None)) is not None:
            manufacturers.add((placed.manufacturer_contract, manufacturer_id))
        if (license_id := getattr(fact, "hardware_license_id", None)) is not None:
            hardware_licenses.add((placed.hardware_license_contract, license_id))
        if vehicle_id := getattr(fact, "vehicle_id", None):
            vehicles.add((placed.vehicle_contract, vehicle_id))
        if (token_license_id := getattr(fact, "license_id", None)) is not None:
            licenses.add((placed.license_contract, token_license_id))
    return Names(
        devices=frozenset(devices),
        manufacturers=frozenset(manufacturers),
        hardware_licenses=frozenset(hardware_licenses),
        vehicles=frozenset(vehicles),
        licenses=frozenset(licenses),
        accounts=frozenset(accounts),
    )


class Ledger:
    """Where the fold looks up and writes down. An id is the position of the first log that names a thing."""

    def __init__(self, stored: OpenRows) -> None:
        self.devices = dict(stored.devices)
        self.manufacturers = dict(stored.manufacturers)
        self.hardware_licenses = dict(stored.hardware_licenses)
        self.vehicles = dict(stored.vehicles)
        self.licenses = dict(stored.licenses)
        self.device_versions = Spans(stored.device_versions, one_a_block=True)
        self.device_activities = Spans(stored.device_activities, one_a_block=True)
        self.device_attributes = Spans(stored.device_attributes, one_a_block=False)
        self.authorizations = Spans(stored.authorizations, one_a_block=False)
        self.manufacturer_versions = Spans(stored.manufacturer_versions, one_a_block=False)
        self.hardware_license_versions = Spans(stored.hardware_license_versions, one_a_block=False)
        self.vehicle_versions = Spans(stored.vehicle_versions, one_a_block=False)
        self.license_versions = Spans(stored.license_versions, one_a_block=False)
        self.burned: dict[TokenAddress, tuple[int, tuple[int, int]]] = {}
        self.grants_of: dict[int, set[GrantKey]] = {}
        for key in stored.authorizations:
            self.grants_of.setdefault(key[0], set()).add(key)
        self._appended: dict[str, list[Any]] = {table: [] for table in APPENDED}

    def append(self, table: str, row: rows.Lifecycle | rows.Identity) -> None:
        self._appended[table].append(row)

    def device(self, at: Placed, token_id: int) -> int:
        """Returns the device's id; one that was never named begins here."""
        key = (at.device_contract, token_id)
        device = self.devices.get(key)
        if device is None:
            device = self._begin("device", self.devices, key, at)
            self.device_versions.start(device, rows.DeviceVersion(device, at.position))
            self.device_activities.start(device, rows.DeviceActivity(device, at.position, at.block_time))
        return device

    def manufacturer(self, at: Placed, manufacturer_id: int) -> int:
        key = (at.manufacturer_contract, manufacturer_id)
        manufacturer = self.manufacturers.get(key)
        if manufacturer is None:
            manufacturer = self._begin("manufacturer", self.manufacturers, key, at)
            row = rows.ManufacturerVersion(manufacturer_id=manufacturer, valid_from=at.position)
            self.manufacturer_versions.start(manufacturer, row)
        return manufacturer

    def hardware_license(self, at: Placed, hardware_license_id: int) -> int:
        key = (at.hardware_license_contract, hardware_license_id)
        license = self.hardware_licenses.get(key)
        if license is None:
            license = self._begin("hardware_license", self.hardware_licenses, key, at)
            row = rows.HardwareLicenseVersion(hardware_license_id=license, valid_from=at.position)
            self.hardware_license_versions.start(license, row)
        return license

    def vehicle(self, at: Placed, vehicle_id: int) -> int:
        key = (at.vehicle_contract, vehicle_id)
        vehicle = self.vehicles.get(key)
        if vehicle is None:
            vehicle = self._begin("vehicle", self.vehicles, key, at)
            self.vehicle_versions.start(vehicle, rows.VehicleVersion(vehicle, at.position))
        return vehicle

    def license(self, at: Placed, license_id: int) -> int:
        """Returns the id of a licence that is an NFT."""
        key = (at.license_contract, license_id)
        license = self.licenses.get(key)
        if license is None:
            license = self._begin("license", self.licenses, key, at)
            self.license_versions.start(license, rows.LicenseVersion(license, at.position))
        return license

    def _begin(self, table: str, ids: dict[TokenKey, int], key: TokenKey, at: Placed) -> int:
        contract, number = key
        ids[key] = at.position
        self.append(table, rows.Identity(at.position, contract, uint256_bytes(number)))
        return at.position

    def inserted(self) -> dict[str, list[Any]]:
        """Returns the rows to insert, by table."""
        return self._appended | {table: spans.opened for table, spans in self._spans().items()}

    def open(self) -> OpenRows:
        """Returns all that is open now: ids and rows of what was stored and of what the batch began."""
        return OpenRows(
            devices=self.devices,
            manufacturers=self.manufacturers,
            hardware_licenses=self.hardware_licenses,
            vehicles=self.vehicles,
            licenses=self.licenses,
            device_versions=self.device_versions.open,
            device_activities=self.device_activities.open,
            device_attributes=self.device_attributes.open,
            authorizations=self.authorizations.open,
            manufacturer_versions=self.manufacturer_versions.open,
            hardware_license_versions=self.hardware_license_versions.open,
            vehicle_versions=self.vehicle_versions.open,
            license_versions=self.license_versions.open,
        )

    def closed(self) -> dict[str, list[Any]]:
        """Returns the stored rows that now have an end, by table."""
        return {table: spans.closed for table, spans in self._spans().items()}

    def _spans(self) -> dict[str, Spans[Any, Any]]:
        return {
            "device_version": self.device_versions,
            "device_activity": self.device_activities,
            "device_attribute": self.device_attributes,
            "authorization": self.authorizations,
            "manufacturer_version": self.manufacturer_versions,
            "hardware_license_version": self.hardware_license_versions,
            "vehicle_version": self.vehicle_versions,
            "license_version": self.license_versions,
        }


APPENDED = (
    "device",
    "manufacturer",
    "hardware_license",
    "vehicle",
    "license",
    "test_result",
    "firmware_update",
    "factory_reset",
    "end_of_life_step",
    "transfer",
)
"""The tables whose rows are only ever appended."""
