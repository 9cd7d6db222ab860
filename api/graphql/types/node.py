"""The interface of all objects that have an id."""

from typing import Any

import strawberry

from api.graphql.paging.tokens import NodeId, write_id
from api.graphql.vocabulary.fields import field
from api.queries.sql.as_of import Pin


@strawberry.interface(
    description="An object with a global id. The id of an object that was read under `asOf`, or in a page of a list at "
    "a block that is no longer the newest, includes that block, so that a client's cache keeps past and present apart; "
    "to compare devices, compare `tokenDID`."
)
class Node:
    row: strawberry.Private[Any]
    pin: strawberry.Private[Pin]

    @field("The global id of the object, for `node` and `nodes` and for client caches. Opaque.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(write_id(self.node_id()))

    def node_id(self) -> NodeId:
        """Returns the content of the id."""
        raise NotImplementedError
