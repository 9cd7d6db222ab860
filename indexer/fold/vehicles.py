"""Vehicles and synthetic devices: mints, owners, definitions and attributes. Ownership comes from transfers alone."""

from collections.abc import Mapping
from typing import assert_never

from indexer.changes import GrantSubject
from indexer.fold import grants
from indexer.fold.license_tokens import holder_of
from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_changes import RowChanges
from schema.events import (
    ZERO_ADDRESS,
    SyntheticDeviceAttributeSet,
    SyntheticDeviceBurned,
    SyntheticDeviceFact,
    SyntheticDeviceMinted,
    SyntheticDeviceTransferred,
    VehicleAttributeSet,
    VehicleBurned,
    VehicleDefinitionSet,
    VehicleFact,
    VehicleMinted,
    VehicleTransferred,
)
from schema.profile.model import GrantPolicy
from schema.tables import rows
from schema.tables.rows import EventReading, SyntheticDeviceVersion, VehicleVersion
from schema.tables.values import text_key, uint256_bytes

TokenVersion = VehicleVersion | SyntheticDeviceVersion
Policies = Mapping[str, GrantPolicy]


def apply_to_vehicle(changes: RowChanges, policies: Policies, located: LocatedFact, fact: VehicleFact) -> int:
    """Applies the fact and returns the vehicle."""
    vehicle = changes.vehicle(located, fact.vehicle_id)
    match fact:
        case VehicleMinted():
            version = changes.vehicle_version.change(vehicle, located.position)
            _mint(version, located)
            if fact.manufacturer_id is not None:
                version.manufacturer_id = changes.manufacturer(located, fact.manufacturer_id)
            if fact.definition_id is not None:
                _define(version, fact.definition_id)
        case VehicleTransferred():
            burns = _transfer(changes.vehicle_version.change(vehicle, located.position), located, fact)
            grants.void(changes, policies, located, "vehicle", GrantSubject(vehicle_id=vehicle), burns=burns)
        case VehicleAttributeSet():
            _set_vehicle_attribute(changes, located, fact, vehicle)
        case VehicleDefinitionSet():
            _define(changes.vehicle_version.change(vehicle, located.position), fact.definition_id)
        case VehicleBurned():
            pass  # the transfer to zero that comes with it burns the vehicle
        case _:
            assert_never(fact)
    return vehicle


def apply_to_synthetic_device(
    changes: RowChanges, policies: Policies, located: LocatedFact, fact: SyntheticDeviceFact, reading: EventReading
) -> None:
    """Applies the fact. The reading gets the ids of the synthetic device, and of the vehicle that the fact names."""
    reading.synthetic_device_id = device = changes.synthetic_device(located, fact.synthetic_device_id)
    if isinstance(fact, SyntheticDeviceMinted | SyntheticDeviceBurned) and fact.vehicle_id:
        reading.vehicle_id = changes.vehicle(located, fact.vehicle_id)
    match fact:
        case SyntheticDeviceMinted():
            version = changes.synthetic_device_version.change(device, located.position)
            _mint(version, located)
            version.vehicle_id = reading.vehicle_id
            version.address = None if fact.address is None else holder_of(fact.address)
            version.connection_id = None if fact.connection_id is None else uint256_bytes(fact.connection_id)
        case SyntheticDeviceTransferred():
            burns = _transfer(changes.synthetic_device_version.change(device, located.position), located, fact)
            subject = GrantSubject(synthetic_device_id=device)
            grants.void(changes, policies, located, "synthetic_device", subject, burns=burns)
        case SyntheticDeviceAttributeSet():
            _set_synthetic_device_attribute(changes, located, fact, device)
        case SyntheticDeviceBurned():
            pass  # the transfer to zero that comes with it burns the synthetic device
        case _:
            assert_never(fact)


def _mint(version: TokenVersion, located: LocatedFact) -> None:
    version.mint_position, version.minted_at = located.position, located.block_time


def _transfer(
    version: TokenVersion, located: LocatedFact, fact: VehicleTransferred | SyntheticDeviceTransferred
) -> bool:
    """Changes the owner. Returns whether the transfer is the burn; a transfer from zero ends an earlier burn."""
    version.owner = holder_of(fact.recipient)
    burns = fact.recipient == ZERO_ADDRESS
    version.burn_position = located.position if burns else None
    version.burned_at = located.block_time if burns else None
    return burns


def _define(version: VehicleVersion, definition_id: str) -> None:
    version.definition_id = definition_id or None
    version.definition_id_key = text_key(definition_id)


def _set_vehicle_attribute(changes: RowChanges, located: LocatedFact, fact: VehicleAttributeSet, vehicle: int) -> None:
    key = (vehicle, fact.attribute)
    if key in changes.vehicle_attribute.open:
        changes.vehicle_attribute.end(key, located.position)
    if fact.value:
        name, name_key = fact.attribute, text_key(fact.attribute)
        changes.vehicle_attribute.start(
            key, rows.VehicleAttribute(vehicle, located.position, name, name_key, fact.value)
        )


def _set_synthetic_device_attribute(
    changes: RowChanges, located: LocatedFact, fact: SyntheticDeviceAttributeSet, device: int
) -> None:
    key = (device, fact.attribute)
    if key in changes.synthetic_device_attribute.open:
        changes.synthetic_device_attribute.end(key, located.position)
    if fact.value:
        name, name_key = fact.attribute, text_key(fact.attribute)
        changes.synthetic_device_attribute.start(
            key, rows.SyntheticDeviceAttribute(device, located.position, name, name_key, fact.value)
        )
