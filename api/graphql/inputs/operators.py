"""The inputs that compare one field: with a value, with several, with a range, or with null."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import strawberry
from strawberry import UNSET

from api.graphql.vocabulary.scalars import Address, BigInt, Bytes32
from api.queries.recorded import Finality
from schema.events import Kind
from schema.vocabulary import EndOfLifeStatus, EpcisAction, EventFlag, LicenseStatus, Verdict, VerificationLevel

ValueT = TypeVar("ValueT")


def optional(description: str, name: str | None = None) -> Any:
    """Declares an optional input field."""
    return strawberry.field(default=UNSET, description=description, name=name)


class Operators:
    """The base of inputs that compare one field."""


EQ, NE = "Equal to this value.", "Not equal to this value, or null."
IN, NOT_IN = "Equal to one of these values, at most 100.", "Equal to none of these values, or null; at most 100 values."
LT, LTE, GT, GTE = (
    "Less than this value.",
    "Less than or equal to this value.",
    "Greater than this value.",
    "Greater than or equal to this value.",
)
IS_NULL = "true: the field is null. false: the field is not null."
STARTS_WITH = "Starts with this text, compared by code point."


@strawberry.input
class Equality(Operators, Generic[ValueT]):
    eq: ValueT | None = optional(EQ)
    in_: list[ValueT] | None = optional(IN, "in")


@strawberry.input
class Membership(Operators, Generic[ValueT]):
    """Compares a field that is never null."""

    eq: ValueT | None = optional(EQ)
    ne: ValueT | None = optional("Not equal to this value.")
    in_: list[ValueT] | None = optional(IN, "in")
    not_in: list[ValueT] | None = optional("Equal to none of these values, at most 100.")


@strawberry.input
class NullableMembership(Operators, Generic[ValueT]):
    eq: ValueT | None = optional(EQ)
    ne: ValueT | None = optional(NE)
    in_: list[ValueT] | None = optional(IN, "in")
    not_in: list[ValueT] | None = optional(NOT_IN)


@strawberry.input(description="Compares an integer of any size.")
class BigIntFilter(NullableMembership[BigInt]):
    lt: BigInt | None = optional(LT)
    lte: BigInt | None = optional(LTE)
    gt: BigInt | None = optional(GT)
    gte: BigInt | None = optional(GTE)
    is_null: bool | None = optional(IS_NULL)


@strawberry.input(description="Compares a count.")
class IntFilter(Membership[int]):
    lt: int | None = optional(LT)
    lte: int | None = optional(LTE)
    gt: int | None = optional(GT)
    gte: int | None = optional(GTE)


@strawberry.input(description="Compares text by code point.")
class StringFilter(NullableMembership[str]):
    starts_with: str | None = optional(STARTS_WITH)
    is_null: bool | None = optional(IS_NULL)


@strawberry.input(description="Compares addresses, in any case.")
class AddressFilter(NullableMembership[Address]):
    is_null: bool | None = optional(IS_NULL)


@strawberry.input(description="Compares hashes.")
class Bytes32Filter(Equality[Bytes32]):
    pass


@strawberry.input(description="Compares a time. For half-open ranges use `gte` with `lt`.")
class DateTimeFilter(Operators):
    eq: datetime | None = optional(EQ)
    lt: datetime | None = optional("Before this instant.")
    lte: datetime | None = optional("At or before this instant.")
    gt: datetime | None = optional("After this instant.")
    gte: datetime | None = optional("At or after this instant.")
    is_null: bool | None = optional(IS_NULL)


@strawberry.input(
    description="Compares a version. eq, ne, in, notIn and startsWith compare the text. lt, lte, gt and gte take "
    "a semver and compare by the precedence of semver 2.0.0 (a leading v is ignored); they match no "
    "version that is not a semver. To list those, use `semver: false`."
)
class VersionFilter(NullableMembership[str]):
    starts_with: str | None = optional(STARTS_WITH)
    lt: str | None = optional("Lower precedence than this version.")
    lte: str | None = optional("Lower precedence than this version, or equal.")
    gt: str | None = optional("Higher precedence than this version.")
    gte: str | None = optional("Higher precedence than this version, or equal.")
    semver: bool | None = optional("true: the version is a semver. false: the version is not null and not a semver.")
    is_null: bool | None = optional(IS_NULL)


@strawberry.input(description="Compares the current firmware.")
class FirmwareFilter:
    version: VersionFilter | None = optional("The version of the firmware.")
    image_hash: Bytes32Filter | None = optional("The hash of the firmware image, as the update states it.")


@strawberry.input(description="Compares the answer to a question of provenance.")
class VerdictFilter(Membership[Verdict]):
    pass


@strawberry.input(description="Compares the status of a license at the time of the response.")
class LicenseStatusFilter(Membership[LicenseStatus]):
    pass


@strawberry.input(description="Compares the end-of-life status of a device.")
class EndOfLifeStatusFilter(Membership[EndOfLifeStatus]):
    pass


@strawberry.input(description="Compares the kind of an event.")
class LifecycleEventKindFilter(Membership[Kind]):
    pass


@strawberry.input(description="Compares the EPCIS action of an event.")
class EpcisActionFilter(Equality[EpcisAction]):
    pass


@strawberry.input(description="Compares the verification level of an event.")
class VerificationLevelFilter(Equality[VerificationLevel]):
    pass


@strawberry.input(description="Compares the finality of an event's block.")
class FinalityFilter(Equality[Finality]):
    pass


@strawberry.input(description="Compares the flags of an event.")
class EventFlagFilter(Operators):
    eq: EventFlag | None = optional("The event has this flag.")
    in_: list[EventFlag] | None = optional("The event has at least one of these flags.", "in")
    any: bool | None = optional("true: the event has a flag. false: the event has no flag.")


@strawberry.input(description="Compares the number of factory resets whose block time is at or after an instant.")
class FactoryResetsSince:
    since: datetime = strawberry.field(description="The instant from which resets count.")
    count: IntFilter = strawberry.field(description="The number of resets.")
