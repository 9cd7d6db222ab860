"""Other devices that carry what should be one device's own: its IMEI, its serial number, its address."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from api.queries import tables
from api.queries.devices import device_list
from api.queries.filters import Condition
from api.queries.scope import Scope

device = tables.device
version = tables.device_version
own_device = device.alias("own_device")
own = version.alias("own")
held = version.alias("held")
holder = version.alias("holder")


def _of_imei(scope: Scope) -> Condition:
    return and_(
        _others(scope),
        device.c.contract == _own_contract(scope),
        version.c.imei_key == _own(scope, own.c.imei_key),
        _compared(version.c.imei) == _own(scope, _compared(own.c.imei)),
        _unburned(version),
    )


def _of_serial_number(scope: Scope) -> Condition:
    return and_(
        _others(scope),
        version.c.manufacturer_id == _own(scope, own.c.manufacturer_id),
        version.c.serial_number_key == _own(scope, own.c.serial_number_key),
        version.c.serial_number == _own(scope, own.c.serial_number),
    )


def _of_address(scope: Scope) -> Condition:
    """Another device held one of the addresses while this one did."""
    holders = select(holder.c.device_id).where(
        held.c.device_id == scope.id,
        scope.began(held),
        scope.began(holder),
        holder.c.address == held.c.address,
        holder.c.device_id != held.c.device_id,
        holder.c.valid_from < held.c.valid_to,
        held.c.valid_from < holder.c.valid_to,
        _unburned(held),
        _unburned(holder),
    )
    return and_(_others(scope), version.c.device_id.in_(holders.correlate(scope.keys)))


def _others(scope: Scope) -> Condition:
    return version.c.device_id != scope.id


def _own(scope: Scope, column: ColumnElement[Any]) -> ColumnElement[Any]:
    return _scalar(scope, select(column).where(own.c.device_id == scope.id, scope.holds(own)))


def _own_contract(scope: Scope) -> ColumnElement[bytes]:
    mine = and_(own_device.c.chain_id == scope.chain_id, own_device.c.id == scope.id)
    return _scalar(scope, select(own_device.c.contract).where(mine))


def _scalar(scope: Scope, query: Select[Any]) -> ColumnElement[Any]:
    return query.correlate(scope.keys).scalar_subquery()


def _compared(imei: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.replace(func.replace(imei, " ", ""), "-", "")


def _unburned(versions: Any) -> Condition:
    return or_(versions.c.burn_position.is_(None), versions.c.owner.is_not(None))


IMEI_TWINS = device_list("devices of the same IMEI", _of_imei)
SERIAL_NUMBER_TWINS = device_list("devices of the same serial number", _of_serial_number)
ADDRESS_TWINS = device_list("devices of the same address", _of_address)
