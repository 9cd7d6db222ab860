"""The filters of lists, and how they become the filters of the queries."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Optional

import strawberry
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from api.graphql.errors import BadUserInput
from api.graphql.inputs.operators import (
    AddressFilter,
    BigIntFilter,
    Bytes32Filter,
    DateTimeFilter,
    EndOfLifeStatusFilter,
    EpcisActionFilter,
    EventFlagFilter,
    FactoryResetsSince,
    FinalityFilter,
    FirmwareFilter,
    IntFilter,
    LicenseStatusFilter,
    LifecycleEventKindFilter,
    Operators,
    StringFilter,
    VerdictFilter,
    VerificationLevelFilter,
    VersionFilter,
    optional,
)
from api.queries.recorded import Finality
from api.queries.sql.filters import Filter
from schema.events import Kind
from schema.vocabulary import version_key

MAX_DEPTH = 4
MAX_VALUES = 100


@strawberry.input(
    description="Matches devices that have a grant which passes all conditions and is in force at `activeAt` (by "
    "default the time of the response). Without conditions, any grant in force matches."
)
class AuthorizedUserFilter:
    user: AddressFilter | None = optional("The user of the grant.")
    organization: StringFilter | None = optional("The organization as the grantor wrote it. It is not verified.")
    active_at: datetime | None = optional("The instant at which the grant is in force.")


AND = "All of these filters match as well."
OR = "At least one of these filters matches as well."
NOT = "This filter does not match. A comparison with a null field is false, so its `not` is true."


@strawberry.input(
    description="Filters devices by their state at the block of the response. All given conditions must match."
)
class DeviceFilter:
    any_key: str | None = optional(
        "Equal to any key of the device: DID, token id, present or former address, serial number, "
        "IMEI or DevEUI. Use it for a search box."
    )
    owner: AddressFilter | None = optional(
        "The owner according to Transfer events. Null after a burn, and if no transfer was seen."
    )
    address: AddressFilter | None = optional("The present address of the device.")
    ever_had_address: AddressFilter | None = optional(
        "An address that the device has or had. `ne`: the device never had it."
    )
    manufacturer_id: BigIntFilter | None = optional("The manufacturer id.")
    hardware_license_id: BigIntFilter | None = optional("The number of the hardware license.")
    serial_number: StringFilter | None = optional("The serial number as the manufacturer wrote it.")
    imei: StringFilter | None = optional("The IMEI, compared without spaces and hyphens.")
    dev_eui: StringFilter | None = optional("The DevEUI.", "devEUI")
    token_id: BigIntFilter | None = optional("The token id of the device in its contract.")
    contract: AddressFilter | None = optional("The address of the contract of the token.")
    chain_id: BigIntFilter | None = optional("The EIP-155 chain id of the network.")
    manufactured_at: DateTimeFilter | None = optional("The manufacturing date that the manufacturer states.")
    minted_at: DateTimeFilter | None = optional("The block time of the mint.")
    mint_transaction_hash: Bytes32Filter | None = optional(
        "The hash of the transaction that minted the device. All devices of a batch have the same."
    )
    provisioned_at: DateTimeFilter | None = optional("The time at which the device was provisioned.")
    claimed_at: DateTimeFilter | None = optional("The block time of the claim. Null while the device is not claimed.")
    beneficiary: AddressFilter | None = optional(
        "The account that receives the proceeds of the device. Null if that is the owner."
    )
    paired_vehicle_id: BigIntFilter | None = optional("The token id of the vehicle that the device is paired with.")
    paired_vehicle: Optional["VehicleFilter"] = optional(
        "The vehicle that the device is paired with matches this filter."
    )
    last_updated_at: DateTimeFilter | None = optional("The block time of the latest event of the device.")
    last_firmware_update_at: DateTimeFilter | None = optional(
        "The block time of the last SUCCEEDED firmware update. Null if there was none."
    )
    firmware: FirmwareFilter | None = optional("The firmware that the device runs.")
    initial_firmware: VersionFilter | None = optional("The firmware version at the mint.")
    end_of_life_status: EndOfLifeStatusFilter | None = optional("The status of the end of life of the device.")
    factory_reset_count: IntFilter | None = optional("The number of recorded factory resets.")
    factory_resets_since: FactoryResetsSince | None = optional(
        "The number of factory resets recorded since an instant."
    )
    authorized_user: AuthorizedUserFilter | None = optional("A user that may access and manage the device.")
    in_circuit_test: VerdictFilter | None = optional("The verdict `inCircuitTestPassed` of `Provenance`.")
    mechanical_test: VerdictFilter | None = optional("The verdict `mechanicalTestPassed` of `Provenance`.")
    quality_inspection: VerdictFilter | None = optional("The verdict `qualityInspectionPassed` of `Provenance`.")
    manufacturer_licensed_at_mint: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    hardware_licensed_at_mint: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    imei_valid: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    imei_unique: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    serial_unique_for_manufacturer: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    provisioned_after_quality: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    no_activity_after_end_of_life: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    sanitized_before_disposal: VerdictFilter | None = optional("The verdict of the same name in `Provenance`.")
    and_: list["DeviceFilter"] | None = optional(AND, "and")
    or_: list["DeviceFilter"] | None = optional(OR, "or")
    not_: Optional["DeviceFilter"] = optional(NOT, "not")


@strawberry.input(description="Compares the value of one attribute.")
class AttributeFilter:
    name: str = strawberry.field(description="The name of the attribute as the contract emitted it.")
    value: StringFilter = strawberry.field(
        description="The value of the attribute. A token without the attribute never matches."
    )


@strawberry.input(
    description="Filters vehicles by their state at the block of the response. All given conditions must match."
)
class VehicleFilter:
    token_id: BigIntFilter | None = optional("The token id of the vehicle in its contract.")
    contract: AddressFilter | None = optional("The address of the contract of the token.")
    chain_id: BigIntFilter | None = optional("The EIP-155 chain id of the network.")
    owner: AddressFilter | None = optional(
        "The owner according to Transfer events. Null after a burn, and if no transfer was seen."
    )
    manufacturer_id: BigIntFilter | None = optional("The manufacturer id.")
    definition_id: StringFilter | None = optional("The id of the device definition.")
    attribute: AttributeFilter | None = optional("An attribute of the vehicle.")
    minted_at: DateTimeFilter | None = optional("The block time of the mint.")
    burned_at: DateTimeFilter | None = optional("The block time of the burn. Null while the vehicle is not burned.")
    burned: bool | None = optional("true: the vehicle is burned. false: it is not.")
    device_id: BigIntFilter | None = optional("The token id of the device that is paired with the vehicle.")
    synthetic_device: Optional["SyntheticDeviceFilter"] = optional(
        "A synthetic device that was minted for the vehicle."
    )
    authorized_user: AuthorizedUserFilter | None = optional("A user that may access the vehicle.")
    and_: list["VehicleFilter"] | None = optional(AND, "and")
    or_: list["VehicleFilter"] | None = optional(OR, "or")
    not_: Optional["VehicleFilter"] = optional(NOT, "not")


@strawberry.input(
    description="Filters synthetic devices by their state at the block of the response. All given conditions must "
    "match."
)
class SyntheticDeviceFilter:
    token_id: BigIntFilter | None = optional("The token id of the synthetic device in its contract.")
    contract: AddressFilter | None = optional("The address of the contract of the token.")
    chain_id: BigIntFilter | None = optional("The EIP-155 chain id of the network.")
    owner: AddressFilter | None = optional("The owner according to Transfer events. Null after a burn.")
    address: AddressFilter | None = optional("The address of the synthetic device itself.")
    connection_id: BigIntFilter | None = optional("The number of an integration, or the id of a connection.")
    vehicle: VehicleFilter | None = optional("The vehicle that the synthetic device was minted for.")
    minted_at: DateTimeFilter | None = optional("The block time of the mint.")
    burned: bool | None = optional("true: the synthetic device is burned. false: it is not.")
    and_: list["SyntheticDeviceFilter"] | None = optional(AND, "and")
    or_: list["SyntheticDeviceFilter"] | None = optional(OR, "or")
    not_: Optional["SyntheticDeviceFilter"] = optional(NOT, "not")


@strawberry.input(
    description="Filters manufacturers by their state at the block of the response. All given conditions must match."
)
class ManufacturerFilter:
    token_id: BigIntFilter | None = optional("The manufacturer id.")
    name: StringFilter | None = optional("The name as the registrar wrote it.")
    owner: AddressFilter | None = optional("The licensed account, or the owner of the NFT.")
    license_status: LicenseStatusFilter | None = optional(
        "The status of the Manufacturing License at the time of the response."
    )
    contract: AddressFilter | None = optional("The address of the contract that assigns the id.")
    chain_id: BigIntFilter | None = optional("The EIP-155 chain id of the network.")


@strawberry.input(
    description="Filters hardware licenses by their state at the block of the response. All given conditions must "
    "match."
)
class HardwareLicenseFilter:
    hardware_license_id: BigIntFilter | None = optional("The number of the hardware license.")
    manufacturer_id: BigIntFilter | None = optional("The manufacturer id of the manufacturer that holds the license.")
    manufacturer_owner: AddressFilter | None = optional(
        "The licensed account, or the owner of the NFT, of the manufacturer that holds the license."
    )
    model: StringFilter | None = optional("The licensed device model.")
    hardware_revision: StringFilter | None = optional("The licensed hardware revision.")
    license_status: LicenseStatusFilter | None = optional("The status of the license at the time of the response.")
    contract: AddressFilter | None = optional("The address of the contract that assigns the id.")
    chain_id: BigIntFilter | None = optional("The EIP-155 chain id of the network.")


@strawberry.input(description="Filters grants. All given conditions must match.")
class AuthorizationFilter:
    user: AddressFilter | None = optional("The user of the grant.")
    organization: StringFilter | None = optional("The organization as the grantor wrote it. It is not verified.")
    source: StringFilter | None = optional("The grant system, such as `contract` or `privilege:2`.")
    granted_at: DateTimeFilter | None = optional("The block time of the grant.")
    expires_at: DateTimeFilter | None = optional("The first instant without access. Null if the grant never expires.")
    revoked_at: DateTimeFilter | None = optional(
        "The block time of the event that ended the grant. Null if no event did."
    )
    device: DeviceFilter | None = optional("The device of the grant matches this filter at the block of the response.")
    vehicle: VehicleFilter | None = optional(
        "The vehicle of the grant matches this filter at the block of the response."
    )
    manufacturer_id: BigIntFilter | None = optional("The manufacturer id of the manufacturer that the grant is on.")
    grantor: AddressFilter | None = optional("The account that granted access to what is its own.")
    and_: list["AuthorizationFilter"] | None = optional(AND, "and")
    or_: list["AuthorizationFilter"] | None = optional(OR, "or")
    not_: Optional["AuthorizationFilter"] = optional(NOT, "not")


@strawberry.input(description="Filters events. All given conditions must match.")
class LifecycleEventFilter:
    kind: LifecycleEventKindFilter | None = optional(
        "The kind of the event. Lists contain UNMAPPED logs only if this condition names the kind."
    )
    device: DeviceFilter | None = optional("The device of the event matches this filter at the block of the response.")
    manufacturer_id: BigIntFilter | None = optional("The manufacturer id of the manufacturer that the event is about.")
    manufacturer_owner: AddressFilter | None = optional(
        "The licensed account, or the owner of the NFT, of the manufacturer that the event is about, at the block "
        "of the response."
    )
    hardware_license_id: BigIntFilter | None = optional("The number of the hardware license that the event is about.")
    vehicle_id: BigIntFilter | None = optional("The token id of the vehicle that the event is about, or names.")
    synthetic_device_id: BigIntFilter | None = optional("The token id of the synthetic device that the event is about.")
    event_time: DateTimeFilter | None = optional("The time at which it happened, according to the emitter.")
    record_time: DateTimeFilter | None = optional("The timestamp of the block.")
    action: EpcisActionFilter | None = optional("The EPCIS 2.0 action.")
    biz_step: StringFilter | None = optional("The EPCIS business step: a CBV 2.0 word in lower case.")
    disposition: StringFilter | None = optional("The EPCIS disposition: a CBV 2.0 word in lower case.")
    block: BigIntFilter | None = optional("The number of the block.")
    block_hash: Bytes32Filter | None = optional("The hash of the block.")
    transaction_hash: Bytes32Filter | None = optional("The hash of the transaction that emitted the event.")
    contract: AddressFilter | None = optional("The address of the contract that emitted the event.")
    chain_id: BigIntFilter | None = optional("The EIP-155 chain id of the network.")
    verification: VerificationLevelFilter | None = optional("The verification level of the event.")
    finality: FinalityFilter | None = optional("The finality of the event's block.")
    flag: EventFlagFilter | None = optional("The flags of the event.")
    and_: list["LifecycleEventFilter"] | None = optional(AND, "and")
    or_: list["LifecycleEventFilter"] | None = optional(OR, "or")
    not_: Optional["LifecycleEventFilter"] = optional(NOT, "not")


def to_filter(filter_input: Any, path: str = "filterBy", depth: int = 0) -> Filter:
    """Returns the filter of the queries that an input stands for. Raises BadUserInput if it cannot be a filter."""
    if filter_input is None or filter_input is UNSET:
        return ()
    if depth > MAX_DEPTH:
        raise BadUserInput(f"{path} is nested too deep: and, or and not go at most {MAX_DEPTH} levels deep.")
    conditions = []
    for field in fields(filter_input):
        value = getattr(filter_input, field.name)
        if value is UNSET:
            continue
        name = field.name.rstrip("_")
        place = f"{path}.{_shown(field)}"
        if value is not None:
            conditions.append((name, _value(filter_input, name, value, place, depth)))
        elif isinstance(filter_input, Operators):
            raise BadUserInput(f"{place} is null, which nothing equals: leave it out, or use isNull.")
    return tuple(conditions)


def _value(owner: Any, name: str, value: Any, place: str, depth: int) -> Any:
    deeper = depth + (name in ("and", "or", "not"))
    if isinstance(value, list):
        if len(value) > MAX_VALUES:
            raise BadUserInput(f"{place} holds {len(value)} values: at most {MAX_VALUES} are allowed.")
        return tuple(_value(owner, "", item, f"{place}[{index}]", deeper) for index, item in enumerate(value))
    if isinstance(owner, VersionFilter) and name in ("lt", "lte", "gt", "gte"):
        return _version(value, place)
    if is_dataclass(value):
        filter = to_filter(value, place, deeper)
        # a variable without a value leaves nothing behind; it must not widen the list to all rows
        if not filter and not isinstance(value, AuthorizedUserFilter):
            missing = "operator" if isinstance(value, Operators) else "condition"
            raise BadUserInput(f"{place} names no {missing}: is a variable missing?")
        return filter
    return value.name if isinstance(value, Finality) else value


def _version(text: str, place: str) -> str:
    key = version_key(text)
    if not key:
        raise BadUserInput(
            f'{place} is "{text[:80]}", which is not a semver and cannot be compared. Example: "2.10.0". '
            "To list versions that are not, use semver: false."
        )
    return key


def _shown(field: Any) -> str:
    return field.graphql_name or to_camel_case(field.name)


def names_unmapped(filter: object) -> bool:
    """Returns whether a filter names the kind UNMAPPED: only then do lists contain such logs."""
    return any(map(names_unmapped, filter)) if isinstance(filter, tuple) else filter is Kind.UNMAPPED
