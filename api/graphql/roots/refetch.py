"""`node` and `nodes`: objects by the ids that the API returned."""

from collections.abc import Sequence
from typing import assert_never

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.paging.tokens import (
    AuthorizationId,
    DeviceId,
    EventId,
    HardwareLicenseId,
    ManufacturerId,
    NodeId,
    read_id,
)
from api.graphql.roots.lookups import named_device, named_hardware_license, named_manufacturer, pin_of
from api.graphql.types.authorizations import load_authorization
from api.graphql.types.devices import to_device
from api.graphql.types.event_rows import event_at
from api.graphql.types.manufacturers import to_hardware_license, to_manufacturer
from api.graphql.types.node import Node
from api.queries.sql.as_of import Pin
from schema.tables.values import position

MAX_IDS = 100


async def resolve_all(context: Context, ids: Sequence[str]) -> list[Node | None]:
    """Returns the object of each id, None for an id that names nothing. Raises BadUserInput for too many ids."""
    if len(ids) > MAX_IDS:
        raise BadUserInput(f"ids holds {len(ids)} ids: at most {MAX_IDS} are allowed.")
    return await context.runner.gather(*(resolve(context, id) for id in ids))


async def resolve(context: Context, id: str) -> Node | None:
    """Returns the object that an id names, None for an id that is malformed, of another network, or unknown."""
    name = read_id(id)
    pin = None if name is None else await pin_of(context, name)
    return None if name is None or pin is None else await _node(context, name, pin)


async def _node(context: Context, name: NodeId, pin: Pin) -> Node | None:
    match name:
        case DeviceId():
            row = await named_device(context, name, pin)
            return None if row is None else to_device(row, pin)
        case ManufacturerId():
            row = await named_manufacturer(context, name, pin)
            return None if row is None else to_manufacturer(row, pin)
        case HardwareLicenseId():
            row = await named_hardware_license(context, name, pin)
            return None if row is None else to_hardware_license(row, pin)
        case EventId():
            at = await _position(context, name)
            return None if at is None else await event_at(context, pin, at)
        case AuthorizationId():
            at = await _position(context, name)
            return None if at is None else await load_authorization(context, pin, at)
        case _:
            assert_never(name)


async def _position(context: Context, name: EventId | AuthorizationId) -> int | None:
    block = await context.loaders.block_with_hash.load((name.chain_id, name.block_hash))
    return None if block is None else position(block.number, name.log_index)
