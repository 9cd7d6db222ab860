"""The tokens of a contract whose devices are not burned."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, select

from api.queries.devices import unburned
from api.queries.sql import tables
from schema.tables.values import OPEN

device = tables.device
version = tables.device_version


def live_tokens(connection: Connection, chain_id: int, contract: bytes, first: int, end: int) -> Sequence[int]:
    """Returns the tokens from `first` to below `end` that have a device now which is not burned."""
    of_device = and_(version.c.chain_id == device.c.chain_id, version.c.device_id == device.c.id)
    rows = connection.execute(
        select(device.c.token_id)
        .join(version, of_device)
        .where(
            device.c.chain_id == chain_id,
            device.c.contract == contract,
            device.c.token_id.between(first, end - 1),
            version.c.valid_to == OPEN,
            unburned(version),
        )
    )
    return rows.scalars().all()
