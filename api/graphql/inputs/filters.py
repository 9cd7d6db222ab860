"""What lists may be asked: the filters of the API, and how they are handed to the queries."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Optional

import strawberry
from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from api.graphql.errors import BadUserInput
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes32
from api.queries.recorded import Finality
from api.queries.sql.filters import Filter
from schema.events import Kind
from schema.vocabulary import (
    EndOfLifeStatus,
    EpcisAction,
    EventFlag,
    LicenseStatus,
    Verdict,
    VerificationLevel,
    version_key,
)

MAX_DEPTH = 4
MAX_VALUES = 100


def asked(description: str, name: str | None = None) -> Any:
    """Returns an input field that may be left out."""
    return strawberry.field(default=UNSET, description=description, name=name)


class Operators:
    """Marks the inputs that compare one field."""


EQ, NE = "Equal.", "Not equal, or absent."
IN, NOT_IN = "One of these, at most 100.", "None of these, or absent; at most 100."
LT, LTE, GT, GTE = "Less.", "Less or equal.", "Greater.", "Greater or equal."
IS_NULL = "true: absent. false: present."
STARTS_WITH = "Begins with this, by code point."


@strawberry.input(description="Compares whole numbers of any size.")
class BigIntFilter(Operators):
    eq: BigInt | None = asked(EQ)
    ne: BigInt | None = asked(NE)
    in_: list[BigInt] | None = asked(IN, "in")
    not_in: list[BigInt] | None = asked(NOT_IN)
    lt: BigInt | None = asked(LT)
    lte: BigInt | None = asked(LTE)
    gt: BigInt | None = asked(GT)
    gte: BigInt | None = asked(GTE)
    is_null: bool | None = asked(IS_NULL)


@strawberry.input(description="Compares counts.")
class IntFilter(Operators):
    eq: int | None = asked(EQ)
    ne: int | None = asked("Not equal.")
    in_: list[int] | None = asked(IN, "in")
    not_in: list[int] | None = asked("None of these, at most 100.")
    lt: int | None = asked(LT)
    lte: int | None = asked(LTE)
    gt: int | None = asked(GT)
    gte: int | None = asked(GTE)


@strawberry.input(description="Compares text, by code point.")
class StringFilter(Operators):
    eq: str | None = asked(EQ)
    ne: str | None = asked(NE)
    in_: list[str] | None = asked(IN, "in")
    not_in: list[str] | None = asked(NOT_IN)
    starts_with: str | None = asked(STARTS_WITH)
    is_null: bool | None = asked(IS_NULL)


@strawberry.input(description="Compares addresses, whatever their case.")
class AddressFilter(Operators):
    eq: Address | None = asked(EQ)
    ne: Address | None = asked(NE)
    in_: list[Address] | None = asked(IN, "in")
    not_in: list[Address] | None = asked(NOT_IN)
    is_null: bool | None = asked(IS_NULL)


@strawberry.input(description="Compares hashes.")
class Bytes32Filter(Operators):
    eq: Bytes32 | None = asked(EQ)
    in_: list[Bytes32] | None = asked(IN, "in")


@strawberry.input(description="Half-open ranges: `gte` with `lt`.")
class DateTimeFilter(Operators):
    eq: datetime | None = asked(EQ)
    lt: datetime | None = asked("Before.")
    lte: datetime | None = asked("At or before.")
    gt: datetime | None = asked("After.")
    gte: datetime | None = asked("At or after.")
    is_null: bool | None = asked(IS_NULL)


@strawberry.input(
    description="eq, ne, in, notIn and startsWith compare the text; lt, lte, gt and gte compare by semver 2.0.0 "
    "precedence (a leading v is ignored), take a semver, and match no version that is not one: list those with "
    "`semver: false`."
)
class VersionFilter(Operators):
    eq: str | None = asked(EQ)
    ne: str | None = asked(NE)
    in_: list[str] | None = asked(IN, "in")
    not_in: list[str] | None = asked(NOT_IN)
    starts_with: str | None = asked(STARTS_WITH)
    lt: str | None = asked("Below, by semver.")
    lte: str | None = asked("Below or of equal precedence, by semver.")
    gt: str | None = asked("Above, by semver.")
    gte: str | None = asked("Above or of equal precedence, by semver.")
    semver: bool | None = asked("Whether it is there and can be ordered by semver (false: is there and cannot).")
    is_null: bool | None = asked(IS_NULL)


@strawberry.input(description="Compares the current firmware.")
class FirmwareFilter:
    version: VersionFilter | None = asked("Its version.")
    image_hash: Bytes32Filter | None = asked("The hash of its image, as the update stated it.")


@strawberry.input(description="Compares the answer to a question of provenance.")
class VerdictFilter(Operators):
    eq: Verdict | None = asked(EQ)
    ne: Verdict | None = asked("Not equal.")
    in_: list[Verdict] | None = asked(IN, "in")
    not_in: list[Verdict] | None = asked("None of these, at most 100.")


@strawberry.input(description="Compares what a licence is worth at the answer's time.")
class LicenseStatusFilter(Operators):
    eq: LicenseStatus | None = asked(EQ)
    ne: LicenseStatus | None = asked("Not equal.")
    in_: list[LicenseStatus] | None = asked(IN, "in")
    not_in: list[LicenseStatus] | None = asked("None of these, at most 100.")


@strawberry.input(description="Compares how far a device is in its end of life.")
class EndOfLifeStatusFilter(Operators):
    eq: EndOfLifeStatus | None = asked(EQ)
    ne: EndOfLifeStatus | None = asked("Not equal.")
    in_: list[EndOfLifeStatus] | None = asked(IN, "in")
    not_in: list[EndOfLifeStatus] | None = asked("None of these, at most 100.")


@strawberry.input(description="Compares what events recorded.")
class LifecycleEventKindFilter(Operators):
    eq: Kind | None = asked(EQ)
    ne: Kind | None = asked("Not equal.")
    in_: list[Kind] | None = asked(IN, "in")
    not_in: list[Kind] | None = asked("None of these, at most 100.")


@strawberry.input(description="Compares the EPCIS action.")
class EpcisActionFilter(Operators):
    eq: EpcisAction | None = asked(EQ)
    in_: list[EpcisAction] | None = asked(IN, "in")


@strawberry.input(description="Compares how well an event is verified.")
class VerificationLevelFilter(Operators):
    eq: VerificationLevel | None = asked(EQ)
    in_: list[VerificationLevel] | None = asked(IN, "in")


@strawberry.input(description="Compares how far an event is from being taken back.")
class FinalityFilter(Operators):
    eq: Finality | None = asked(EQ)
    in_: list[Finality] | None = asked(IN, "in")


@strawberry.input(description="Asks for contradictions.")
class EventFlagFilter(Operators):
    eq: EventFlag | None = asked("Carries this flag.")
    in_: list[EventFlag] | None = asked("Carries one of these flags.", "in")
    any: bool | None = asked("true: any flag at all. false: none.")


@strawberry.input(description="How many resets were recorded (block time) at or after an instant.")
class FactoryResetsSince:
    since: datetime = strawberry.field(description="From this instant on.")
    count: IntFilter = strawberry.field(description="How many.")


@strawberry.input(
    description="Devices on which one grant fits all of this and is in force at `activeAt` (default: the answer's "
    "time)."
)
class AuthorizedUserFilter:
    user: AddressFilter | None = asked("Who is authorized.")
    organization: StringFilter | None = asked("What the grantor wrote; identifies nobody.")
    active_at: datetime | None = asked("In force at this instant.")


AND = "All of these fit as well."
OR = "One of these fits as well."
NOT = "This does not fit; where the field is absent too."


@strawberry.input(description="Devices by their state at the answer's block.")
class DeviceFilter:
    any_key: str | None = asked(
        "Exactly one of a device's keys, whichever it is: DID, token id, address now or ever, serial number, IMEI, "
        "DevEUI. What a search box sends."
    )
    owner: AddressFilter | None = asked("Who owns it, by Transfer alone; absent when burned or never seen.")
    address: AddressFilter | None = asked("Its address now.")
    ever_had_address: AddressFilter | None = asked("An address that it has or had; `ne`: never had it.")
    manufacturer_id: BigIntFilter | None = asked("The manufacturer id.")
    hardware_license_id: BigIntFilter | None = asked("The hardware licence id.")
    serial_number: StringFilter | None = asked("As the manufacturer wrote it.")
    imei: StringFilter | None = asked("As stored, spaces and hyphens aside.")
    dev_eui: StringFilter | None = asked("As stored.", "devEUI")
    token_id: BigIntFilter | None = asked("The device's number in its contract.")
    contract: AddressFilter | None = asked("The contract of the token.")
    chain_id: BigIntFilter | None = asked("The network, by EIP-155.")
    manufactured_at: DateTimeFilter | None = asked("Manufacturing date, by the manufacturer.")
    minted_at: DateTimeFilter | None = asked("Block time of the mint.")
    mint_transaction_hash: Bytes32Filter | None = asked("One transaction mints a batch.")
    provisioned_at: DateTimeFilter | None = asked("When it was provisioned.")
    claimed_at: DateTimeFilter | None = asked("Block time of its claim; absent while it is not claimed.")
    beneficiary: AddressFilter | None = asked("Who has its proceeds; absent where the owner does.")
    paired_vehicle_id: BigIntFilter | None = asked("The vehicle that it is paired with.")
    last_updated_at: DateTimeFilter | None = asked("Block time of its latest event.")
    last_firmware_update_at: DateTimeFilter | None = asked(
        "Of the last SUCCEEDED update by block time; absent when there was none."
    )
    firmware: FirmwareFilter | None = asked("The firmware it runs now.")
    initial_firmware: VersionFilter | None = asked("The firmware it was made with.")
    end_of_life_status: EndOfLifeStatusFilter | None = asked("How far it is in its end of life.")
    factory_reset_count: IntFilter | None = asked("How many factory resets were recorded.")
    factory_resets_since: FactoryResetsSince | None = asked("How many were recorded since an instant.")
    authorized_user: AuthorizedUserFilter | None = asked("Who may access and manage it.")
    in_circuit_test: VerdictFilter | None = asked("`inCircuitTestPassed` of `Provenance`.")
    mechanical_test: VerdictFilter | None = asked("`mechanicalTestPassed` of `Provenance`.")
    quality_inspection: VerdictFilter | None = asked("`qualityInspectionPassed` of `Provenance`.")
    manufacturer_licensed_at_mint: VerdictFilter | None = asked("As in `Provenance`.")
    hardware_licensed_at_mint: VerdictFilter | None = asked("As in `Provenance`.")
    imei_valid: VerdictFilter | None = asked("As in `Provenance`.")
    provisioned_after_quality: VerdictFilter | None = asked("As in `Provenance`.")
    no_activity_after_end_of_life: VerdictFilter | None = asked("As in `Provenance`.")
    sanitized_before_disposal: VerdictFilter | None = asked("As in `Provenance`.")
    and_: list["DeviceFilter"] | None = asked(AND, "and")
    or_: list["DeviceFilter"] | None = asked(OR, "or")
    not_: Optional["DeviceFilter"] = asked(NOT, "not")


@strawberry.input(description="Manufacturers by their state at the answer's block.")
class ManufacturerFilter:
    token_id: BigIntFilter | None = asked("The manufacturer id.")
    name: StringFilter | None = asked("As the registrar wrote it.")
    owner: AddressFilter | None = asked("The licensed account.")
    license_status: LicenseStatusFilter | None = asked("What the Manufacturing License is worth at the answer's time.")
    contract: AddressFilter | None = asked("The contract that numbers it.")
    chain_id: BigIntFilter | None = asked("The network, by EIP-155.")


@strawberry.input(description="Hardware licences by their state at the answer's block.")
class HardwareLicenseFilter:
    hardware_license_id: BigIntFilter | None = asked("The hardware licence id.")
    manufacturer_id: BigIntFilter | None = asked("Whose licence it is.")
    model: StringFilter | None = asked("The licensed model.")
    hardware_revision: StringFilter | None = asked("The licensed revision.")
    license_status: LicenseStatusFilter | None = asked("What it is worth at the answer's time.")
    contract: AddressFilter | None = asked("The contract that numbers it.")
    chain_id: BigIntFilter | None = asked("The network, by EIP-155.")


@strawberry.input(description="Grants, by what they say and whose they are.")
class AuthorizationFilter:
    user: AddressFilter | None = asked("Who is authorized.")
    organization: StringFilter | None = asked("What the grantor wrote; identifies nobody.")
    source: StringFilter | None = asked("The grant system.")
    granted_at: DateTimeFilter | None = asked("Block time of the grant.")
    expires_at: DateTimeFilter | None = asked("First instant without access; absent: never.")
    device: DeviceFilter | None = asked("Grants on devices that match at the answer's block.")
    and_: list["AuthorizationFilter"] | None = asked(AND, "and")
    or_: list["AuthorizationFilter"] | None = asked(OR, "or")
    not_: Optional["AuthorizationFilter"] = asked(NOT, "not")


@strawberry.input(description="Events, by what they recorded, of what, when and how surely.")
class LifecycleEventFilter:
    kind: LifecycleEventKindFilter | None = asked(
        "What was recorded. UNMAPPED logs are listed only when asked for here."
    )
    device: DeviceFilter | None = asked("Events of devices that match at the answer's block.")
    manufacturer_id: BigIntFilter | None = asked("Of whose licence an event tells.")
    hardware_license_id: BigIntFilter | None = asked("Of which hardware licence an event tells.")
    event_time: DateTimeFilter | None = asked("When the emitter says it happened.")
    record_time: DateTimeFilter | None = asked("Block time.")
    action: EpcisActionFilter | None = asked("The EPCIS action.")
    biz_step: StringFilter | None = asked("The business step: a CBV 2.0 word, lower case.")
    disposition: StringFilter | None = asked("The disposition: a CBV 2.0 word, lower case.")
    block: BigIntFilter | None = asked("Height of the block.")
    transaction_hash: Bytes32Filter | None = asked("The transaction that emitted it.")
    contract: AddressFilter | None = asked("The contract that emitted it.")
    chain_id: BigIntFilter | None = asked("The network, by EIP-155.")
    verification: VerificationLevelFilter | None = asked("How well it is verified.")
    finality: FinalityFilter | None = asked("How far it is from being taken back.")
    flag: EventFlagFilter | None = asked("What it contradicts.")
    and_: list["LifecycleEventFilter"] | None = asked(AND, "and")
    or_: list["LifecycleEventFilter"] | None = asked(OR, "or")
    not_: Optional["LifecycleEventFilter"] = asked(NOT, "not")


def to_filter(asked_for: Any, path: str = "filterBy", depth: int = 0) -> Filter:
    """Returns what an input asks as the queries take it. Raises BadUserInput for what cannot be asked."""
    if asked_for is None or asked_for is UNSET:
        return ()
    if depth > MAX_DEPTH:
        raise BadUserInput(f"{path} is nested too deep: and, or and not go at most {MAX_DEPTH} levels deep.")
    found = []
    for field in fields(asked_for):
        value = getattr(asked_for, field.name)
        if value is UNSET:
            continue
        name = field.name.rstrip("_")
        place = f"{path}.{_shown(field)}"
        if value is not None:
            found.append((name, _value(asked_for, name, value, place, depth)))
        elif isinstance(asked_for, Operators):
            raise BadUserInput(f"{place} is null, which nothing equals: leave it out, or ask isNull.")
    return tuple(found)


def _value(owner: Any, name: str, value: Any, place: str, depth: int) -> Any:
    deeper = depth + (name in ("and", "or", "not"))
    if isinstance(value, list):
        if len(value) > MAX_VALUES:
            raise BadUserInput(f"{place} holds {len(value)} values: at most {MAX_VALUES} are taken.")
        return tuple(_value(owner, "", item, f"{place}[{index}]", deeper) for index, item in enumerate(value))
    if isinstance(owner, VersionFilter) and name in ("lt", "lte", "gt", "gte"):
        return _version(value, place)
    if is_dataclass(value):
        return to_filter(value, place, deeper)
    return value.name if isinstance(value, Finality) else value


def _version(text: str, place: str) -> str:
    key = version_key(text)
    if not key:
        raise BadUserInput(
            f'{place} is "{text[:80]}", which is no semver and cannot be compared. Example: "2.10.0". '
            "Versions that are none are listed by semver: false."
        )
    return key


def _shown(field: Any) -> str:
    return field.graphql_name or to_camel_case(field.name)
