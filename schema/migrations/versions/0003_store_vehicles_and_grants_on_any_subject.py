"""Store vehicles and synthetic devices whole, and grants on any subject"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from schema.tables.columns import Bytes, CleanText, Int64, KeyText, Uint256

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ADDED: dict[str, list[tuple[str, Any]]] = {
    "event": [("synthetic_device_id", Int64), ("account_id", Int64)],
    "orphaned_event": [("vehicle_token_id", Uint256), ("synthetic_device_token_id", Uint256)],
    "authorization": [
        ("vehicle_id", Int64),
        ("synthetic_device_id", Int64),
        ("manufacturer_id", Int64),
        ("account_id", Int64),
    ],
    "vehicle_version": [
        ("manufacturer_id", Int64),
        ("definition_id", CleanText),
        ("mint_position", Int64),
        ("minted_at", Int64),
        ("burn_position", Int64),
        ("burned_at", Int64),
    ],
}
SPAN = "valid_from, valid_to"
INDEXES = (
    ("event", "vehicle_id, position", True),
    ("event", "synthetic_device_id, position", True),
    ("event", "account_id, position", True),
    ("authorization", f"vehicle_id, {SPAN}", True),
    ("authorization", f"synthetic_device_id, {SPAN}", True),
    ("authorization", f"manufacturer_id, {SPAN}", True),
    ("authorization", f"account_id, {SPAN}", True),
    ("vehicle", "token_id, id", False),
    ("vehicle_version", f"owner, minted_at, vehicle_id, {SPAN}", False),
    ("vehicle_version", f"minted_at, vehicle_id, {SPAN}", False),
    ("vehicle_version", f"manufacturer_id, vehicle_id, {SPAN}", False),
    ("vehicle_version", f"definition_id_key, vehicle_id, {SPAN}", False),
    ("synthetic_device", "token_id, id", False),
    ("synthetic_device_version", f"owner, minted_at, synthetic_device_id, {SPAN}", False),
    ("synthetic_device_version", f"address, synthetic_device_id, {SPAN}", False),
    ("synthetic_device_version", f"vehicle_id, synthetic_device_id, {SPAN}", False),
    ("synthetic_device_version", f"minted_at, synthetic_device_id, {SPAN}", False),
)
"""Table, columns, and whether the index has only the rows with a value in the first of them."""


def upgrade() -> None:
    for table, columns in ADDED.items():
        for name, type_ in columns:
            op.add_column(table, sa.Column(name, type_))
    op.add_column("vehicle_version", sa.Column("definition_id_key", KeyText, nullable=False, server_default=""))
    for identity in ("synthetic_device", "account"):
        unique = sa.UniqueConstraint("chain_id", "contract", "token_id")
        _create(identity, _key("id"), _column("contract", Bytes), _column("token_id", Uint256), unique)
    _create(
        "synthetic_device_version",
        *_span("synthetic_device_id"),
        sa.Column("owner", Bytes),
        sa.Column("address", Bytes),
        sa.Column("vehicle_id", Int64),
        sa.Column("connection_id", Uint256),
        *(sa.Column(name, Int64) for name in ("mint_position", "minted_at", "burn_position", "burned_at")),
    )
    for owner in ("vehicle", "synthetic_device"):
        columns_of = (_column("name", CleanText), _column("name_key", KeyText), _column("value", CleanText))
        _create(f"{owner}_attribute", *_span(f"{owner}_id"), *columns_of)
    _create_indexes()


def _create_indexes() -> None:
    """Creates what the indexer creates for a new chain only (sparse indexes), and after the first backfill (others)."""
    backfilled = op.get_bind().execute(sa.text("SELECT backfilled FROM chain")).scalars().all()
    for table, columns, sparse in INDEXES:
        if backfilled and (sparse or all(backfilled)):
            names = columns.removesuffix(f", {SPAN}").replace(", ", "_")
            where = f" WHERE {columns.split(',')[0]} IS NOT NULL" if sparse else ""
            op.execute(f'CREATE INDEX ix_{table}_{names} ON "{table}" (chain_id, {columns}){where}')


def _create(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(name, _key("chain_id"), *parts, sqlite_with_rowid=False)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, Int64, primary_key=True, autoincrement=False)


def _column(name: str, type_: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _span(owner: str) -> list[sa.Column[Any]]:
    return [_key(owner), _key("valid_from"), _column("valid_to", Int64)]
