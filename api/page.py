"""The page at /graphql: GraphiQL with tabs whose first click answers, about a device that is there."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, select
from sqlalchemy.exc import DBAPIError

from api.graphql.identity import token_did
from api.queries import tables
from schema.columns import block_of

FOLDER = Path(__file__).parent / "graphiql"
YEAR = 365 * 24 * 3600
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Example(NamedTuple):
    """A device to ask about, and a time at which it was known."""

    device: str
    then: str


def graphiql_page(engine: Engine) -> str:
    """Return the page. Its examples are empty while the database cannot be read: the page itself always loads."""
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
    }
    return [
        {
            "query": (FOLDER / f"{name}.graphql").read_text("utf-8"),
            "variables": json.dumps(values, indent=2) if values else "",
        }
        for name, values in variables.items()
    ]


def read_example(connection: Connection) -> Example | None:
    """Return a device whose life is over, so that every section has something to show; else the first; else none."""
    found = connection.execute(_ended_device()).first() or connection.execute(_first_device()).first()
    if found is None:
        return None
    chain, block = tables.chain.c, tables.block.c
    now = select(chain.indexed_time).where(chain.chain_id == found.chain_id)
    first_seen = select(block.timestamp).where(block.chain_id == found.chain_id, block.number == block_of(found.id))
    then = max(connection.execute(now).scalar_one() - YEAR, connection.execute(first_seen).scalar_one())
    return Example(
        token_did(found.chain_id, found.contract, found.token_id),
        datetime.fromtimestamp(then, UTC).isoformat().replace("+00:00", "Z"),
    )


def _first_device() -> Select[Any]:
    device = tables.device.c
    columns = (device.chain_id, device.id, device.contract, device.token_id)
    return select(*columns).order_by(device.chain_id, device.id).limit(1)


def _ended_device() -> Select[Any]:
    device, step = tables.device.c, tables.end_of_life_step.c
    first_step = select(step.chain_id, step.device_id).order_by(step.chain_id, step.position).limit(1).subquery()
    return _first_device().where(device.chain_id == first_step.c.chain_id, device.id == first_step.c.device_id)
