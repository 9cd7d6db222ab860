"""The tokens of a contract whose devices are not burned."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, select

from api.queries.devices import unburned
from api.queries.sql import tables
from schema.tables.values import OPEN

device = tables.device
device_keys = tables.device_key


def live_tokens(connection: Connection, chain_id: int, contract: bytes, first: int, end: int) -> Sequence[int]:
    """Returns the tokens from `first` to below `end` that have a device now which is not burned."""
    of_device = and_(device_keys.c.chain_id == device.c.chain_id, device_keys.c.device_id == device.c.id)
    rows = connection.execute(
        select(device.c.token_id)
        .join(device_keys, of_device)
        .where(
            device.c.chain_id == chain_id,
            device.c.contract == contract,
            device.c.token_id.between(first, end - 1),
            device_keys.c.valid_to == OPEN,
            unburned(device_keys),
        )
    )
    return rows.scalars().all()
