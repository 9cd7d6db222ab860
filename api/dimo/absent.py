"""The parts of DIMO's schema that are not indexed: their fields are null, and their lists are empty.

`REASONS` are in `extensions.notIndexed` of a response whose query has such a root field.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from api.dimo.vocabulary import BigDecimal, NotFound, Time
from api.graphql.context import Context
from api.graphql.inputs.operators import optional
from api.graphql.paging.connections import PAGE_ARGUMENTS, ConnectionList, Shown
from api.graphql.paging.connections import Connection as Page
from api.graphql.plan.fields import arguments_of, computed
from api.graphql.types.node import Node
from api.graphql.vocabulary.scalars import Address, BigInt, Bytes
from api.queries.sql.pages import Window

if TYPE_CHECKING:
    from api.dimo.types import AftermarketDevice, Manufacturer, SyntheticDevice, Vehicle

LICENSES = "Developer licenses are in a contract that the profile does not watch."
NAMES = "DCN names are in a registry that the profile does not watch."
STAKES = "Stakes of vehicles are in a contract that the profile does not watch."
REWARDS = "Rewards are in a contract that the profile does not watch."
DEFINITIONS = "Device definitions are in a table outside the chain. `Vehicle.definition` has the id."
CONNECTIONS = "Connections are in a contract that the profile does not watch; `SyntheticDevice.connection` has names."
TEMPLATES = "Templates of permissions are in a contract that the profile does not watch."

REASONS = {
    "connections": CONNECTIONS,
    "connection": CONNECTIONS,
    "dcn": NAMES,
    "dcns": NAMES,
    "developerLicenses": LICENSES,
    "developerLicense": LICENSES,
    "deviceDefinition": DEFINITIONS,
    "rewards": REWARDS,
    "stakes": STAKES,
    "template": TEMPLATES,
    "templates": TEMPLATES,
}
"""Why each root field has no value."""

LazyVehicle = Annotated["Vehicle", strawberry.lazy("api.dimo.types")]
LazyDevice = Annotated["AftermarketDevice", strawberry.lazy("api.dimo.types")]
LazySynthetic = Annotated["SyntheticDevice", strawberry.lazy("api.dimo.types")]
LazyManufacturer = Annotated["Manufacturer", strawberry.lazy("api.dimo.types")]


class EmptyList(ConnectionList):
    """A list without rows."""

    window: Window[Any] = Window(0)

    @staticmethod
    def read(context: Context, lists: Sequence[Any]) -> list[Shown]:
        return [Shown((), more=False) for _ in lists]

    @staticmethod
    def count(context: Context, lists: Sequence[Any]) -> list[int]:
        return [0] * len(lists)

    def cursor(self, node: Any) -> str:
        raise LookupError("an empty list has no cursor")


EMPTY = EmptyList()


def empty_list(reason: str, make: Callable[..., Any] | None = None, name: str | None = None) -> Any:
    """Declares a field that is an empty list; `make` has its arguments beside those of the page."""

    def nothing(context: Context, rows: Sequence[Any], **arguments: Any) -> list[EmptyList]:
        return [EMPTY] * len(rows)

    made = computed(reason, nothing, name=name)
    made.arguments = PAGE_ARGUMENTS + (arguments_of(make) if make else [])
    return made


def no_value(reason: str, make: Callable[..., Any] | None = None) -> Any:
    """Declares a field that is null; `make` has its arguments."""

    def nothing(context: Context, rows: Sequence[Any], **arguments: Any) -> list[None]:
        return [None] * len(rows)

    made = computed(reason, nothing)
    made.arguments = arguments_of(make) if make else []
    return made


@strawberry.type
class Earning:
    week: int
    beneficiary: Address
    connection_streak: int | None
    streak_tokens: BigDecimal
    aftermarket_device: LazyDevice | None
    aftermarket_device_tokens: BigDecimal
    synthetic_device: LazySynthetic | None
    synthetic_device_tokens: BigDecimal
    vehicle: LazyVehicle | None
    sent_at: Time


@strawberry.type
class UserRewards:
    total_tokens: BigDecimal
    history: Page[Earning] = empty_list(REWARDS)


@strawberry.type
class VehicleEarnings:
    total_tokens: BigDecimal
    history: Page[Earning] = empty_list(REWARDS)


@strawberry.type
class AftermarketDeviceEarnings:
    total_tokens: BigDecimal
    history: Page[Earning] = empty_list(REWARDS)


@strawberry.type
class DCN(Node):
    node: Bytes
    token_id: BigInt
    token_did: str = strawberry.field(name="tokenDID")
    owner: Address
    expires_at: Time | None
    minted_at: Time
    name: str | None
    vehicle: LazyVehicle | None


@strawberry.type
class Stake:
    token_id: int
    token_did: str = strawberry.field(name="tokenDID")
    owner: Address
    level: int
    points: int
    amount: BigDecimal
    staked_at: Time
    ends_at: Time
    withdrawn_at: Time | None
    vehicle: LazyVehicle | None


@strawberry.type
class StorageNode:
    label: str
    address: Address
    owner: Address
    token_id: BigInt
    uri: str
    token_did: str = strawberry.field(name="tokenDID")
    minted_at: Time


@strawberry.type
class Template:
    token_id: BigInt
    creator: Address
    asset: Address
    permissions: str
    cid: str
    created_at: Time


@strawberry.type
class Signer:
    address: Address
    enabled_at: Time


@strawberry.type
class RedirectURI:
    uri: str
    enabled_at: Time


@strawberry.type
class DeveloperLicense:
    token_id: int
    token_did: str = strawberry.field(name="tokenDID")
    owner: Address
    client_id: Address
    alias: str | None
    minted_at: Time
    signers: Page[Signer] = empty_list(LICENSES)
    redirect_uris: Page[RedirectURI] = empty_list(LICENSES, name="redirectURIs")


@strawberry.type
class DeviceDefinitionAttribute:
    name: str
    value: str


@strawberry.type
class DeviceDefinition:
    device_definition_id: str
    legacy_id: str | None
    manufacturer: LazyManufacturer | None
    model: str
    year: int
    device_type: str | None
    image_uri: str | None = strawberry.field(name="imageURI")
    attributes: list[DeviceDefinitionAttribute]


@strawberry.input
class ConnectionBy:
    name: str | None = optional("The name.")
    address: Address | None = optional("The address.")
    token_id: BigInt | None = optional("The token id.")
    token_did: str | None = optional("The DID.", "tokenDID")


@strawberry.input(one_of=True)
class DCNBy:
    node: Bytes | None = optional("The node.")
    token_did: str | None = optional("The DID.", "tokenDID")
    name: str | None = optional("The name.")


@strawberry.input
class DCNFilter:
    owner: Address | None = optional("The owner.")


@strawberry.input
class DeveloperLicenseBy:
    client_id: Address | None = optional("The client id.")
    alias: str | None = optional("The alias.")
    token_id: int | None = optional("The token id.")
    token_did: str | None = optional("The DID.", "tokenDID")


@strawberry.input
class DeveloperLicenseFilterBy:
    signer: Address | None = optional("A signer.")
    owner: Address | None = optional("The owner.")


@strawberry.input(one_of=True)
class DeviceDefinitionBy:
    id: str | None = optional("The id.")


@strawberry.input
class DeviceDefinitionFilter:
    model: str | None = optional("The model.")
    year: int | None = optional("The year.")


@strawberry.input
class StakeFilterBy:
    owner: Address | None = optional("The owner.")
    attachable: bool | None = optional("Whether it can be attached to a vehicle.")


@strawberry.input
class TemplateBy:
    token_id: BigInt | None = optional("The token id.")
    cid: str | None = optional("The CID of the document.")


# Root fields


def _not_found(context: Context, rows: Sequence[Any], kind: str, reason: str) -> list[Any]:
    return [NotFound(f"No {kind} is indexed. {reason}") for _ in rows]


def connection(context: Context, rows: Sequence[Any], *, by: ConnectionBy) -> list[Any]:
    return _not_found(context, rows, "connection", CONNECTIONS)


def developer_license(context: Context, rows: Sequence[Any], *, by: DeveloperLicenseBy) -> list[Any]:
    return _not_found(context, rows, "developer license", LICENSES)


def dcn(*, by: DCNBy) -> None: ...


def template(*, by: TemplateBy) -> None: ...


def device_definition(*, by: DeviceDefinitionBy) -> None: ...


def rewards(*, user: Address) -> None: ...


def dcns(*, filter_by: DCNFilter | None = UNSET) -> None: ...


def stakes(*, filter_by: StakeFilterBy | None = UNSET) -> None: ...


def developer_licenses(*, filter_by: DeveloperLicenseFilterBy | None = UNSET) -> None: ...


def device_definitions(*, filter_by: DeviceDefinitionFilter | None = UNSET) -> None: ...
