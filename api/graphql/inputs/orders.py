"""The orders of lists. Every order ends in a position, so that it is total."""

from enum import Enum
from typing import cast

import strawberry


def told(value: str, description: str) -> str:
    """Returns the value of an enum's member with its description."""
    # an enum's member is what Strawberry makes of this, and no definition
    return cast(str, strawberry.enum_value(value, description=description))


@strawberry.enum(description="The direction of an order; what is absent comes last in both.")
class OrderDirection(Enum):
    ASC = told("ASC", "Least, oldest or first by code point first.")
    DESC = told("DESC", "Greatest, newest or last by code point first.")


@strawberry.enum(description="What devices are ordered by.")
class DeviceOrderField(Enum):
    MINTED_AT = told("MINTED_AT", "Block time of the mint.")
    TOKEN_ID = told("TOKEN_ID", "The device's number in its contract.")
    SERIAL_NUMBER = told("SERIAL_NUMBER", "The first 128 characters of the serial number.")
    MANUFACTURED_AT = told("MANUFACTURED_AT", "Manufacturing date.")
    LAST_UPDATED_AT = told("LAST_UPDATED_AT", "Block time of the latest event.")


@strawberry.enum(description="What manufacturers are ordered by.")
class ManufacturerOrderField(Enum):
    TOKEN_ID = told("TOKEN_ID", "The manufacturer id.")
    NAME = told("NAME", "The first 128 characters of the name.")


@strawberry.enum(description="What events are ordered by.")
class LifecycleEventOrderField(Enum):
    POSITION = told("POSITION", "Block, transaction, log: the order in which things were recorded.")
    EVENT_TIME = told("EVENT_TIME", "When the emitter says it happened, then position.")


@strawberry.input(description="An order of devices.")
class DeviceOrder:
    field: DeviceOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(description="In which direction.")

    @property
    def descends(self) -> bool:
        return self.direction is OrderDirection.DESC


@strawberry.input(description="An order of manufacturers.")
class ManufacturerOrder:
    field: ManufacturerOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(description="In which direction.")

    @property
    def descends(self) -> bool:
        return self.direction is OrderDirection.DESC


@strawberry.input(description="An order of events.")
class LifecycleEventOrder:
    field: LifecycleEventOrderField = strawberry.field(description="By what.")
    direction: OrderDirection = strawberry.field(description="In which direction.")

    @property
    def descends(self) -> bool:
        return self.direction is OrderDirection.DESC


NEWEST_FIRST = DeviceOrder(field=DeviceOrderField.MINTED_AT, direction=OrderDirection.DESC)
BY_MANUFACTURER_ID = ManufacturerOrder(field=ManufacturerOrderField.TOKEN_ID, direction=OrderDirection.ASC)
OLDEST_FIRST = LifecycleEventOrder(field=LifecycleEventOrderField.POSITION, direction=OrderDirection.ASC)
