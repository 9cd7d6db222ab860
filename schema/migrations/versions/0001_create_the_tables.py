"""Create the tables"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Boolean, SmallInteger

from schema.tables.columns import Bytes, CleanText, Int64, KeyText, Uint256

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create(
        "authorization",
        *_span("device_id"),
        _column("user_address", Bytes),
        _column("source", CleanText),
        _column("scope", CleanText),
        _optional("organization", CleanText),
        _column("organization_key", KeyText),
        _optional("permissions", Uint256),
        _column("expires_at", Int64),
        _optional("agreement_uri", CleanText),
        _column("granted_at", Int64),
        _optional("ended_at", Int64),
        _optional("end_reason", SmallInteger),
    )
    _create(
        "block",
        _key("number"),
        _column("hash", Bytes),
        _column("parent_hash", Bytes),
        _column("timestamp", Int64),
        _column("state_root", Bytes),
        _column("transactions_root", Bytes),
        _column("receipts_root", Bytes),
        _column("level", SmallInteger),
        _optional("digest", Bytes),
    )
    _create(
        "call",
        _key("to_address", Bytes),
        _key("data", Bytes),
        _key("block_number"),
        _column("result", Bytes),
    )
    _create(
        "chain",
        _column("profile", CleanText),
        _optional("head_number", Int64),
        _optional("head_hash", Bytes),
        _optional("head_time", Int64),
        _optional("safe_number", Int64),
        _optional("finalized_number", Int64),
        _optional("finalized_hash", Bytes),
        _optional("finalized_time", Int64),
        _column("indexed_number", Int64),
        _column("indexed_hash", Bytes),
        _column("indexed_time", Int64),
        _column("digest", Bytes),
        _column("digest_number", Int64),
        _column("revision", Int64),
        _column("writer_epoch", Int64),
        _optional("writer", CleanText),
        _column("writer_beat", Int64),
        _optional("polled_at", Int64),
        _column("backfilled", Boolean),
        _column("judged_number", Int64),
        _optional("failing_since", Int64),
        _optional("last_error", CleanText),
        _column("stopped", Boolean),
        _optional("head_source", CleanText),
        clustered=False,
    )
    _create(
        "contract",
        _key("role", CleanText),
        _key("address", Bytes),
        _column("start_block", Int64),
        _column("whole", Boolean),
        clustered=False,
    )
    _create_identity("device")
    _create(
        "device_activity",
        *_span("device_id"),
        _column("updated_at", Int64),
        _optional("firmware", CleanText),
        _column("firmware_key", KeyText),
        _column("firmware_version_key", KeyText),
        _optional("firmware_image_hash", Bytes),
        _optional("firmware_updated_at", Int64),
        _column("factory_reset_count", Int64),
        _column("active_after_end_of_life", Boolean),
    )
    _create(
        "device_attribute",
        *_span("device_id"),
        _column("name", CleanText),
        _column("name_key", KeyText),
        _column("value", CleanText),
    )
    _create(
        "device_version",
        *_span("device_id"),
        _optional("owner", Bytes),
        _optional("address", Bytes),
        _optional("serial_number", CleanText),
        _column("serial_number_key", KeyText),
        _optional("imei", CleanText),
        _column("imei_key", KeyText),
        _column("imei_valid", SmallInteger),
        _optional("dev_eui", CleanText),
        _column("dev_eui_key", KeyText),
        _optional("hardware_revision", CleanText),
        _optional("manufacturer_id", Int64),
        _optional("hardware_license_id", Int64),
        _optional("manufacturer_license_at_mint", SmallInteger),
        _optional("hardware_license_at_mint", SmallInteger),
        _column("hardware_licensed_at_mint", SmallInteger),
        _optional("manufactured_at", Int64),
        _optional("mint_position", Int64),
        _optional("minted_at", Int64),
        _optional("burn_position", Int64),
        _optional("initial_firmware", CleanText),
        _column("initial_firmware_key", KeyText),
        _column("initial_version_key", KeyText),
        _column("in_circuit_test", SmallInteger),
        _column("mechanical_test", SmallInteger),
        _column("quality_inspection", SmallInteger),
        _optional("provisioned_at", Int64),
        _column("provisioned_after_quality", SmallInteger),
        _column("end_of_life_status", SmallInteger),
        _optional("end_of_life_position", Int64),
        _optional("end_of_life_at", Int64),
        _optional("facility", CleanText),
        _optional("sanitization", SmallInteger),
        _column("sanitized_before_disposal", SmallInteger),
        _optional("claimed_at", Int64),
        _optional("beneficiary", Bytes),
        _optional("vehicle_id", Int64),
        _optional("paired_at", Int64),
        _optional("predecessor_id", Int64),
    )
    _create(
        "disagreement",
        _key("disagreement_no"),
        _column("first_block", Int64),
        _column("last_block", Int64),
        _column("host", CleanText),
        _column("other_host", CleanText),
        _column("logs", CleanText),
        _column("other_logs", CleanText),
        _column("log_count", Int64),
        _column("other_log_count", Int64),
        _column("digest", Bytes),
        _column("other_digest", Bytes),
        _column("first_seen_at", Int64),
        _column("last_seen_at", Int64),
        _optional("resolved_at", Int64),
        clustered=False,
    )
    _create(
        "end_of_life_step",
        _key("position"),
        _column("device_id", Int64),
        _column("process", Int64),
        _optional("occurred_at", Int64),
        _optional("facility", CleanText),
        _optional("sanitization", Int64),
        _optional("evidence_uri", CleanText),
        _optional("evidence_hash", Bytes),
    )
    _create(
        "event",
        _key("position"),
        *_log(),
        _optional("device_id", Int64),
        _optional("manufacturer_id", Int64),
        _optional("hardware_license_id", Int64),
        _optional("vehicle_id", Int64),
        _optional("license_id", Int64),
        *_reading(),
    )
    _create(
        "factory_reset",
        _key("position"),
        _column("device_id", Int64),
        _optional("initiator", Bytes),
        _optional("reset_at", Int64),
        _optional("reason", Int64),
    )
    _create(
        "firmware_update",
        _key("position"),
        _column("device_id", Int64),
        _optional("from_version", CleanText),
        _column("to_version", CleanText),
        _optional("image_hash", Bytes),
        _optional("result", Int64),
        _optional("applied_at", Int64),
    )
    _create_identity("hardware_license")
    _create(
        "hardware_license_version",
        *_span("hardware_license_id"),
        _optional("manufacturer_id", Int64),
        _optional("model", CleanText),
        _column("model_key", KeyText),
        _optional("hardware_revision", CleanText),
        _column("hardware_revision_key", KeyText),
        *_license_terms(),
    )
    _create_identity("license")
    _create(
        "license_version",
        *_span("license_id"),
        _optional("holder", Bytes),
        _optional("grant_position", Int64),
        _optional("granted_at", Int64),
        _optional("revocation_position", Int64),
        _optional("revoked_at", Int64),
    )
    _create_identity("manufacturer")
    _create(
        "manufacturer_version",
        *_span("manufacturer_id"),
        _optional("account", Bytes),
        _optional("name", CleanText),
        _column("name_key", KeyText),
        *_license_terms(),
    )
    _create(
        "orphaned_block",
        _key("reorg_no"),
        _key("number"),
        _column("hash", Bytes),
        _column("parent_hash", Bytes),
        _column("timestamp", Int64),
    )
    _create(
        "orphaned_event",
        _key("reorg_no"),
        _key("position"),
        *_log(),
        _optional("device_contract", Bytes),
        _optional("device_token_id", Uint256),
        _optional("manufacturer_token_id", Uint256),
        _optional("hardware_license_token_id", Uint256),
        *_reading(),
    )
    _create("profile", _column("name", CleanText), _column("text", CleanText), clustered=False)
    _create(
        "receipt_proof",
        _key("block_number"),
        _key("transaction_index"),
        _column("first_log_index", Int64),
        _column("nodes", Bytes),
    )
    _create(
        "reorg",
        _key("reorg_no"),
        _column("cause", CleanText),
        _column("happened_at", Int64),
        _column("ancestor_number", Int64),
        _column("ancestor_hash", Bytes),
        _column("old_head_number", Int64),
        _column("old_head_hash", Bytes),
        clustered=False,
    )
    _create(
        "standby",
        _key("name", CleanText),
        _column("since", Int64),
        _column("seen_at", Int64),
        clustered=False,
    )
    _create(
        "test_result",
        _key("position"),
        _column("device_id", Int64),
        _column("kind", CleanText),
        _column("passed", Boolean),
        _optional("tested_at", Int64),
        _optional("station", CleanText),
        _optional("report_uri", CleanText),
        _optional("report_hash", Bytes),
    )
    _create(
        "transfer",
        _key("position"),
        _column("device_id", Int64),
        _column("sender", Bytes),
        _column("recipient", Bytes),
    )
    _create_identity("vehicle")
    _create("vehicle_version", *_span("vehicle_id"), _optional("owner", Bytes))
    _create(
        "verification_failure",
        _key("number"),
        _column("cause", SmallInteger),
        _column("reason", CleanText),
        _column("failed_at", Int64),
        _column("tries", Int64),
    )
    _create("verified_header", _key("number"), _column("rlp", Bytes))


def _create(name: str, *parts: sa.schema.SchemaItem, clustered: bool = True) -> None:
    """Creates a table whose key begins with `chain_id`. A clustered one has no rowid on SQLite."""
    op.create_table(name, _key("chain_id"), *parts, **({"sqlite_with_rowid": False} if clustered else {}))


def _create_identity(name: str) -> None:
    unique = sa.UniqueConstraint("chain_id", "contract", "token_id")
    _create(name, _key("id"), _column("contract", Bytes), _column("token_id", Uint256), unique)


def _key(name: str, type_: Any = Int64) -> sa.Column[Any]:
    return sa.Column(name, type_, primary_key=True, autoincrement=False)


def _column(name: str, type_: Any) -> sa.Column[Any]:
    return sa.Column(name, type_, nullable=False)


def _optional(name: str, type_: Any) -> sa.Column[Any]:
    return sa.Column(name, type_)


def _span(owner: str) -> list[sa.Column[Any]]:
    return [_key(owner), _key("valid_from"), _column("valid_to", Int64)]


def _log() -> list[sa.Column[Any]]:
    return [
        _column("address", Bytes),
        _column("topics", Bytes),
        _column("data", Bytes),
        _column("transaction_hash", Bytes),
        _column("transaction_index", Int64),
        _column("kind", SmallInteger),
    ]


def _reading() -> list[sa.Column[Any]]:
    return [
        _optional("event_time", Int64),
        _optional("biz_step", SmallInteger),
        _optional("disposition", SmallInteger),
        _column("flags", SmallInteger),
    ]


def _license_terms() -> list[sa.Column[Any]]:
    return [
        _optional("license_uri", CleanText),
        _optional("license_hash", Bytes),
        _optional("grant_position", Int64),
        _optional("granted_at", Int64),
        _column("expires_at", Int64),
        _optional("revocation_position", Int64),
        _optional("revoked_at", Int64),
        _optional("revocation_reason", CleanText),
    ]
