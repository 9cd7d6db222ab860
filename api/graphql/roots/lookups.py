"""Look-ups of one object by a key: null for an unknown key, an error that lists the objects of a shared one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import strawberry
from sqlalchemy import Table
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, Reason
from api.graphql.inputs.as_of import AsOf, AsOfArgument, is_canonical, pins_at
from api.graphql.paging.tokens import (
    AccountId,
    DeviceId,
    HardwareLicenseId,
    ManufacturerId,
    NodeId,
    SyntheticDeviceId,
    TokenId,
    VehicleId,
    read_id,
)
from api.graphql.plan.fields import Ref, arguments_of, computed
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.devices import DEVICES, did_filter
from api.queries.licenses import HARDWARE_LICENSES, MANUFACTURERS
from api.queries.sql import tables
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.listings import BY_POSITION, Listing
from api.queries.sql.pages import PageQuery, Window, merged
from api.queries.sql.relations import Cells
from api.queries.tokens import ids_of_numbers, token_ids
from api.queries.vehicles import ACCOUNTS, SYNTHETIC_DEVICES, VEHICLES
from schema.did import TokenDid, parse_did

CANDIDATES = 10


def key(description: str, name: str | None = None) -> Any:
    """Declares a key of a look-up, of which a request gives exactly one."""
    return strawberry.field(default=UNSET, description=description, name=name)


@strawberry.input(description="A serial number, with the manufacturer if several manufacturers use it.")
class SerialNumberKey:
    value: str = strawberry.field(description="The serial number as the manufacturer wrote it.")
    manufacturer_id: BigInt | None = key("The manufacturer id.")


@strawberry.input(one_of=True, description="One key of a device.")
class DeviceBy:
    id: strawberry.ID | None = key("An id that the API returned. An id that includes a block is read there again.")
    token_did: str | None = key("The DID: `did:erc721:<chainId>:<contract>:<tokenId>`.", "tokenDID")
    token_id: BigInt | None = key(
        "The token id. AMBIGUOUS if two device contracts have this token. Vehicles and synthetic "
        "devices are not devices."
    )
    address: Address | None = key("The present address of a device that is not burned.")
    ever_had_address: Address | None = key("A present or former address of a device.")
    imei: str | None = key(
        "The IMEI, compared without spaces and hyphens. An IMEI with a wrong check digit is found too."
    )
    dev_eui: str | None = key("The DevEUI.", "devEUI")
    serial_number: SerialNumberKey | None = key("The serial number, with or without the manufacturer.")


@strawberry.input(
    one_of=True,
    description="One key of a manufacturer. `name` and `owner` are AMBIGUOUS if several manufacturers have them. "
    "`tokenId` is the manufacturer id.",
)
class ManufacturerBy:
    id: strawberry.ID | None = key("An id that the API returned. An id that includes a block is read there again.")
    token_id: BigInt | None = key("The manufacturer id.")
    token_did: str | None = key(
        "The DID, if manufacturers are NFTs: `did:erc721:<chainId>:<contract>:<tokenId>`.", "tokenDID"
    )
    name: str | None = key("The name as the registrar wrote it.")
    owner: Address | None = key("The licensed account, or the owner of the NFT.")


@strawberry.input(one_of=True, description="One key of a hardware license.")
class HardwareLicenseBy:
    id: strawberry.ID | None = key("An id that the API returned. An id that includes a block is read there again.")
    hardware_license_id: BigInt | None = key("The number of the hardware license in its contract.")


@strawberry.input(one_of=True, description="One key of a vehicle.")
class VehicleBy:
    id: strawberry.ID | None = key("An id that the API returned. An id that includes a block is read there again.")
    token_id: BigInt | None = key("The token id. AMBIGUOUS if two vehicle contracts have this token.")
    token_did: str | None = key("The DID: `did:erc721:<chainId>:<contract>:<tokenId>`.", "tokenDID")


@strawberry.input(one_of=True, description="One key of a synthetic device.")
class SyntheticDeviceBy:
    id: strawberry.ID | None = key("An id that the API returned. An id that includes a block is read there again.")
    token_id: BigInt | None = key("The token id. AMBIGUOUS if two contracts of synthetic devices have this token.")
    token_did: str | None = key("The DID: `did:erc721:<chainId>:<contract>:<tokenId>`.", "tokenDID")
    address: Address | None = key("The address of the synthetic device. AMBIGUOUS if several have or had it.")


@strawberry.input(one_of=True, description="One key of an account that grants access.")
class AccountBy:
    id: strawberry.ID | None = key("An id that the API returned. An id that includes a block is read there again.")
    address: Address | None = key("The address of the account.")


Result = Ref | BadUserInput | None
"""The object with a key; the refusal of the request; None if there is none."""

Candidate = tuple[Pin, Cells]
"""An object that has a key: the pin, and KEY_COLUMNS."""

KEY_COLUMNS = ("id", "contract", "token_id")
NO_TOKEN: Filter = (("chain_id", (("in", ()),)),)


def lookup_field(description: str, lookup: "Lookup") -> Any:
    """Declares the root field of a look-up."""

    def arguments(*, by: Any, as_of: AsOfArgument = UNSET) -> None: ...

    noun = lookup.table.name.replace("_", " ")
    arguments.__annotations__["by"] = Annotated[lookup.by, strawberry.argument(description=f"The key of the {noun}.")]

    def batch(context: Context, rows: Sequence[Any], requests: Sequence[Mapping[str, Any]]) -> list[Result]:
        return find_all(context, lookup, [(request["by"], request.get("as_of")) for request in requests])

    made = computed(description, batch, joint=True)
    made.arguments = arguments_of(arguments)
    return made


def find_all(context: Context, lookup: "Lookup", requests: Sequence[tuple[Any, AsOf | None]]) -> list[Result]:
    """Returns the object of each request (`by`, `asOf`). The look-ups by token id share their statements."""
    results: list[Result] = [None] * len(requests)
    numbers: dict[int, tuple[Sequence[Pin], int]] = {}
    for place, (by, as_of) in enumerate(requests):
        try:
            name, value = _key(by)
            if name == "token_id" and lookup is DEVICE:
                numbers[place] = pins_at(context, as_of), value
            elif name == "id":
                results[place] = _by_id(context, value, lookup, as_of)
            else:
                results[place] = _by_filter(context, name, value, lookup, pins_at(context, as_of))
        except BadUserInput as refusal:
            results[place] = refusal
    for place, result in zip(numbers, _by_numbers(context, list(numbers.values())), strict=True):
        results[place] = result
    return results


def refs_by_token(context: Context, ids: Sequence[tuple[TokenId, Pin]]) -> list[Ref | None]:
    """Returns the object that each node id names, at its pin."""
    refs: list[Ref | None] = [None] * len(ids)
    for lookup in LOOKUPS:
        places = [place for place, (id, _) in enumerate(ids) if type(id) is lookup.id]
        tokens = [(ids[place][0].chain_id, ids[place][0].contract, ids[place][0].token_id) for place in places]
        for place, row_id in zip(places, context.read.each(TOKEN_IDS[lookup.id], tokens), strict=True):
            if row_id is not None:
                refs[place] = Ref(lookup.listing.rows, row_id, ids[place][1], required=False)
    return refs


def pin_of(context: Context, id: NodeId | TokenId) -> Pin | None:
    """Returns the pin at which an id is read: the one in the id, or the present. None if its block is gone."""
    if id.chain_id not in context.snapshot.chains:
        return None
    if id.as_of is None:
        return next(pin for pin in context.snapshot.pins if pin.chain_id == id.chain_id)
    pin = id.as_of.pin(id.chain_id)
    return pin if pin.block is not None and is_canonical(context, pin.block) else None


def _key(by: Any) -> tuple[str, Any]:
    """Returns the name and the value of the only given key. Raises BadUserInput for none or several."""
    keys = [(name, value) for name, value in vars(by).items() if value is not UNSET and value is not None]
    if len(keys) != 1:
        raise BadUserInput(f"by holds {len(keys)} keys: give exactly one, and not null.")
    return keys[0]


def _equal(name: str) -> Callable[[Any], Filter]:
    return lambda value: ((name, (("eq", value),)),)


def _serial_number(key: SerialNumberKey) -> Filter:
    number = _equal("serial_number")(key.value)
    if key.manufacturer_id is None or key.manufacturer_id is UNSET:
        return number
    return number + _equal("manufacturer_id")(key.manufacturer_id)


def token_did_filter(text: str) -> Filter:
    """Returns the filter that the token of a DID alone passes."""
    did = parse_did(text)
    return NO_TOKEN if did is None else did_filter(did)


class Lookup(NamedTuple):
    """What differs between the look-ups. `by` is the input that has the keys.

    `filters` are those of the keys that are more than a field of the listing.
    """

    by: type
    id: type[TokenId]
    table: Table
    listing: Listing
    filters: Mapping[str, Callable[[Any], Filter]]


DEVICE = Lookup(
    DeviceBy,
    DeviceId,
    tables.device,
    DEVICES,
    {"token_did": token_did_filter, "address": _equal("held_address"), "serial_number": _serial_number},
)
# in this release no manufacturer is found by a DID
MANUFACTURER = Lookup(
    ManufacturerBy, ManufacturerId, tables.manufacturer, MANUFACTURERS, {"token_did": lambda did: NO_TOKEN}
)
HARDWARE_LICENSE = Lookup(HardwareLicenseBy, HardwareLicenseId, tables.hardware_license, HARDWARE_LICENSES, {})
VEHICLE = Lookup(VehicleBy, VehicleId, tables.vehicle, VEHICLES, {"token_did": token_did_filter})
SYNTHETIC_DEVICE = Lookup(
    SyntheticDeviceBy, SyntheticDeviceId, tables.synthetic_device, SYNTHETIC_DEVICES, {"token_did": token_did_filter}
)
ACCOUNT = Lookup(AccountBy, AccountId, tables.account, ACCOUNTS, {})
LOOKUPS = (DEVICE, MANUFACTURER, HARDWARE_LICENSE, VEHICLE, SYNTHETIC_DEVICE, ACCOUNT)
LABELS = {
    "token_id": "token id",
    "token_did": "DID",
    "ever_had_address": "address",
    "imei": "IMEI",
    "dev_eui": "DevEUI",
    "serial_number": "serial number",
    "hardware_license_id": "hardware license id",
}


def _by_id(context: Context, text: str, lookup: Lookup, as_of: AsOf | None) -> Result:
    id = read_id(text)
    if not isinstance(id, TokenId) or type(id) is not lookup.id:
        return None
    if as_of is None or as_of is UNSET:
        pin = pin_of(context, id)
    else:
        pin = next((pin for pin in pins_at(context, as_of) if pin.chain_id == id.chain_id), None)
    return None if pin is None else refs_by_token(context, [(id, pin)])[0]


def _by_filter(context: Context, name: str, value: Any, lookup: Lookup, pins: Sequence[Pin]) -> Result:
    filter = lookup.filters.get(name, _equal(name))(value)
    query = PageQuery(lookup.listing, BY_POSITION, Window(CANDIDATES), filter)
    pages = context.read.pages(query, [key_of(pin) for pin in pins], KEY_COLUMNS)
    rows, _ = merged(BY_POSITION, pages, [pin.chain_id for pin in pins], query.window)
    return _one(lookup, [(pins[index], row) for row, index in rows], f"The {LABELS.get(name, name)}")


def _by_numbers(context: Context, requests: Sequence[tuple[Sequence[Pin], int]]) -> list[Result]:
    """Returns the device of each token id. Token ids never change, so that all are read in one statement."""
    ids = iter(context.read.each(DEVICE_IDS, [(pin.chain_id, number) for pins, number in requests for pin in pins]))
    results: list[Result] = []
    for pins, _ in requests:
        named = [(pin, id) for pin in pins for id in next(ids) if id <= pin.position]
        if len(named) > 1:
            rows = context.read.cells(DEVICES.rows, KEY_COLUMNS, [key_of(pin, id) for pin, id in named[:CANDIDATES]])
            candidates = [(pin, row) for (pin, _), row in zip(named, rows, strict=False) if row is not None]
            try:
                results.append(_one(DEVICE, candidates, "The token id"))
            except BadUserInput as refusal:
                results.append(refusal)
        else:
            results.append(Ref(DEVICES.rows, named[0][1], named[0][0], required=False) if named else None)
    return results


DEVICE_IDS = partial(ids_of_numbers, table=tables.device)
TOKEN_IDS = {lookup.id: partial(token_ids, table=lookup.table) for lookup in LOOKUPS}


def _one(lookup: Lookup, candidates: Sequence[Candidate], what: str) -> Ref | None:
    if len(candidates) > 1:
        names = [TokenDid(pin.chain_id, contract, token).checksummed for pin, (_, contract, token, *_) in candidates]
        raise BadUserInput(
            f"{what} belongs to {'at least ' if len(names) == CANDIDATES else ''}{len(names)} objects: "
            f"{', '.join(names[:2])}{' and others' if len(names) > 2 else ''}. Use one of extensions.candidates.",
            Reason.AMBIGUOUS,
            names,
        )
    return Ref(lookup.listing.rows, candidates[0][1][0], candidates[0][0], required=False) if candidates else None
