"""The schema, its limits, and the documents that it has validated."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache

import strawberry
from graphql import ASTValidationRule, NoSchemaIntrospectionCustomRule, specified_rules
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

from api.graphql.limits import Limits
from api.graphql.plan.documents import DocumentCache
from api.graphql.plan.resolving import install_resolvers
from api.graphql.roots.query import Query
from api.graphql.roots.subscriptions import Subscription
from api.graphql.types.events import EVENT_TYPES
from api.graphql.vocabulary.scalars import SCALARS


class CachedNames(NameConverter):
    """Caches the GraphQL names of Python names: Strawberry converts them for each argument of each request."""

    @lru_cache(maxsize=1024)  # noqa: B019  # there is one converter, which lives as long as the process
    def from_field(self, field: StrawberryField) -> str:
        return super().from_field(field)


class Schema(strawberry.Schema):
    """The schema, its limits, the rules of its validation, and its valid documents. If it `compiles`, plans are made.

    `fallbacks` counts the requests whose plan gave up, by reason.
    """

    limits: Limits
    rules: tuple[type[ASTValidationRule], ...]
    documents: DocumentCache
    fallbacks: Counter[str]
    compiles: bool


def build_schema(*, introspection: bool = True, limits: Limits | None = None, compiled: bool = True) -> Schema:
    """Returns the schema. Without `introspection`, introspection queries are refused."""
    return make_schema(
        Query,
        subscription=Subscription,
        types=EVENT_TYPES,
        names=CachedNames(),
        scalars=SCALARS,
        introspection=introspection,
        limits=limits,
        compiled=compiled,
    )


def make_schema(
    query: type,
    *,
    subscription: type | None = None,
    types: Iterable[type] = (),
    names: NameConverter,
    scalars: Mapping[object, ScalarDefinition],
    introspection: bool,
    limits: Limits | None,
    compiled: bool,
) -> Schema:
    """Returns a schema of types whose fields are declared by `plan.fields`."""
    schema = Schema(
        query=query,
        subscription=subscription,
        types=types,
        config=StrawberryConfig(scalar_map=dict(scalars), name_converter=names),
    )
    schema.limits, schema.documents, schema.compiles = limits or Limits(), DocumentCache(), compiled
    schema.rules = tuple(specified_rules) + (() if introspection else (NoSchemaIntrospectionCustomRule,))
    schema.fallbacks = Counter()
    install_resolvers(schema)
    return schema


@cache
def sdl() -> str:
    """Returns the schema as SDL."""
    return print_schema(build_schema()) + "\n"
