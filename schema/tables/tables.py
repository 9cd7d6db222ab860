"""The tables: the blocks and logs of the chain, and what is derived from them.

Every key starts with `chain_id`. `position = block_number << 20 | offset` is the total order of a chain's events. The
offset is the log's index in its block, with two exceptions (`offsets`): behind a log that is several events, and in a
block with an index of 2^20 or more. There `wide_log_index` has the index. The id of a device, manufacturer or license
is the position of the first stored event that names it. A span is half-open in position: its row holds from
`valid_from` up to, but not including, `valid_to`, which is `OPEN` if it has not ended. The state after block B is
`valid_from <= p AND valid_to > p` with `p = end_of_block(B)`.

`block`, `call` and the raw columns of `event` are the source. `certindex rebuild` makes all other tables again, except
the records of reorgs, verification and disagreements. Secondary indexes are in `indexes.py`: they are built after the
first backfill.
"""

import re
from typing import Any

from sqlalchemy import SmallInteger, UniqueConstraint
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from schema.tables.columns import Bytes, CleanText, Int64, KeyText, Uint256
from schema.tables.values import OPEN


def _key(sa_type: Any = Int64) -> Any:
    return Field(primary_key=True, sa_type=sa_type, sa_column_kwargs={"autoincrement": False})


def _int64(default: Any = ...) -> Any:
    return Field(default, sa_type=Int64)


def _small(default: Any = ...) -> Any:
    return Field(default, sa_type=SmallInteger)


def _bytes(default: Any = ...) -> Any:
    return Field(default, sa_type=Bytes)


def _uint256(default: Any = ...) -> Any:
    return Field(default, sa_type=Uint256)


def _text(default: Any = ...) -> Any:
    return Field(default, sa_type=CleanText)


def _text_key() -> Any:
    return Field("", sa_type=KeyText)


class ChainRow(SQLModel):
    """The base of all tables: its name is that of the class in snake case, and its key starts with `chain_id`."""

    @declared_attr.directive
    def __tablename__(cls) -> str:
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    chain_id: int = _key()


CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False}


class Clustered(ChainRow):
    """The base of most tables: SQLite stores one in the order of its key, in one tree instead of two."""

    __table_args__: Any = CLUSTERED


class Identity(ChainRow):
    """A token and its id, which is the position of the first log that names it."""

    @declared_attr.directive
    def __table_args__(cls) -> Any:
        return (UniqueConstraint("chain_id", "contract", "token_id"), CLUSTERED)

    id: int = _key()
    contract: bytes = _bytes()
    token_id: int = _uint256()


# Chains, writers and watched contracts


class Chain(ChainRow, table=True):
    """A chain: its heads, and the checkpoint that each commit of the writer compares and swaps.

    `revision` rises in each transaction that can change a response of the API. Each block with events up to
    `judged_number` is verified or in `verification_failure`. `stopped`: the step after `indexed_number` fails until an
    operator acts. `head_source`: where new heads come from if WS_URL is set.
    """

    profile: str = _text()
    head_number: int | None = _int64(None)
    head_hash: bytes | None = _bytes(None)
    head_time: int | None = _int64(None)
    safe_number: int | None = _int64(None)
    finalized_number: int | None = _int64(None)
    finalized_hash: bytes | None = _bytes(None)
    finalized_time: int | None = _int64(None)
    indexed_number: int = _int64()
    indexed_hash: bytes = _bytes()
    indexed_time: int = _int64()
    digest: bytes = _bytes()
    digest_number: int = _int64()
    revision: int = _int64(0)
    writer_epoch: int = _int64(0)
    writer: str | None = _text(None)
    writer_beat: int = _int64(0)
    polled_at: int | None = _int64(None)
    backfilled: bool = False
    judged_number: int = _int64(-1)
    failing_since: int | None = _int64(None)
    last_error: str | None = _text(None)
    stopped: bool = False
    head_source: str | None = _text(None)


class Standby(ChainRow, table=True):
    """An indexer that waits to take over. `seen_at`: its last heartbeat, in unix seconds of its own clock."""

    name: str = _key(CleanText)
    since: int = _int64()
    seen_at: int = _int64()


class Contract(ChainRow, table=True):
    """A watched contract. `whole`: it is indexed from its first block, so that a missing event did not happen.

    `factory_position` is that of the log of a factory that named it, NULL if the settings or the profile did.
    """

    role: str = _key(CleanText)
    address: bytes = _key(Bytes)
    start_block: int = _int64()
    whole: bool
    factory_position: int | None = _int64(None)


class ProfileText(ChainRow, table=True):
    """The profile with which this chain's logs were decoded."""

    __tablename__ = "profile"

    name: str = _text()
    text: str = _text()


# The chain


class Block(Clustered, table=True):
    """A canonical block that has events or is not yet final. `digest` is NULL if it has no events."""

    number: int = _key()
    hash: bytes = _bytes()
    parent_hash: bytes = _bytes()
    timestamp: int = _int64()
    state_root: bytes = _bytes()
    transactions_root: bytes = _bytes()
    receipts_root: bytes = _bytes()
    level: int = _small()
    digest: bytes | None = _bytes(None)


class Event(Clustered, table=True):
    """A log, or an item of one; the columns from `kind` on are made by the profile and the fold.

    A log whose arrays a profile reads as several facts has a row for each `item`, from 0, at consecutive positions.
    Item 0 alone has the topics and the data: the log of a row is at `position - item`.
    """

    position: int = _key()
    address: bytes = _bytes()
    topics: bytes = _bytes()
    data: bytes = _bytes()
    transaction_hash: bytes = _bytes()
    transaction_index: int = _int64()
    kind: int = _small()
    device_id: int | None = _int64(None)
    manufacturer_id: int | None = _int64(None)
    hardware_license_id: int | None = _int64(None)
    vehicle_id: int | None = _int64(None)
    license_id: int | None = _int64(None)
    event_time: int | None = _int64(None)
    biz_step: int | None = _small(None)
    disposition: int | None = _small(None)
    flags: int = _small(0)
    wide_log_index: int | None = _int64(None)
    synthetic_device_id: int | None = _int64(None)
    account_id: int | None = _int64(None)
    item: int = Field(0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})


# Verification


class VerifiedHeader(Clustered, table=True):
    """The RLP of the header of a block whose receipts were rebuilt; its hash is the block's."""

    number: int = _key()
    rlp: bytes = _bytes()


class ReceiptProof(Clustered, table=True):
    """The proof of a receipt with events: the RLP of the list of nodes from the receipts root, root first.

    `first_log_index` is the index in the block of the receipt's first log.
    """

    block_number: int = _key()
    transaction_index: int = _key()
    first_log_index: int = _int64()
    nodes: bytes = _bytes()


class VerificationFailure(Clustered, table=True):
    """A block with events that could not be verified. `cause` is a FailureCause."""

    number: int = _key()
    cause: int = _small()
    reason: str = _text()
    failed_at: int = _int64()
    tries: int = _int64()


class Disagreement(ChainRow, table=True):
    """Two hosts that returned different logs of the final blocks first to last: both as JSON, and their keccak-256.

    It is resolved when the blocks are stored, after enough hosts returned the same logs. The newest thousand are kept.
    """

    disagreement_no: int = _key()
    first_block: int = _int64()
    last_block: int = _int64()
    host: str = _text()
    other_host: str = _text()
    logs: str = _text()
    other_logs: str = _text()
    log_count: int = _int64()
    other_log_count: int = _int64()
    digest: bytes = _bytes()
    other_digest: bytes = _bytes()
    first_seen_at: int = _int64()
    last_seen_at: int = _int64()
    resolved_at: int | None = _int64(None)


class Call(Clustered, table=True):
    """The result of an eth_call at a block, which completes what a contract's events leave out."""

    to_address: bytes = _key(Bytes)
    data: bytes = _key(Bytes)
    block_number: int = _key()
    result: bytes = _bytes()


# Reorgs


class Reorg(ChainRow, table=True):
    reorg_no: int = _key()
    cause: str = _text()
    happened_at: int = _int64()
    ancestor_number: int = _int64()
    ancestor_hash: bytes = _bytes()
    old_head_number: int = _int64()
    old_head_hash: bytes = _bytes()


class OrphanedBlock(Clustered, table=True):
    reorg_no: int = _key()
    number: int = _key()
    hash: bytes = _bytes()
    parent_hash: bytes = _bytes()
    timestamp: int = _int64()


class OrphanedEvent(Clustered, table=True):
    """An event that a reorg removed. Its identities may be removed too: it has their token ids instead."""

    reorg_no: int = _key()
    position: int = _key()
    address: bytes = _bytes()
    topics: bytes = _bytes()
    data: bytes = _bytes()
    transaction_hash: bytes = _bytes()
    transaction_index: int = _int64()
    kind: int = _small()
    device_contract: bytes | None = _bytes(None)
    device_token_id: int | None = _uint256(None)
    manufacturer_token_id: int | None = _uint256(None)
    hardware_license_token_id: int | None = _uint256(None)
    event_time: int | None = _int64(None)
    biz_step: int | None = _small(None)
    disposition: int | None = _small(None)
    flags: int = _small(0)
    wide_log_index: int | None = _int64(None)
    vehicle_token_id: int | None = _uint256(None)
    synthetic_device_token_id: int | None = _uint256(None)
    item: int = Field(0, sa_type=SmallInteger, sa_column_kwargs={"server_default": "0"})


# Devices


class Device(Identity, table=True):
    pass


class DeviceVersion(Clustered, table=True):
    """What seldom changes about a device. A burned device has a `burn_position`, and NULL as `owner`.

    `end_of_life_position` is the step that set the status, NULL if a burn set it. If `beneficiary` is NULL, it is the
    owner. `predecessor_id` is the device that the transaction of the mint burned and whose address this one took over.
    """

    device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    owner: bytes | None = _bytes(None)
    address: bytes | None = _bytes(None)
    serial_number: str | None = _text(None)
    serial_number_key: str = _text_key()
    imei: str | None = _text(None)
    imei_key: str = _text_key()
    imei_valid: int = _small()
    dev_eui: str | None = _text(None)
    dev_eui_key: str = _text_key()
    hardware_revision: str | None = _text(None)
    manufacturer_id: int | None = _int64(None)
    hardware_license_id: int | None = _int64(None)
    manufacturer_license_at_mint: int | None = _small(None)
    hardware_license_at_mint: int | None = _small(None)
    hardware_licensed_at_mint: int = _small()
    manufactured_at: int | None = _int64(None)
    mint_position: int | None = _int64(None)
    minted_at: int | None = _int64(None)
    burn_position: int | None = _int64(None)
    initial_firmware: str | None = _text(None)
    initial_firmware_key: str = _text_key()
    initial_version_key: str = _text_key()
    in_circuit_test: int = _small()
    mechanical_test: int = _small()
    quality_inspection: int = _small()
    provisioned_at: int | None = _int64(None)
    provisioned_after_quality: int = _small()
    end_of_life_status: int = _small()
    end_of_life_position: int | None = _int64(None)
    end_of_life_at: int | None = _int64(None)
    facility: str | None = _text(None)
    sanitization: int | None = _small(None)
    sanitized_before_disposal: int = _small()
    claimed_at: int | None = _int64(None)
    beneficiary: bytes | None = _bytes(None)
    vehicle_id: int | None = _int64(None)
    paired_at: int | None = _int64(None)
    predecessor_id: int | None = _int64(None)


class DeviceKey(Clustered, table=True):
    """What devices are found, ordered and compared by, as their versions have it.

    A row for each run of versions that agree in these columns. It has their indexes, so that an event that changes none
    of them, as most do, writes to none of the indexes.
    """

    device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    owner: bytes | None = _bytes(None)
    address: bytes | None = _bytes(None)
    serial_number: str | None = _text(None)
    serial_number_key: str = _text_key()
    imei: str | None = _text(None)
    imei_key: str = _text_key()
    dev_eui: str | None = _text(None)
    dev_eui_key: str = _text_key()
    manufacturer_id: int | None = _int64(None)
    hardware_license_id: int | None = _int64(None)
    manufactured_at: int | None = _int64(None)
    minted_at: int | None = _int64(None)
    burn_position: int | None = _int64(None)
    beneficiary: bytes | None = _bytes(None)
    vehicle_id: int | None = _int64(None)
    paired_at: int | None = _int64(None)
    predecessor_id: int | None = _int64(None)


class DeviceActivity(Clustered, table=True):
    """What most events change about a device. `updated_at` is the block time of `valid_from`."""

    device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    updated_at: int = _int64()
    firmware: str | None = _text(None)
    firmware_key: str = _text_key()
    firmware_version_key: str = _text_key()
    firmware_image_hash: bytes | None = _bytes(None)
    firmware_updated_at: int | None = _int64(None)
    factory_reset_count: int = _int64(0)
    active_after_end_of_life: bool = False


class DeviceAttribute(Clustered, table=True):
    """A free attribute: one without a column of its own."""

    device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    name: str = _text()
    name_key: str = _text_key()
    value: str = _text()


class Authorization(Clustered, table=True):
    """A grant. `expires_at` is the first second without access, by the policy of its source; OPEN is never.

    `device_id` is 0 if the grant is not on a device: a key is never NULL. One of the other ids then names the subject.
    """

    device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    user: bytes = Field(sa_type=Bytes, sa_column_kwargs={"name": "user_address"})
    source: str = _text()
    scope: str = _text()
    organization: str | None = _text(None)
    organization_key: str = _text_key()
    permissions: int | None = _uint256(None)
    expires_at: int = _int64()
    agreement_uri: str | None = _text(None)
    granted_at: int = _int64()
    ended_at: int | None = _int64(None)
    end_reason: int | None = _small(None)
    vehicle_id: int | None = _int64(None)
    synthetic_device_id: int | None = _int64(None)
    manufacturer_id: int | None = _int64(None)
    account_id: int | None = _int64(None)


class LifecycleFact(Clustered):
    """One row for one event of a device."""

    position: int = _key()
    device_id: int = _int64()


class TestResult(LifecycleFact, table=True):
    __test__ = False

    kind: str = _text()
    passed: bool
    tested_at: int | None = _int64(None)
    station: str | None = _text(None)
    report_uri: str | None = _text(None)
    report_hash: bytes | None = _bytes(None)


class FirmwareUpdate(LifecycleFact, table=True):
    from_version: str | None = _text(None)
    to_version: str = _text()
    image_hash: bytes | None = _bytes(None)
    result: int | None = _int64(None)
    applied_at: int | None = _int64(None)


class FactoryReset(LifecycleFact, table=True):
    initiator: bytes | None = _bytes(None)
    reset_at: int | None = _int64(None)
    reason: int | None = _int64(None)


class EndOfLifeStep(LifecycleFact, table=True):
    process: int = _int64()
    occurred_at: int | None = _int64(None)
    facility: str | None = _text(None)
    sanitization: int | None = _int64(None)
    evidence_uri: str | None = _text(None)
    evidence_hash: bytes | None = _bytes(None)


class Transfer(LifecycleFact, table=True):
    sender: bytes = _bytes()
    recipient: bytes = _bytes()


# Manufacturers and hardware licenses


class Manufacturer(Identity, table=True):
    pass


class ManufacturerVersion(Clustered, table=True):
    """A manufacturer and its license: `grant_position` is NULL if it has none, `expires_at` OPEN if it never ends."""

    manufacturer_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    account: bytes | None = _bytes(None)
    name: str | None = _text(None)
    name_key: str = _text_key()
    license_uri: str | None = _text(None)
    license_hash: bytes | None = _bytes(None)
    grant_position: int | None = _int64(None)
    granted_at: int | None = _int64(None)
    expires_at: int = _int64(OPEN)
    revocation_position: int | None = _int64(None)
    revoked_at: int | None = _int64(None)
    revocation_reason: str | None = _text(None)


class HardwareLicense(Identity, table=True):
    pass


class HardwareLicenseVersion(Clustered, table=True):
    """A hardware license, with the columns of `ManufacturerVersion`; `manufacturer_id` is its holder."""

    hardware_license_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    manufacturer_id: int | None = _int64(None)
    model: str | None = _text(None)
    model_key: str = _text_key()
    hardware_revision: str | None = _text(None)
    hardware_revision_key: str = _text_key()
    license_uri: str | None = _text(None)
    license_hash: bytes | None = _bytes(None)
    grant_position: int | None = _int64(None)
    granted_at: int | None = _int64(None)
    expires_at: int = _int64(OPEN)
    revocation_position: int | None = _int64(None)
    revoked_at: int | None = _int64(None)
    revocation_reason: str | None = _text(None)


# Licenses that are NFTs, and vehicles


class License(Identity, table=True):
    pass


class LicenseVersion(Clustered, table=True):
    """A license NFT. The license of the manufacturers that its holder owns is in their `ManufacturerVersion`."""

    license_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    holder: bytes | None = _bytes(None)
    grant_position: int | None = _int64(None)
    granted_at: int | None = _int64(None)
    revocation_position: int | None = _int64(None)
    revoked_at: int | None = _int64(None)


class Vehicle(Identity, table=True):
    pass


class VehicleVersion(Clustered, table=True):
    """A vehicle. `owner` is NULL if it is burned, or if no log shows an owner."""

    vehicle_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    owner: bytes | None = _bytes(None)
    manufacturer_id: int | None = _int64(None)
    definition_id: str | None = _text(None)
    definition_id_key: str = Field("", sa_type=KeyText, sa_column_kwargs={"server_default": ""})
    mint_position: int | None = _int64(None)
    minted_at: int | None = _int64(None)
    burn_position: int | None = _int64(None)
    burned_at: int | None = _int64(None)


class VehicleAttribute(Clustered, table=True):
    vehicle_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    name: str = _text()
    name_key: str = _text_key()
    value: str = _text()


# Synthetic devices, and the accounts that grant access


class SyntheticDevice(Identity, table=True):
    pass


class SyntheticDeviceVersion(Clustered, table=True):
    """A synthetic device. `connection_id` names the service: an integration if it is less than 2^63, else a text."""

    synthetic_device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    owner: bytes | None = _bytes(None)
    address: bytes | None = _bytes(None)
    vehicle_id: int | None = _int64(None)
    connection_id: int | None = _uint256(None)
    mint_position: int | None = _int64(None)
    minted_at: int | None = _int64(None)
    burn_position: int | None = _int64(None)
    burned_at: int | None = _int64(None)


class SyntheticDeviceAttribute(Clustered, table=True):
    synthetic_device_id: int = _key()
    valid_from: int = _key()
    valid_to: int = _int64(OPEN)
    name: str = _text()
    name_key: str = _text_key()
    value: str = _text()


class Account(Identity, table=True):
    """An account that grants access to what is its own: `contract` is its address, and `token_id` 0."""
