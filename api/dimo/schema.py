"""The schema of `/query`, executed as that of `/graphql` is."""

from strawberry.types.base import StrawberryObjectDefinition

from api.dimo.roots import Query
from api.dimo.vocabulary import DIMO_SCALARS
from api.graphql.limits import Limits
from api.graphql.schema import CachedNames, Schema, make_schema

NAMES = {
    "PrivilegeConnection": "PrivilegesConnection",
    "EarningConnection": "EarningsConnection",
    "EarningEdge": "EarningsEdge",
}
"""What DIMO's API calls some connections and edges, by their regular names."""


class DimoNames(CachedNames):
    """The names of DIMO's API where they are not regular."""

    def from_generic(self, object_type: StrawberryObjectDefinition, types: list[object]) -> str:  # type: ignore[override]
        name = super().from_generic(object_type, types)  # type: ignore[arg-type]
        return NAMES.get(name, name)


def build_dimo_schema(*, introspection: bool = True, limits: Limits | None = None, compiled: bool = True) -> Schema:
    """Returns the schema. Without `introspection`, introspection queries are refused."""
    return make_schema(
        Query,
        names=DimoNames(),
        scalars=DIMO_SCALARS,
        introspection=introspection,
        limits=limits,
        compiled=compiled,
    )
