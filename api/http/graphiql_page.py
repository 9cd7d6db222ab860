"""The page at /graphql: GraphiQL with tabs whose queries return data at once, about a device in the database."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, and_, case, exists, literal, select
from sqlalchemy.exc import DBAPIError

from api.queries.sql import tables
from api.queries.sql.times import LAST_SECOND
from schema.did import TokenDid
from schema.tables.values import OPEN, block_of
from schema.times import utc_seconds_text

FOLDER = Path(__file__).parents[1] / "graphiql"
YEAR = 365 * 24 * 3600
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Example(NamedTuple):
    """The device in the examples' variables, and a time at which it was indexed."""

    device: str
    then: str


def graphiql_page(engine: Engine) -> str:
    """Returns the page. If the database cannot be read, its examples are empty."""
    try:
        with engine.connect() as connection:
            example = read_example(connection)
    except DBAPIError:
        example = None
    tabs = json.dumps(_tabs(example or Example("", "")))
    return (FOLDER / "index.html").read_text("utf-8").replace("{{tabs}}", tabs.replace("<", "\\u003c"))


def _tabs(example: Example) -> list[dict[str, str]]:
    variables: dict[str, dict[str, Any]] = {
        "device": {"device": example.device},
        "fleet": {},
        "past": {"device": example.device, "then": example.then},
        "live": {},
    }
    return [
        {
            "query": (FOLDER / f"{name}.graphql").read_text("utf-8"),
            "variables": json.dumps(values, indent=2) if values else "",
        }
        for name, values in variables.items()
    ]


def read_example(connection: Connection) -> Example | None:
    """Returns the device with most to show among the first of the database; None if there is no device."""
    device = connection.execute(_richest_device()).first() or connection.execute(_first_device()).first()
    if device is None:
        return None
    chain, block = tables.chain.c, tables.block.c
    now = select(chain.indexed_time).where(chain.chain_id == device.chain_id)
    first_seen = select(block.timestamp).where(block.chain_id == device.chain_id, block.number == block_of(device.id))
    then = max(connection.execute(now).scalar_one() - YEAR, connection.execute(first_seen).scalar_one())
    return Example(
        TokenDid(device.chain_id, device.contract, device.token_id).checksummed,
        utc_seconds_text(min(then, LAST_SECOND)),
    )


CANDIDATES = 200
"""The oldest ends of life of the first chain. A limit, so that the page loads as fast on a large database."""


def _first_device() -> Select[Any]:
    device = tables.device.c
    return select(*_IDENTITY).order_by(device.chain_id, device.id).limit(1)


def _richest_device() -> Select[Any]:
    """Returns, of the devices whose life has ended, the one with the most kinds of facts."""
    device, step = tables.device.c, tables.end_of_life_step.c
    ended = select(step.chain_id, step.device_id).order_by(step.chain_id, step.position).limit(CANDIDATES).subquery()
    facts = [
        exists().where(table.c.chain_id == device.chain_id, table.c.device_id == device.id, *conditions)
        for table, *conditions in (
            (tables.factory_reset,),
            (tables.firmware_update,),
            (tables.test_result,),
            (tables.authorization, tables.authorization.c.valid_to == OPEN),
        )
    ]
    richness = sum((case((fact, 1), else_=0) for fact in facts), literal(0))
    is_ended = and_(device.chain_id == ended.c.chain_id, device.id == ended.c.device_id)
    return select(*_IDENTITY).join(ended, is_ended).order_by(richness.desc(), device.chain_id, device.id).limit(1)


_IDENTITY = [tables.device.c[name] for name in ("chain_id", "id", "contract", "token_id")]
