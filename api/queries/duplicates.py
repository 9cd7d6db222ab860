"""Duplicates: other devices with the same IMEI, serial number or address.

Each statement goes from the requested devices to their values, and from the values by an index to all devices with
them; MATERIALIZED keeps the planner from the opposite order. A value that thousands of devices share is read once.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import CTE, ColumnElement, Connection, FromClause, Row, Select, and_, func, select, true

from api.queries.devices import unburned, without_separators
from api.queries.sql import tables
from api.queries.sql.filters import Condition
from api.queries.sql.keys import Key, key_rows, lists_by_key
from api.queries.sql.scope import in_force, scope_of

device = tables.device
device_keys = tables.device_key

MAX_DUPLICATES = 9
"""The number of duplicates that are returned of one device."""

RELATIVES = 3
"""Devices with the same value that are not duplicates: the device itself, its predecessor and its successor."""

Values = Mapping[str, ColumnElement[Any]]


class Duplicate(NamedTuple):
    id: int
    token_id: int


def imei_duplicates(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (id, token_id) of other unburned devices of the contract with the device's IMEI."""
    values = {
        "contract": device.c.contract,
        "key": device_keys.c.imei_key,
        "text": without_separators(device_keys.c.imei),
    }
    return _duplicates(connection, keys, values, unburned(device_keys))


def serial_number_duplicates(connection: Connection, keys: Sequence[Key]) -> list[list[Row[Any]]]:
    """Returns (id, token_id) of the manufacturer's other devices with the device's serial number."""
    values = {
        "manufacturer": device_keys.c.manufacturer_id,
        "key": device_keys.c.serial_number_key,
        "text": device_keys.c.serial_number,
    }
    return _duplicates(connection, keys, values, true())


def address_duplicates(connection: Connection, keys: Sequence[Key]) -> list[list[Duplicate]]:
    """Returns other devices that had an address of the device at the same time."""
    scope = scope_of(key_rows(connection, keys))
    own_spans = (
        select(
            *(scope.keys.c[name] for name in ("place", "chain_id", "id", "position")),
            *(device_keys.c[name] for name in ("address", "valid_from", "valid_to", "predecessor_id")),
        )
        .select_from(scope.keys.join(device_keys, device_keys.c.device_id == scope.id))
        .where(scope.began(device_keys), device_keys.c.address.is_not(None), unburned(device_keys))
        .order_by(scope.keys.c.place, device_keys.c.valid_from)
    )
    holders = _holders(connection, own_spans)
    duplicates: list[dict[int, Duplicate]] = [{} for _ in keys]
    # not in SQL: the holders of an address are read once, and a search ends with the ninth duplicate
    for span in connection.execute(own_spans):
        of_key = duplicates[span.place]
        for holder in holders[span.chain_id, span.address]:
            if len(of_key) == MAX_DUPLICATES:
                break
            if _overlap(span, holder):
                of_key[holder.device_id] = Duplicate(holder.device_id, holder.token_id)
    return [sorted(of_key.values()) for of_key in duplicates]


def _holders(connection: Connection, own_spans: Select[Any]) -> Mapping[tuple[int, bytes], Sequence[Row[Any]]]:
    """Returns all spans with one of the addresses, by chain and address, in the order of their devices."""
    spans = own_spans.order_by(None).subquery("spans")
    addresses = _materialized(select(spans.c.chain_id, spans.c.address).distinct(), "addresses")
    of_address = and_(device_keys.c.chain_id == addresses.c.chain_id, device_keys.c.address == addresses.c.address)
    query = (
        select(device.c.token_id, *(device_keys.c[name] for name in HOLDER_COLUMNS))
        .select_from(addresses.join(device_keys, of_address).join(device, OF_DEVICE))
        .where(unburned(device_keys))
        .order_by(device_keys.c.device_id, device_keys.c.valid_from)
    )
    holders: dict[tuple[int, bytes], list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        holders[row.chain_id, row.address].append(row)
    return holders


HOLDER_COLUMNS = ("chain_id", "device_id", "address", "valid_from", "valid_to", "predecessor_id")
OF_DEVICE = and_(device.c.chain_id == device_keys.c.chain_id, device.c.id == device_keys.c.device_id)


def _overlap(span: Row[Any], holder: Row[Any]) -> bool:
    """Returns whether a device that is neither predecessor nor successor had the address during the span."""
    return (
        holder.valid_from <= span.position
        and holder.valid_from < span.valid_to
        and span.valid_from < holder.valid_to
        and holder.device_id not in (span.id, span.predecessor_id)
        and holder.predecessor_id != span.id
    )


def _duplicates(
    connection: Connection, keys: Sequence[Key], values: Values, condition: Condition
) -> list[list[Row[Any]]]:
    """Returns the other devices with the same values as each key's device."""
    table = key_rows(connection, keys)
    labeled = [value.label(name) for name, value in values.items()]
    own = _materialized(
        _devices(table, device_keys.c.device_id == table.c.id).add_columns(
            table.c.place, table.c.position, device_keys.c.predecessor_id, *labeled
        ),
        "own",
    )
    group = [own.c.chain_id, own.c.position, *(own.c[name] for name in values)]
    groups = _materialized(select(*group).distinct(), "groups")
    rank = func.row_number().over(partition_by=list(groups.c), order_by=device_keys.c.device_id)
    carriers = (
        _devices(groups, and_(*(values[name] == groups.c[name] for name in values)), condition)
        .add_columns(*(column.label(column.name) for column in groups.c if column.name != "chain_id"))
        .add_columns(device_keys.c.predecessor_id, rank.label("rank"))
        .subquery("carriers")
    )
    same = and_(*(carriers.c[column.name] == column for column in group))
    others = (
        select(own.c.place, carriers.c.chain_id, carriers.c.device_id)
        .join_from(own, carriers, same)
        .where(carriers.c.rank <= MAX_DUPLICATES + RELATIVES, _are_unrelated(own, carriers))
        .subquery("others")
    )
    of_device = and_(device.c.chain_id == others.c.chain_id, device.c.id == others.c.device_id)
    query = select(others.c.place, device.c.id, device.c.token_id).join_from(others, device, of_device)
    return lists_by_key(connection, query, others.c.device_id, MAX_DUPLICATES, len(keys))


def _are_unrelated(own: FromClause, other: FromClause) -> Condition:
    """They are two devices, and neither is the predecessor of the other."""
    return and_(
        other.c.device_id != own.c.device_id,
        other.c.device_id.is_distinct_from(own.c.predecessor_id),
        other.c.predecessor_id.is_distinct_from(own.c.device_id),
    )


def _devices(points: FromClause, *conditions: Condition) -> Select[Any]:
    """Returns the SELECT of devices as they are at the chain and position of each row of `points`."""
    return (
        select(device_keys.c.chain_id, device_keys.c.device_id)
        .select_from(
            points.join(device_keys, in_force(device_keys, points.c.chain_id, points.c.position)).join(
                device, OF_DEVICE
            )
        )
        .where(*conditions)
    )


def _materialized(query: Select[Any], name: str) -> CTE:
    return query.cte(name).prefix_with("MATERIALIZED")
