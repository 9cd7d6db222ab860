"""`node` and `nodes`: objects by the ids that the API returned."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from sqlalchemy import Row

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.paging.tokens import (
    AuthorizationId,
    DeviceId,
    EventId,
    HardwareLicenseId,
    LogId,
    ManufacturerId,
    NodeId,
    TokenId,
    read_id,
)
from api.graphql.roots.lookups import pin_of, row_of
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
    node_id = read_id(id)
    pin = None if node_id is None else await pin_of(context, node_id)
    return None if node_id is None or pin is None else await _node(context, node_id, pin)


async def _node(context: Context, id: NodeId, pin: Pin) -> Node | None:
    match id:
        case DeviceId() | ManufacturerId() | HardwareLicenseId():
            row = await row_of(context, id, pin)
            return None if row is None else NODE_OF_ROW[type(id)](row, pin)
        case EventId():
            log = await _position(context, id)
            return None if log is None else await event_at(context, pin, log)
        case AuthorizationId():
            log = await _position(context, id)
            return None if log is None else await load_authorization(context, pin, log)
        case _:
            assert_never(id)


NODE_OF_ROW: Mapping[type[TokenId], Callable[[Row[Any], Pin], Node]] = {
    DeviceId: to_device,
    ManufacturerId: to_manufacturer,
    HardwareLicenseId: to_hardware_license,
}


async def _position(context: Context, id: LogId) -> int | None:
    block = await context.loaders.block_with_hash.load((id.chain_id, id.block_hash))
    return None if block is None else position(block.number, id.offset)
