"""A breaking change of the released schema is refused, unless schema/breaking.txt explains it."""

import tomllib

import pytest
from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
)

from api.graphql.schema import sdl
from tests.support.chain.devchain import REPOSITORY

RELEASED = (REPOSITORY / "schema" / "released.graphql").read_text()
DECLARED = (REPOSITORY / "schema" / "breaking.txt").read_text()
CHANGES_ANSWERS = ("ARG_DEFAULT_VALUE_CHANGE",)
"""What graphql-core calls merely dangerous, though the same query is answered differently."""


def breaks(before: GraphQLSchema, after: GraphQLSchema) -> set[str]:
    """Returns the changes between two schemas that break clients, one line each."""
    changes = [(change.type.name, change.description) for change in find_breaking_changes(before, after)]
    dangers = [(change.type.name, change.description) for change in find_dangerous_changes(before, after)]
    changes += [(name, description) for name, description in dangers if name in CHANGES_ANSWERS]
    return {f"{name} {description}" for name, description in changes}


def declared(text: str) -> dict[str, str]:
    """Returns declared breaks with their reasons."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {change.strip(): reason.strip() for change, _, reason in (line.partition(" # ") for line in lines)}


def test_nothing_that_clients_rely_on_breaks_undeclared() -> None:
    broken, allowed = breaks(build_schema(RELEASED), build_schema(sdl())), declared(DECLARED)
    assert sorted(broken - set(allowed)) == [], (
        "clients of the released schema would break. Keep what they use, with @deprecated if it shall go; "
        "or write the line into schema/breaking.txt, and behind ' # ' why"
    )
    assert sorted(set(allowed) - broken) == [], "schema/breaking.txt declares what does not break: remove it"
    assert [change for change, reason in allowed.items() if not reason] == [], "declared without a reason"


def test_a_field_that_goes_from_the_schema_is_refused() -> None:
    schema = build_schema(sdl())
    device = schema.type_map["Device"]
    assert isinstance(device, GraphQLObjectType)
    del device.fields["serialNumber"]
    assert breaks(build_schema(RELEASED), schema) - set(declared(DECLARED)) == {
        "FIELD_REMOVED Field Device.serialNumber was removed."
    }


def test_the_released_schema_is_of_this_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert RELEASED.startswith(f"# certindex {version}\n"), (
        f"a release of {version} promises its own schema: write '# certindex {version}' and what certindex-api schema "
        "prints into schema/released.graphql, and empty schema/breaking.txt"
    )


SMALL = """
interface Node { id: ID! }
type Device implements Node { id: ID!, mintedAt: String!, tests(first: Int = 20, kind: Kind): [Int!]! }
enum Kind { MECHANICAL QUALITY }
input Filter { imei: String }
type Query { device(by: Filter): Device }
"""


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        ("mintedAt: String!,", "", "FIELD_REMOVED"),
        ("mintedAt: String!", "mintedAt: String", "FIELD_CHANGED_KIND"),
        ("mintedAt: String!", "mintedAt: Int!", "FIELD_CHANGED_KIND"),
        ("implements Node", "", "IMPLEMENTED_INTERFACE_REMOVED"),
        (", kind: Kind", "", "ARG_REMOVED"),
        ("kind: Kind", "kind: Kind!", "ARG_CHANGED_KIND"),
        ("by: Filter", "by: Filter, chainId: Int!", "REQUIRED_ARG_ADDED"),
        ("first: Int = 20", "first: Int = 50", "ARG_DEFAULT_VALUE_CHANGE"),
        ("QUALITY", "", "VALUE_REMOVED_FROM_ENUM"),
        ("imei: String", "imei: String, serial: String!", "REQUIRED_INPUT_FIELD_ADDED"),
    ],
)
def test_what_breaks_a_client_is_found(old: str, new: str, refusal: str) -> None:
    assert old in SMALL
    changes = breaks(build_schema(SMALL), build_schema(SMALL.replace(old, new)))
    assert any(line.startswith(f"{refusal} ") for line in changes), changes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mintedAt: String!", "mintedAt: String!, colour: String"),
        ("mintedAt: String!", 'mintedAt: String! @deprecated(reason: "ask for mint")'),
        ("by: Filter", "by: Filter, chainId: Int"),
        ("imei: String", "imei: String, serial: String"),
    ],
)
def test_what_is_added_or_deprecated_breaks_no_client(old: str, new: str) -> None:
    assert breaks(build_schema(SMALL), build_schema(SMALL.replace(old, new))) == set()


def test_a_declared_break_is_one_line_with_its_reason() -> None:
    text = "# a heading\n\nFIELD_REMOVED Field Device.tint was removed. # `colour` replaces it\n"
    assert declared(text) == {"FIELD_REMOVED Field Device.tint was removed.": "`colour` replaces it"}
