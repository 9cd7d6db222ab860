"""Secondary indexes. They are built once, after the first backfill, which would be slower if it updated them.

Each index serves the look-ups and orders named beside it. A text is indexed by its key column, because PostgreSQL
refuses an index entry of more than a third of a page, and a serial number may be longer. An index on a column that few
rows have is sparse: it has only those rows, and exists from the beginning, because to build it would mean to read the
whole table.
"""

from typing import NamedTuple

SPAN = ("valid_from", "valid_to")


class SecondaryIndex(NamedTuple):
    """`rows_each`: of a million rows, how many have the same value in the first column behind `chain_id`."""

    table: str
    columns: tuple[str, ...]
    rows_each: int = 20
    sparse: bool = False

    @property
    def name(self) -> str:
        named = [column for column in self.columns if column not in ("chain_id", *SPAN)] or self.columns[1:]
        return f"ix_{self.table}_{'_'.join(named)}"

    @property
    def has_spans(self) -> bool:
        return self.columns[-2:] == SPAN

    @property
    def ddl(self) -> str:
        where = f" WHERE {self.columns[1]} IS NOT NULL" if self.sparse else ""
        return f'CREATE INDEX IF NOT EXISTS {self.name} ON "{self.table}" ({", ".join(self.columns)}){where}'


ADDRESS_INDEX = SecondaryIndex("device_key", ("chain_id", "address", "device_id", *SPAN), rows_each=3)
"""If a profile names devices by their addresses, the indexer needs it too, and builds it at the first such event."""

SECONDARY_INDEXES = (
    # a block by its hash, a transaction's events
    SecondaryIndex("block", ("chain_id", "hash"), rows_each=1),
    SecondaryIndex("block", ("chain_id", "timestamp"), rows_each=1),
    SecondaryIndex("event", ("chain_id", "transaction_hash")),
    # what reorgs removed: by the hash in a cursor or an id, and latest first
    SecondaryIndex("orphaned_block", ("chain_id", "hash"), rows_each=1),
    SecondaryIndex("reorg", ("happened_at", "chain_id", "reorg_no")),
    # histories; `kind` also serves the count of undecodable events
    SecondaryIndex("event", ("chain_id", "device_id", "position")),
    SecondaryIndex("event", ("chain_id", "manufacturer_id", "position"), sparse=True),
    SecondaryIndex("event", ("chain_id", "hardware_license_id", "position"), sparse=True),
    SecondaryIndex("event", ("chain_id", "license_id", "position"), sparse=True),
    SecondaryIndex("event", ("chain_id", "vehicle_id", "position"), sparse=True),
    SecondaryIndex("event", ("chain_id", "synthetic_device_id", "position"), sparse=True),
    SecondaryIndex("event", ("chain_id", "account_id", "position"), sparse=True),
    SecondaryIndex("event", ("chain_id", "kind", "position"), rows_each=50000),
    SecondaryIndex("event", ("chain_id", "event_time", "position"), rows_each=2),
    # look-ups and orders of devices
    SecondaryIndex("device", ("chain_id", "token_id", "id"), rows_each=1),
    # an owner's newest devices: with separate indexes SQLite prefers that of the order, however few the owner has
    SecondaryIndex("device_key", ("chain_id", "owner", "minted_at", "device_id", *SPAN)),
    ADDRESS_INDEX,
    SecondaryIndex("device_key", ("chain_id", "imei_key", "device_id", *SPAN), rows_each=3),
    SecondaryIndex("device_key", ("chain_id", "dev_eui_key", "device_id", *SPAN), rows_each=3),
    SecondaryIndex("device_key", ("chain_id", "serial_number_key", "device_id", *SPAN), rows_each=3),
    SecondaryIndex("device_key", ("chain_id", "manufacturer_id", "device_id", *SPAN), rows_each=5000),
    SecondaryIndex("device_key", ("chain_id", "hardware_license_id", "device_id", *SPAN), rows_each=1000),
    SecondaryIndex("device_key", ("chain_id", "minted_at", "device_id", *SPAN)),
    SecondaryIndex("device_key", ("chain_id", "manufactured_at", "device_id", *SPAN)),
    SecondaryIndex("device_key", ("chain_id", "beneficiary", "device_id", *SPAN), sparse=True),
    SecondaryIndex("device_key", ("chain_id", "vehicle_id", "device_id", *SPAN), rows_each=3),
    SecondaryIndex("device_key", ("chain_id", "predecessor_id", "device_id", *SPAN), rows_each=3, sparse=True),
    SecondaryIndex("device_activity", ("chain_id", "firmware_version_key", "device_id", *SPAN), rows_each=5000),
    SecondaryIndex("device_activity", ("chain_id", "updated_at", "device_id", *SPAN)),
    # grants from the user's and the organization's side
    SecondaryIndex("authorization", ("chain_id", "user_address", "device_id", *SPAN)),
    SecondaryIndex("authorization", ("chain_id", "organization_key", "device_id", *SPAN), rows_each=500),
    # the grants on others than devices
    SecondaryIndex("authorization", ("chain_id", "vehicle_id", *SPAN), sparse=True),
    SecondaryIndex("authorization", ("chain_id", "synthetic_device_id", *SPAN), sparse=True),
    SecondaryIndex("authorization", ("chain_id", "manufacturer_id", *SPAN), sparse=True),
    SecondaryIndex("authorization", ("chain_id", "account_id", *SPAN), sparse=True),
    # all grants of a chain, in order
    SecondaryIndex("authorization", ("chain_id", "valid_from"), rows_each=1),
    # a device's lifecycle facts
    SecondaryIndex("test_result", ("chain_id", "device_id", "kind", "position")),
    SecondaryIndex("firmware_update", ("chain_id", "device_id", "position")),
    SecondaryIndex("factory_reset", ("chain_id", "device_id", "position")),
    SecondaryIndex("end_of_life_step", ("chain_id", "device_id", "position")),
    SecondaryIndex("transfer", ("chain_id", "device_id", "position")),
    # manufacturers and licenses
    SecondaryIndex("manufacturer_version", ("chain_id", "name_key", "manufacturer_id", *SPAN)),
    SecondaryIndex("manufacturer_version", ("chain_id", "account", "manufacturer_id", *SPAN)),
    SecondaryIndex("hardware_license_version", ("chain_id", "manufacturer_id", "hardware_license_id", *SPAN)),
    SecondaryIndex("hardware_license_version", ("chain_id", "model_key", "hardware_license_id", *SPAN)),
    # vehicles and synthetic devices
    SecondaryIndex("vehicle", ("chain_id", "token_id", "id"), rows_each=1),
    SecondaryIndex("vehicle_version", ("chain_id", "owner", "minted_at", "vehicle_id", *SPAN)),
    SecondaryIndex("vehicle_version", ("chain_id", "minted_at", "vehicle_id", *SPAN)),
    SecondaryIndex("vehicle_version", ("chain_id", "burned_at", "vehicle_id", *SPAN), sparse=True),
    SecondaryIndex("vehicle_version", ("chain_id", "manufacturer_id", "vehicle_id", *SPAN), rows_each=5000),
    SecondaryIndex("vehicle_version", ("chain_id", "definition_id_key", "vehicle_id", *SPAN), rows_each=500),
    SecondaryIndex("synthetic_device", ("chain_id", "token_id", "id"), rows_each=1),
    SecondaryIndex("synthetic_device_version", ("chain_id", "owner", "minted_at", "synthetic_device_id", *SPAN)),
    SecondaryIndex("synthetic_device_version", ("chain_id", "address", "synthetic_device_id", *SPAN), rows_each=3),
    SecondaryIndex("synthetic_device_version", ("chain_id", "vehicle_id", "synthetic_device_id", *SPAN), rows_each=3),
    SecondaryIndex("synthetic_device_version", ("chain_id", "minted_at", "synthetic_device_id", *SPAN)),
    SecondaryIndex("synthetic_device_version", ("chain_id", "burned_at", "synthetic_device_id", *SPAN), sparse=True),
)
