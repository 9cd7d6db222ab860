"""Store what devices are found by in a table of its own, with the indexes of their versions"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from schema.tables.columns import Bytes, CleanText, Int64, KeyText

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NULLABLE: dict[str, Any] = {
    "owner": Bytes,
    "address": Bytes,
    "serial_number": CleanText,
    "imei": CleanText,
    "dev_eui": CleanText,
    "manufacturer_id": Int64,
    "hardware_license_id": Int64,
    "manufactured_at": Int64,
    "minted_at": Int64,
    "burn_position": Int64,
    "beneficiary": Bytes,
    "vehicle_id": Int64,
    "paired_at": Int64,
    "predecessor_id": Int64,
}
TEXT_KEYS = ("serial_number_key", "imei_key", "dev_eui_key")
COLUMNS = (*NULLABLE, *TEXT_KEYS)
INDEXED = (
    ("owner, minted_at", False),
    ("address", False),
    ("imei_key", False),
    ("dev_eui_key", False),
    ("serial_number_key", False),
    ("manufacturer_id", False),
    ("hardware_license_id", False),
    ("minted_at", False),
    ("manufactured_at", False),
    ("beneficiary", True),
    ("vehicle_id", False),
    ("predecessor_id", True),
)
"""Columns in front of the device and its span, and whether the index has only the rows with a value in the first."""


def upgrade() -> None:
    op.create_table(
        "device_key",
        *(sa.Column(name, Int64, primary_key=True, autoincrement=False) for name in KEY),
        sa.Column("valid_to", Int64, nullable=False),
        *(sa.Column(name, type_) for name, type_ in NULLABLE.items()),
        *(sa.Column(name, KeyText, nullable=False) for name in TEXT_KEYS),
        sqlite_with_rowid=False,
    )
    op.execute(_fill())
    for columns, _ in INDEXED:
        op.execute(f"DROP INDEX IF EXISTS {_index('device_version', columns)}")
    _create_indexes()


KEY = ("chain_id", "device_id", "valid_from")


def _fill() -> str:
    """Returns the statement that writes a row for each run of versions that agree in the columns.

    The first version of a run begins its row, which ends where the next run begins, or with the last version.
    """
    columns = ", ".join(COLUMNS)
    of_device = "OVER (PARTITION BY chain_id, device_id ORDER BY valid_from)"
    differs = "IS DISTINCT FROM" if op.get_bind().dialect.name == "postgresql" else "IS NOT"
    before = ", ".join(f"lag({name}) {of_device} AS before_{name}" for name in ("valid_from", *COLUMNS))
    changed = " OR ".join(f"{name} {differs} before_{name}" for name in COLUMNS)
    return f"""INSERT INTO device_key (chain_id, device_id, valid_from, valid_to, {columns})
        SELECT chain_id, device_id, valid_from, lead(valid_from, 1, last_end) {of_device}, {columns}
        FROM (
            SELECT {", ".join(KEY)}, {columns}, {before},
                max(valid_to) OVER (PARTITION BY chain_id, device_id) AS last_end
            FROM device_version
        ) AS version
        WHERE before_valid_from IS NULL OR {changed}"""


def _create_indexes() -> None:
    """Creates what the indexer creates for a new chain only (sparse indexes), and after the first backfill (others)."""
    backfilled = op.get_bind().execute(sa.text("SELECT backfilled FROM chain")).scalars().all()
    for columns, sparse in INDEXED:
        if backfilled and (sparse or all(backfilled)):
            where = f" WHERE {columns} IS NOT NULL" if sparse else ""
            op.execute(
                f"CREATE INDEX {_index('device_key', columns)} "
                f"ON device_key (chain_id, {columns}, device_id, valid_from, valid_to){where}"
            )


def _index(table: str, columns: str) -> str:
    return f"ix_{table}_{columns.replace(', ', '_')}_device_id"
