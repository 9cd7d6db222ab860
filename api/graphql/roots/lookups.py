"""Look-ups of one object by a key: null for an unknown key, an error that lists the objects of a shared one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, Reason
from api.graphql.inputs.as_of import AsOf, is_canonical, pins_at
from api.graphql.paging.tokens import DeviceId, HardwareLicenseId, ManufacturerId, NodeId, TokenId, read_id
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.devices import DEVICES, did_filter
from api.queries.licenses import HARDWARE_LICENSES, MANUFACTURERS
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.pages import BY_POSITION, Listing, Window, merged
from api.reading.loaders import PageQuery
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


RowAtPin = tuple[Row[Any], Pin]
NOWHERE: Filter = (("chain_id", (("in", ()),)),)


async def find(context: Context, lookup: "Lookup", by: Any, as_of: AsOf | None) -> RowAtPin | None:
    """Returns the row of the object with the key `by`, and its pin. Raises BadUserInput (AMBIGUOUS)."""
    name, value = _key(by)
    if name == "id":
        return await _find_by_id(context, value, lookup.id, as_of)
    if name == "token_id" and lookup is DEVICE:
        return await _find_by_token_id(context, value, as_of)
    filter = lookup.filters.get(name, _equal(name))(value)
    return await _find(context, lookup.listing, filter, as_of, f"The {LABELS.get(name, name)}")


async def row_of(context: Context, id: TokenId, pin: Pin) -> Row[Any] | None:
    """Returns the row of the object that a node id names, at a pin."""
    loaders = context.loaders
    row_ids, rows = {
        DeviceId: (loaders.device_id, loaders.device),
        ManufacturerId: (loaders.manufacturer_id, loaders.manufacturer),
        HardwareLicenseId: (loaders.hardware_license_id, loaders.hardware_license),
    }[type(id)]
    row_id = await row_ids.load((id.chain_id, id.contract, id.token_id))
    return None if row_id is None else await rows.load(key_of(pin, row_id))


async def pin_of(context: Context, id: NodeId | TokenId) -> Pin | None:
    """Returns the pin at which an id is read: the one in the id, or the present. None if its block is gone."""
    if id.chain_id not in context.snapshot.chains:
        return None
    if id.as_of is None:
        return next(pin for pin in context.snapshot.pins if pin.chain_id == id.chain_id)
    pin = id.as_of.pin(id.chain_id)
    return pin if pin.block is not None and await is_canonical(context, pin.block) else None


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


def _token_did(text: str) -> Filter:
    did = parse_did(text)
    return NOWHERE if did is None else did_filter(did)


class Lookup(NamedTuple):
    """What differs between the look-ups. `filters` are those of the keys that are more than a field of the listing."""

    id: type[TokenId]
    listing: Listing
    filters: Mapping[str, Callable[[Any], Filter]]


DEVICE = Lookup(
    DeviceId, DEVICES, {"token_did": _token_did, "address": _equal("held_address"), "serial_number": _serial_number}
)
# in this release no manufacturer is found by a DID
MANUFACTURER = Lookup(ManufacturerId, MANUFACTURERS, {"token_did": lambda did: NOWHERE})
HARDWARE_LICENSE = Lookup(HardwareLicenseId, HARDWARE_LICENSES, {})
LABELS = {
    "token_id": "token id",
    "token_did": "DID",
    "ever_had_address": "address",
    "imei": "IMEI",
    "dev_eui": "DevEUI",
    "serial_number": "serial number",
    "hardware_license_id": "hardware license id",
}


async def _find_by_id(context: Context, text: str, kind: type[TokenId], as_of: AsOf | None) -> RowAtPin | None:
    id = read_id(text)
    if not isinstance(id, TokenId) or type(id) is not kind:
        return None
    if as_of is None or as_of is UNSET:
        pin = await pin_of(context, id)
    else:
        pin = next((pin for pin in await pins_at(context, as_of) if pin.chain_id == id.chain_id), None)
    row = None if pin is None else await row_of(context, id, pin)
    return None if row is None or pin is None else (row, pin)


async def _find(context: Context, listing: Listing, filter: Filter, as_of: AsOf | None, what: str) -> RowAtPin | None:
    pins = {pin.chain_id: pin for pin in await pins_at(context, as_of)}
    page_of = PageQuery(listing, BY_POSITION, Window(CANDIDATES), filter)
    pages = [await context.loaders.page(page_of, key_of(pin)) for pin in pins.values()]
    return _one(merged(BY_POSITION, pages, page_of.window).rows, pins, what)


async def _find_by_token_id(context: Context, token_id: int, as_of: AsOf | None) -> RowAtPin | None:
    """Finds the device of a token id. Token ids never change, so the look-ups of a document share their statements."""
    pins = {pin.chain_id: pin for pin in await pins_at(context, as_of)}
    loaders = context.loaders
    ids = await context.runner.gather(*(loaders.device_ids.load((chain_id, token_id)) for chain_id in pins))
    keys = [key_of(pin, id) for pin, chain_ids in zip(pins.values(), ids, strict=True) for id in chain_ids]
    rows = await context.runner.gather(*map(loaders.device.load, keys))
    return _one([row for row in rows if row is not None][:CANDIDATES], pins, "The token id")


def _one(rows: Sequence[Row[Any]], pins: Mapping[int, Pin], what: str) -> RowAtPin | None:
    if len(rows) > 1:
        names = [TokenDid(row.chain_id, row.contract, row.token_id).checksummed for row in rows]
        raise BadUserInput(
            f"{what} belongs to {'at least ' if len(rows) == CANDIDATES else ''}{len(rows)} objects: "
            f"{', '.join(names[:2])}{' and others' if len(rows) > 2 else ''}. Use one of extensions.candidates.",
            Reason.AMBIGUOUS,
            names,
        )
    return (rows[0], pins[rows[0].chain_id]) if rows else None
