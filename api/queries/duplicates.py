"""Other devices that carry what should be one device's own: its IMEI, its serial number, its address.

Each statement goes from the devices asked for to their values, and from the values by an index to whoever carries
them; CTEs keep a planner from turning it round. A value that thousands share is read once, whoever asks for it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CTE, ColumnElement, Connection, FromClause, Row, Select, and_, func, or_, select, true

from api.queries.sql import tables
from api.queries.sql.filters import Condition
from api.queries.sql.keys import Key, key_rows, lists_by_place
from api.queries.sql.scope import scope_of

device = tables.device
version = tables.device_version

MOST = 9
"""Twins that are told of a device."""

KIN = 3
"""Carriers that are no twins: the device itself, whom it took over from, and who took over from it."""

Values = Mapping[str, ColumnElement[Any]]


class Twin(NamedTuple):
    id: int
    token_id: int


def imei_twins(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (id, token_id) of other unburned devices of the contract that carry the device's IMEI, at most nine."""
    values = {
        "contract": device.c.contract,
        "key": version.c.imei_key,
        "text": func.replace(func.replace(version.c.imei, " ", ""), "-", ""),
    }
    return _alike(connection, keys, values, _unburned(version))


def serial_number_twins(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (id, token_id) of the manufacturer's other devices that carry the same serial number, at most nine."""
    values = {
        "manufacturer": version.c.manufacturer_id,
        "key": version.c.serial_number_key,
        "text": version.c.serial_number,
    }
    return _alike(connection, keys, values, true())


def address_twins(connection: Connection, keys: Sequence[Key]) -> list[list[Twin]]:
    """Returns other devices that held an address of the device while it did, at most nine."""
    scope = scope_of(key_rows(connection, keys))
    held = (
        select(
            *(scope.keys.c[name] for name in ("place", "chain_id", "id", "position")),
            *(version.c[name] for name in ("address", "valid_from", "valid_to", "predecessor_id")),
        )
        .select_from(scope.keys.join(version, version.c.device_id == scope.id))
        .where(scope.began(version), version.c.address.is_not(None), _unburned(version))
        .order_by(scope.keys.c.place, version.c.valid_from)
    )
    holders = _holders(connection, held)
    found: list[dict[int, Twin]] = [{} for _ in keys]
    # here and not in SQL: whoever holds an address is read once, and a search ends with the ninth twin
    for span in connection.execute(held):
        twins = found[span.place]
        for holder in holders[span.chain_id, span.address]:
            if len(twins) == MOST:
                break
            if _met(span, holder):
                twins[holder.device_id] = Twin(holder.device_id, holder.token_id)
    return [sorted(twins.values()) for twins in found]


def _holders(connection: Connection, held: Select[Any]) -> Mapping[tuple[int, bytes], Sequence[Row[Any]]]:
    """Returns the spans of all who ever held one of the addresses, by chain and address, in order of device."""
    spans = held.order_by(None).subquery("spans")
    wanted = _materialized(select(spans.c.chain_id, spans.c.address).distinct(), "wanted")
    of_address = and_(version.c.chain_id == wanted.c.chain_id, version.c.address == wanted.c.address)
    of_device = and_(device.c.chain_id == version.c.chain_id, device.c.id == version.c.device_id)
    query = (
        select(device.c.token_id, *(version.c[name] for name in HELD))
        .select_from(wanted.join(version, of_address).join(device, of_device))
        .where(_unburned(version))
        .order_by(version.c.device_id, version.c.valid_from)
    )
    holders: dict[tuple[int, bytes], list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        holders[row.chain_id, row.address].append(row)
    return holders


HELD = ("chain_id", "device_id", "address", "valid_from", "valid_to", "predecessor_id")


def _met(span: Row[Any], holder: Row[Any]) -> bool:
    """Tells whether another device, and none that took over from it or it from that, held the address meanwhile."""
    return (
        holder.valid_from <= span.position
        and holder.valid_from < span.valid_to
        and span.valid_from < holder.valid_to
        and holder.device_id not in (span.id, span.predecessor_id)
        and holder.predecessor_id != span.id
    )


def _alike(connection: Connection, keys: Sequence[Key], values: Values, condition: Condition) -> list[list[Row[Any]]]:
    """Returns the other devices with the same values as each key's device."""
    asked = key_rows(connection, keys)
    labelled = [value.label(name) for name, value in values.items()]
    own = _materialized(
        _devices(asked, version.c.device_id == asked.c.id).add_columns(
            asked.c.place, asked.c.position, version.c.predecessor_id, *labelled
        ),
        "own",
    )
    group = [own.c.chain_id, own.c.position, *(own.c[name] for name in values)]
    wanted = _materialized(select(*group).distinct(), "wanted")
    rank = func.row_number().over(partition_by=list(wanted.c), order_by=version.c.device_id)
    carriers = (
        _devices(wanted, and_(*(values[name] == wanted.c[name] for name in values)), condition)
        .add_columns(*(column.label(column.name) for column in wanted.c if column.name != "chain_id"))
        .add_columns(version.c.predecessor_id, rank.label("rank"))
        .subquery("carriers")
    )
    same = and_(*(carriers.c[column.name] == column for column in group))
    found = (
        select(own.c.place, carriers.c.chain_id, carriers.c.device_id)
        .join_from(own, carriers, same)
        .where(carriers.c.rank <= MOST + KIN, _are_strangers(own, carriers))
    )
    return _told(connection, found.subquery("found"), len(keys))


def _are_strangers(own: FromClause, other: FromClause) -> Condition:
    """They are two devices, and neither took over from the other."""
    return and_(
        other.c.device_id != own.c.device_id,
        other.c.device_id.is_distinct_from(own.c.predecessor_id),
        other.c.predecessor_id.is_distinct_from(own.c.device_id),
    )


def _devices(at: FromClause, *conditions: Condition) -> Select[Any]:
    """Returns the devices as they stand at the chain and position of each row of `at`."""
    in_force = and_(
        version.c.chain_id == at.c.chain_id, version.c.valid_from <= at.c.position, version.c.valid_to > at.c.position
    )
    of_device = and_(device.c.chain_id == version.c.chain_id, device.c.id == version.c.device_id)
    return (
        select(version.c.chain_id, version.c.device_id)
        .select_from(at.join(version, in_force).join(device, of_device))
        .where(*conditions)
    )


def _unburned(versions: FromClause) -> Condition:
    return or_(versions.c.burn_position.is_(None), versions.c.owner.is_not(None))


def _materialized(query: Select[Any], name: str) -> CTE:
    return query.cte(name).prefix_with("MATERIALIZED")


def _told(connection: Connection, found: FromClause, length: int) -> list[list[Row[Any]]]:
    of_device = and_(device.c.chain_id == found.c.chain_id, device.c.id == found.c.device_id)
    rank = func.row_number().over(partition_by=found.c.place, order_by=found.c.device_id).label("rank")
    ranked = select(found.c.place, device.c.id, device.c.token_id, rank).join_from(found, device, of_device).subquery()
    query = select(ranked).where(ranked.c.rank <= MOST).order_by(ranked.c.place, ranked.c.rank)
    return lists_by_place(connection, query, length)
