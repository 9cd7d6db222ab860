"""The interface of all objects that have an id."""

import strawberry

from api.graphql.paging.tokens import NodeId, write_id
from api.graphql.vocabulary.fields import field


@strawberry.interface(
    description="One object, addressable by id. Read under an explicit `asOf` the id carries that block as well, so "
    "that a client's cache keeps past and present apart; compare devices by `tokenDID`."
)
class Node:
    @field("Names this object, for `node` and for caches. Opaque.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(write_id(self.node_id()))

    def node_id(self) -> NodeId:
        """Returns the content of the id."""
        raise NotImplementedError
