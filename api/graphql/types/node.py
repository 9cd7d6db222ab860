"""The interface of all objects that have an id."""

from typing import Any

import strawberry

from api.graphql.paging.tokens import NodeId, write_id
from api.graphql.plan.fields import value


@strawberry.interface(
    description="An object with a global id. The id of an object that was read under `asOf`, or in a page of a list at "
    "a block that is no longer the newest, includes that block, so that a client's cache keeps past and present apart; "
    "to compare devices, compare `tokenDID`."
)
class Node:
    id: strawberry.ID = strawberry.field(
        description="The global id of the object, for `node` and `nodes` and for client caches. Opaque."
    )


def node_id(make: Any, *cells: str) -> Any:
    """Declares the id of a type: `make` returns its content from the pin and these cells."""

    def write(*values: Any) -> str:
        id: NodeId = make(*values)
        return write_id(id)

    return value(
        "The global id of the object, for `node` and `nodes` and for client caches. Opaque.", write, "pin", *cells
    )
