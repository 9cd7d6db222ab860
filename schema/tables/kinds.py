"""The derived tables by kind: the owner of their rows, the key of a row, and the struct of a row.

- An identity is inserted with the first log that names a device, manufacturer, license, vehicle or account.
- A span opens, and closes when a later fact changes a value of it: `valid_from` up to, not including, `valid_to`.
- A lifecycle fact is one row for one event.

`certindex rebuild` deletes and rewrites all of them; a rollback takes back what came after a position.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from schema.tables import rows


class SpanTable(NamedTuple):
    """A table of spans of what is in the table `identity`, or in one of the tables `others`.

    `key_columns`: what names an open row beside its owner; without them an owner has exactly one open row.
    `end_columns` are written when a row closes. `one_a_block`: the changes of a block make one row.
    `events_name_owner`: every event that changes a row has the owner's id. `repeats`: the table whose columns it has
    again, to find rows by them. Its open rows are not loaded: they have the values of that table's.
    """

    name: str
    row: type[Struct]
    identity: str
    key_columns: tuple[str, ...] = ()
    end_columns: tuple[str, ...] = ("valid_to",)
    one_a_block: bool = False
    events_name_owner: bool = True
    others: tuple[str, ...] = ()
    repeats: str | None = None

    @property
    def owner(self) -> str:
        """The column of the owner's id, in this table and in `event`."""
        return f"{self.identity}_id"

    @property
    def owners(self) -> dict[str, str]:
        """The columns of the ids of all that may own a row, by table of identities."""
        return {identity: f"{identity}_id" for identity in (self.identity, *self.others)}

    def key(self) -> Callable[[Any], Any]:
        """Returns a function from an open row to what names it: its owner's id, or a tuple that begins with it."""
        return attrgetter(self.owner, *self.key_columns)


GRANTING = ("vehicle", "synthetic_device", "manufacturer", "account")
"""What grants are on, beside devices."""

SPANS: dict[str, SpanTable] = {
    table.name: table
    for table in (
        SpanTable("device_version", rows.DeviceVersion, "device", one_a_block=True),
        SpanTable("device_key", rows.DeviceKey, "device", repeats="device_version"),
        SpanTable("device_activity", rows.DeviceActivity, "device", one_a_block=True),
        SpanTable("device_attribute", rows.DeviceAttribute, "device", ("name",)),
        SpanTable(
            "authorization",
            rows.Authorization,
            "device",
            (*(f"{subject}_id" for subject in GRANTING), "user_address", "source", "scope"),
            ("valid_to", "ended_at", "end_reason"),
            others=GRANTING,
        ),
        # the transfer of a license changes all manufacturers that its holders own, and names one
        SpanTable("manufacturer_version", rows.ManufacturerVersion, "manufacturer", events_name_owner=False),
        SpanTable("hardware_license_version", rows.HardwareLicenseVersion, "hardware_license"),
        SpanTable("vehicle_version", rows.VehicleVersion, "vehicle"),
        SpanTable("vehicle_attribute", rows.VehicleAttribute, "vehicle", ("name",)),
        SpanTable("synthetic_device_version", rows.SyntheticDeviceVersion, "synthetic_device"),
        SpanTable("synthetic_device_attribute", rows.SyntheticDeviceAttribute, "synthetic_device", ("name",)),
        SpanTable("license_version", rows.LicenseVersion, "license"),
    )
}

LIFECYCLE: dict[str, type[Struct]] = {
    "test_result": rows.TestResult,
    "firmware_update": rows.FirmwareUpdate,
    "factory_reset": rows.FactoryReset,
    "end_of_life_step": rows.EndOfLifeStep,
    "transfer": rows.Transfer,
}

IDENTITIES: dict[str, type[Struct]] = dict.fromkeys(
    ("device", "manufacturer", "hardware_license", "vehicle", "license", "synthetic_device", "account"), rows.Identity
)

IDENTITY_OF_ID = {
    "token_id": "device",
    "manufacturer_id": "manufacturer",
    "hardware_license_id": "hardware_license",
    "vehicle_id": "vehicle",
    "license_id": "license",
    "synthetic_device_id": "synthetic_device",
    "grantor": "account",
}
"""The fields of facts that hold the number of an identity in its contract."""

DERIVED = (*SPANS, *LIFECYCLE, *IDENTITIES)
"""The tables that a rebuild rewrites."""

VERIFICATION = {"verified_header": "number", "receipt_proof": "block_number", "verification_failure": "number"}
"""The tables of what was verified of blocks, with the column of the block's number."""
