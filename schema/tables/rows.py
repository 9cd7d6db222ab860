"""The rows that the indexer writes, in the encoding of the database: field for field the columns of the tables.

Plain structs, because an instance of a table's model costs twenty times as much; a test compares them with the tables.
`chain_id` is left out: a writer follows one chain, and the store puts the id in front. A row of `event` is an
`EventLog` and an `EventReading`.
"""

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from schema.tables.values import OPEN, offset_of, offsets, position
from schema.vocabulary import EndOfLifeStatus, Verdict


class Block(Struct, gc=False):
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    level: int
    digest: bytes | None


class EventLog(Struct, frozen=True, gc=False):
    """A log as the chain gave it: the raw part of a row of `event`. `topics` are concatenated, 32 bytes each.

    They and `data` are empty in the row of a further item of a log. `wide_log_index` is the log's index in the block,
    None if it is the offset of the position.
    """

    position: int
    address: bytes
    topics: bytes
    data: bytes
    transaction_hash: bytes
    transaction_index: int
    wide_log_index: int | None

    @property
    def log_index(self) -> int:
        return offset_of(self.position) if self.wide_log_index is None else self.wide_log_index


Log = TypeVar("Log", bound=EventLog)


def positioned(block_number: int, logs: Sequence[Log]) -> list[Log]:
    """Returns the events of a block, in the order of their logs and items, each at its position.

    Raises OverflowError if there are too many.
    """
    indexes = [log.log_index for log in logs]
    return [
        replace(log, position=position(block_number, offset), wide_log_index=None if offset == index else index)
        for log, index, offset in zip(logs, indexes, offsets(indexes), strict=True)
    ]


class EventReading(Struct, gc=False):
    """What the profile and the fold read in a log: the derived part of a row of `event`."""

    kind: int
    device_id: int | None = None
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    vehicle_id: int | None = None
    license_id: int | None = None
    event_time: int | None = None
    biz_step: int | None = None
    disposition: int | None = None
    flags: int = 0
    synthetic_device_id: int | None = None
    account_id: int | None = None
    item: int = 0


class Call(Struct, gc=False):
    to_address: bytes
    data: bytes
    block_number: int
    result: bytes


class Identity(Struct, gc=False):
    """A row of a table of identities: a token, or an account."""

    id: int
    contract: bytes
    token_id: bytes


class DeviceVersion(Struct, gc=False):
    device_id: int
    valid_from: int
    valid_to: int = OPEN
    owner: bytes | None = None
    address: bytes | None = None
    serial_number: str | None = None
    serial_number_key: str = ""
    imei: str | None = None
    imei_key: str = ""
    imei_valid: int = Verdict.UNKNOWN
    dev_eui: str | None = None
    dev_eui_key: str = ""
    hardware_revision: str | None = None
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    manufacturer_license_at_mint: int | None = None
    hardware_license_at_mint: int | None = None
    hardware_licensed_at_mint: int = Verdict.UNKNOWN
    manufactured_at: int | None = None
    mint_position: int | None = None
    minted_at: int | None = None
    burn_position: int | None = None
    initial_firmware: str | None = None
    initial_firmware_key: str = ""
    initial_version_key: str = ""
    in_circuit_test: int = Verdict.UNKNOWN
    mechanical_test: int = Verdict.UNKNOWN
    quality_inspection: int = Verdict.UNKNOWN
    provisioned_at: int | None = None
    provisioned_after_quality: int = Verdict.NOT_APPLICABLE
    end_of_life_status: int = EndOfLifeStatus.IN_SERVICE
    end_of_life_position: int | None = None
    end_of_life_at: int | None = None
    facility: str | None = None
    sanitization: int | None = None
    sanitized_before_disposal: int = Verdict.NOT_APPLICABLE
    claimed_at: int | None = None
    beneficiary: bytes | None = None
    vehicle_id: int | None = None
    paired_at: int | None = None
    predecessor_id: int | None = None


class DeviceKey(Struct, gc=False):
    device_id: int
    valid_from: int
    valid_to: int = OPEN
    owner: bytes | None = None
    address: bytes | None = None
    serial_number: str | None = None
    serial_number_key: str = ""
    imei: str | None = None
    imei_key: str = ""
    dev_eui: str | None = None
    dev_eui_key: str = ""
    manufacturer_id: int | None = None
    hardware_license_id: int | None = None
    manufactured_at: int | None = None
    minted_at: int | None = None
    burn_position: int | None = None
    beneficiary: bytes | None = None
    vehicle_id: int | None = None
    paired_at: int | None = None
    predecessor_id: int | None = None


class DeviceActivity(Struct, gc=False):
    device_id: int
    valid_from: int
    updated_at: int
    valid_to: int = OPEN
    firmware: str | None = None
    firmware_key: str = ""
    firmware_version_key: str = ""
    firmware_image_hash: bytes | None = None
    firmware_updated_at: int | None = None
    factory_reset_count: int = 0
    active_after_end_of_life: bool | int = False
    """SQLite gives a number."""


class DeviceAttribute(Struct, gc=False):
    device_id: int
    valid_from: int
    name: str
    name_key: str
    value: str
    valid_to: int = OPEN


class Authorization(Struct, gc=False):
    device_id: int
    valid_from: int
    user_address: bytes
    source: str
    scope: str
    expires_at: int
    granted_at: int
    valid_to: int = OPEN
    organization: str | None = None
    organization_key: str = ""
    permissions: bytes | None = None
    agreement_uri: str | None = None
    ended_at: int | None = None
    end_reason: int | None = None
    vehicle_id: int | None = None
    synthetic_device_id: int | None = None
    manufacturer_id: int | None = None
    account_id: int | None = None


class LicenseTerms(Struct, gc=False):
    """The columns that the licenses of manufacturers and of hardware share."""

    license_uri: str | None = None
    license_hash: bytes | None = None
    grant_position: int | None = None
    granted_at: int | None = None
    expires_at: int = OPEN
    revocation_position: int | None = None
    revoked_at: int | None = None
    revocation_reason: str | None = None


class ManufacturerVersion(LicenseTerms, kw_only=True, gc=False):
    manufacturer_id: int
    valid_from: int
    valid_to: int = OPEN
    account: bytes | None = None
    name: str | None = None
    name_key: str = ""


class HardwareLicenseVersion(LicenseTerms, kw_only=True, gc=False):
    hardware_license_id: int
    valid_from: int
    valid_to: int = OPEN
    manufacturer_id: int | None = None
    model: str | None = None
    model_key: str = ""
    hardware_revision: str | None = None
    hardware_revision_key: str = ""


class LicenseVersion(Struct, gc=False):
    """A license that is an NFT."""

    license_id: int
    valid_from: int
    valid_to: int = OPEN
    holder: bytes | None = None
    grant_position: int | None = None
    granted_at: int | None = None
    revocation_position: int | None = None
    revoked_at: int | None = None


class VehicleVersion(Struct, gc=False):
    vehicle_id: int
    valid_from: int
    valid_to: int = OPEN
    owner: bytes | None = None
    manufacturer_id: int | None = None
    definition_id: str | None = None
    definition_id_key: str = ""
    mint_position: int | None = None
    minted_at: int | None = None
    burn_position: int | None = None
    burned_at: int | None = None


class VehicleAttribute(Struct, gc=False):
    vehicle_id: int
    valid_from: int
    name: str
    name_key: str
    value: str
    valid_to: int = OPEN


class SyntheticDeviceVersion(Struct, gc=False):
    synthetic_device_id: int
    valid_from: int
    valid_to: int = OPEN
    owner: bytes | None = None
    address: bytes | None = None
    vehicle_id: int | None = None
    connection_id: bytes | None = None
    mint_position: int | None = None
    minted_at: int | None = None
    burn_position: int | None = None
    burned_at: int | None = None


class SyntheticDeviceAttribute(Struct, gc=False):
    synthetic_device_id: int
    valid_from: int
    name: str
    name_key: str
    value: str
    valid_to: int = OPEN


class LifecycleFact(Struct, gc=False):
    position: int
    device_id: int


class TestResult(LifecycleFact, gc=False):
    __test__ = False

    kind: str
    passed: bool
    tested_at: int | None
    station: str | None
    report_uri: str | None
    report_hash: bytes | None


class FirmwareUpdate(LifecycleFact, gc=False):
    from_version: str | None
    to_version: str
    image_hash: bytes | None
    result: int | None
    applied_at: int | None


class FactoryReset(LifecycleFact, gc=False):
    initiator: bytes | None
    reset_at: int | None
    reason: int | None


class EndOfLifeStep(LifecycleFact, gc=False):
    process: int
    occurred_at: int | None
    facility: str | None
    sanitization: int | None
    evidence_uri: str | None
    evidence_hash: bytes | None


class Transfer(LifecycleFact, gc=False):
    sender: bytes
    recipient: bytes
