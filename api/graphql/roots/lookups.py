"""Look-ups: one object by one of its keys. Unknown is null; what several carry is refused with their names."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import strawberry
from sqlalchemy import Row
from strawberry import UNSET

from api.graphql.context import Context
from api.graphql.errors import BadUserInput, Reason
from api.graphql.inputs.as_of import AsOf, pins_at, stands
from api.graphql.paging.tokens import DeviceId, HardwareLicenseId, ManufacturerId, NodeId, read_id
from api.graphql.vocabulary.scalars import Address, BigInt
from api.queries.devices import DEVICES, did_filter
from api.queries.licenses import HARDWARE_LICENSES, MANUFACTURERS
from api.queries.sql.as_of import Pin
from api.queries.sql.filters import Filter
from api.queries.sql.keys import key_of
from api.queries.sql.pages import BY_POSITION, Listing, Window, merged
from api.reading.loaders import PageOf
from schema.did import TokenDid, parse_did

CANDIDATES = 10


def key(description: str, name: str | None = None) -> Any:
    """Returns a key of a look-up: exactly one is given."""
    return strawberry.field(default=UNSET, description=description, name=name)


@strawberry.input(description="A serial number; with its manufacturer where several may carry it.")
class SerialNumberKey:
    value: str = strawberry.field(description="As the manufacturer wrote it.")
    manufacturer_id: BigInt | None = key("The manufacturer id.")


@strawberry.input(one_of=True, description="One key of a device.")
class DeviceBy:
    id: strawberry.ID | None = key("An id that the API gave; one read under `asOf` answers there again.")
    token_did: str | None = key("did:erc721:<chainId>:<contract>:<tokenId>", "tokenDID")
    token_id: BigInt | None = key(
        "AMBIGUOUS only when two device contracts hold this id; vehicles and synthetic devices are no `Device`."
    )
    address: Address | None = key("The address that a device holds now, burned devices left out.")
    ever_had_address: Address | None = key("An address that a device holds or held.")
    imei: str | None = key("Compared as stored, spaces and hyphens aside; a wrong check digit does not hinder.")
    dev_eui: str | None = key("As stored.", "devEUI")
    serial_number: SerialNumberKey | None = key("A serial number, with its manufacturer or without.")


@strawberry.input(
    one_of=True,
    description="One key of a manufacturer. By `name` or `owner`: AMBIGUOUS when several match. `tokenId` is the "
    "manufacturer id.",
)
class ManufacturerBy:
    id: strawberry.ID | None = key("An id that the API gave; one read under `asOf` answers there again.")
    token_id: BigInt | None = key("The manufacturer id.")
    token_did: str | None = key("Where manufacturers are NFTs: did:erc721:<chainId>:<contract>:<tokenId>", "tokenDID")
    name: str | None = key("As the registrar wrote it.")
    owner: Address | None = key("The licensed account.")


@strawberry.input(one_of=True, description="One key of a hardware licence.")
class HardwareLicenseBy:
    id: strawberry.ID | None = key("An id that the API gave; one read under `asOf` answers there again.")
    hardware_license_id: BigInt | None = key("Its number in its contract.")


Found = tuple[Row[Any], Pin]
NameT = TypeVar("NameT", DeviceId, ManufacturerId, HardwareLicenseId)
NOWHERE: Filter = (("chain_id", (("in", ()),)),)


async def find_device(context: Context, by: DeviceBy, as_of: AsOf | None) -> Found | None:
    """Returns the row of the device with a key, and the point it is read at. Raises BadUserInput (AMBIGUOUS)."""
    name, value = _key(by)
    if name == "id":
        return await _find_named(context, read_id(value), DeviceId, named_device, as_of)
    if name == "token_id":
        return await _find_numbered(context, value, as_of)
    return await _find(context, DEVICES, DEVICE_KEYS[name](value), as_of, f"The {SHOWN.get(name, name)}")


async def find_manufacturer(context: Context, by: ManufacturerBy, as_of: AsOf | None) -> Found | None:
    """Returns the row of the manufacturer with a key, and the point it is read at. Raises BadUserInput (AMBIGUOUS)."""
    name, value = _key(by)
    if name == "id":
        return await _find_named(context, read_id(value), ManufacturerId, named_manufacturer, as_of)
    # the manufacturers of this release's profiles are no NFTs: no DID names one
    filter = NOWHERE if name == "token_did" else _equal(name)(value)
    return await _find(context, MANUFACTURERS, filter, as_of, f"The {SHOWN.get(name, name)}")


async def find_hardware_license(context: Context, by: HardwareLicenseBy, as_of: AsOf | None) -> Found | None:
    """Returns the row of the licence with a key, and the point it is read at. Raises BadUserInput (AMBIGUOUS)."""
    name, value = _key(by)
    if name == "id":
        return await _find_named(context, read_id(value), HardwareLicenseId, named_hardware_license, as_of)
    return await _find(context, HARDWARE_LICENSES, _equal(name)(value), as_of, f"The {SHOWN.get(name, name)}")


async def named_device(context: Context, name: DeviceId, pin: Pin) -> Row[Any] | None:
    """Returns the row of the device that a node id names, at a pin."""
    id = await context.loaders.device_id.load((name.chain_id, name.contract, name.token_id))
    return None if id is None else await context.loaders.device.load(key_of(pin, id))


async def named_manufacturer(context: Context, name: ManufacturerId, pin: Pin) -> Row[Any] | None:
    """Returns the row of the manufacturer that a node id names, at a pin."""
    id = await context.loaders.manufacturer_id.load((name.chain_id, name.contract, name.token_id))
    return None if id is None else await context.loaders.manufacturer.load(key_of(pin, id))


async def named_hardware_license(context: Context, name: HardwareLicenseId, pin: Pin) -> Row[Any] | None:
    """Returns the row of the hardware licence that a node id names, at a pin."""
    id = await context.loaders.hardware_license_id.load((name.chain_id, name.contract, name.token_id))
    return None if id is None else await context.loaders.hardware_license.load(key_of(pin, id))


async def pin_of(context: Context, name: NodeId) -> Pin | None:
    """Returns where an id answers: at the point it carries, or now. None where that point or the network is gone."""
    if name.chain_id not in context.snapshot.chains:
        return None
    if name.as_of is None:
        return next(pin for pin in context.snapshot.pins if pin.chain_id == name.chain_id)
    pin = name.as_of.pin(name.chain_id)
    return pin if pin.block is not None and await stands(context, pin.block) else None


def _key(by: Any) -> tuple[str, Any]:
    """Returns the one key that is given."""
    given = [(name, value) for name, value in vars(by).items() if value is not UNSET and value is not None]
    if len(given) != 1:
        raise BadUserInput(f"by holds {len(given)} keys: give exactly one, and not null.")
    return given[0]


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


DEVICE_KEYS: dict[str, Callable[[Any], Filter]] = {
    "token_did": _token_did,
    "address": _equal("held_address"),
    "ever_had_address": _equal("ever_had_address"),
    "imei": _equal("imei"),
    "dev_eui": _equal("dev_eui"),
    "serial_number": _serial_number,
}
SHOWN = {
    "token_id": "token id",
    "token_did": "DID",
    "ever_had_address": "address",
    "imei": "IMEI",
    "dev_eui": "DevEUI",
    "serial_number": "serial number",
    "hardware_license_id": "hardware licence id",
}


async def _find_named(
    context: Context,
    name: NodeId | None,
    kind: type[NameT],
    row_of: Callable[[Context, NameT, Pin], Awaitable[Row[Any] | None]],
    as_of: AsOf | None,
) -> Found | None:
    if not isinstance(name, kind):
        return None
    if as_of is None or as_of is UNSET:
        pin = await pin_of(context, name)
    else:
        pin = next((pin for pin in await pins_at(context, as_of) if pin.chain_id == name.chain_id), None)
    row = None if pin is None else await row_of(context, name, pin)
    return None if row is None or pin is None else (row, pin)


async def _find(context: Context, listing: Listing, filter: Filter, as_of: AsOf | None, what: str) -> Found | None:
    pins = {pin.chain_id: pin for pin in await pins_at(context, as_of)}
    asked = PageOf(listing, BY_POSITION, Window(CANDIDATES), filter)
    found = [await context.loaders.page(asked, key_of(pin)) for pin in pins.values()]
    return _one(merged(BY_POSITION, found, asked.window).rows, pins, what)


async def _find_numbered(context: Context, token_id: int, as_of: AsOf | None) -> Found | None:
    """Finds the device of a token id, which it keeps for life: a document's look-ups share their statements."""
    pins = {pin.chain_id: pin for pin in await pins_at(context, as_of)}
    loaders = context.loaders
    ids = await context.runner.gather(*(loaders.device_ids.load((chain_id, token_id)) for chain_id in pins))
    keys = [key_of(pin, id) for pin, found in zip(pins.values(), ids, strict=True) for id in found]
    rows = await context.runner.gather(*map(loaders.device.load, keys))
    return _one([row for row in rows if row is not None][:CANDIDATES], pins, "The token id")


def _one(rows: Sequence[Row[Any]], pins: Mapping[int, Pin], what: str) -> Found | None:
    if len(rows) > 1:
        names = [TokenDid(row.chain_id, row.contract, row.token_id).checksummed for row in rows]
        raise BadUserInput(
            f"{what} is carried by {'at least ' if len(rows) == CANDIDATES else ''}{len(rows)}: {', '.join(names[:2])}"
            f"{' and others' if len(rows) > 2 else ''}. Ask for one of extensions.candidates.",
            Reason.AMBIGUOUS,
            names,
        )
    return (rows[0], pins[rows[0].chain_id]) if rows else None
