"""The orders of lists. Every order ends with a unique position, so it is total."""

from enum import Enum
from typing import Generic, TypeVar

import strawberry

from api.graphql.vocabulary.fields import enum_value

FieldT = TypeVar("FieldT", bound=Enum)


@strawberry.enum(description="The direction of an order. Null values come last in both directions.")
class OrderDirection(Enum):
    ASC = enum_value("ASC", "Ascending: the least, the oldest, or the first by code point comes first.")
    DESC = enum_value("DESC", "Descending: the greatest, the newest, or the last by code point comes first.")


@strawberry.enum(description="A field by which devices are ordered.")
class DeviceOrderField(Enum):
    MINTED_AT = enum_value("MINTED_AT", "The block time of the mint.")
    TOKEN_ID = enum_value("TOKEN_ID", "The token id of the device in its contract.")
    SERIAL_NUMBER = enum_value("SERIAL_NUMBER", "The first 128 characters of the serial number.")
    MANUFACTURED_AT = enum_value("MANUFACTURED_AT", "The manufacturing date.")
    LAST_UPDATED_AT = enum_value("LAST_UPDATED_AT", "The block time of the latest event.")


@strawberry.enum(description="A field by which manufacturers are ordered.")
class ManufacturerOrderField(Enum):
    TOKEN_ID = enum_value("TOKEN_ID", "The manufacturer id.")
    NAME = enum_value("NAME", "The first 128 characters of the name.")


@strawberry.enum(description="A field by which events are ordered.")
class LifecycleEventOrderField(Enum):
    POSITION = enum_value("POSITION", "Block, transaction, log: the order in which the chain recorded the events.")
    EVENT_TIME = enum_value("EVENT_TIME", "The time at which it happened according to the emitter, then the position.")


@strawberry.enum(description="A field by which vehicles and synthetic devices are ordered.")
class TokenOrderField(Enum):
    MINTED_AT = enum_value("MINTED_AT", "The block time of the mint.")
    TOKEN_ID = enum_value("TOKEN_ID", "The token id in the contract.")


@strawberry.input
class FieldOrder(Generic[FieldT]):
    """The base of the orders: a field of the list, and a direction."""

    field: FieldT = strawberry.field(description="The field to order by.")
    direction: OrderDirection = strawberry.field(description="The direction of the order.")

    @property
    def key(self) -> tuple[str, bool]:
        """The key of the order among those of the listing: the field's name, and whether it is descending."""
        return self.field.name, self.direction is OrderDirection.DESC


@strawberry.input(description="An order of devices.")
class DeviceOrder(FieldOrder[DeviceOrderField]):
    pass


@strawberry.input(description="An order of manufacturers.")
class ManufacturerOrder(FieldOrder[ManufacturerOrderField]):
    pass


@strawberry.input(description="An order of vehicles or of synthetic devices.")
class TokenOrder(FieldOrder[TokenOrderField]):
    pass


@strawberry.input(description="An order of events.")
class LifecycleEventOrder(FieldOrder[LifecycleEventOrderField]):
    pass


NEWEST_FIRST = DeviceOrder(field=DeviceOrderField.MINTED_AT, direction=OrderDirection.DESC)
BY_MANUFACTURER_ID = ManufacturerOrder(field=ManufacturerOrderField.TOKEN_ID, direction=OrderDirection.ASC)
NEWEST_TOKEN_FIRST = TokenOrder(field=TokenOrderField.MINTED_AT, direction=OrderDirection.DESC)
OLDEST_FIRST = LifecycleEventOrder(field=LifecycleEventOrderField.POSITION, direction=OrderDirection.ASC)
