"""The printed schema is complete and documented."""

import re
from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from api.graphql.schema import sdl
from tests.support.chain.devchain import REPOSITORY

COMMITTED = REPOSITORY / "schema" / "schema.graphql"
SCHEMA = build_schema(sdl())
OWN = [
    type
    for name, type in sorted(SCHEMA.type_map.items())
    if not name.startswith("__") and name not in ("ID", "Int", "String", "Boolean", "Float")
]


def test_the_committed_schema_is_the_running_one() -> None:
    assert COMMITTED.read_text() == sdl(), "print it again: certindex-api schema > schema/schema.graphql"


@pytest.mark.parametrize("type", OWN, ids=lambda type: type.name)
def test_everything_is_documented(type: GraphQLNamedType) -> None:
    assert list(undocumented(type)) == []


def undocumented(type: GraphQLNamedType) -> list[str]:
    names = [] if type.description else [type.name]
    match type:
        case GraphQLEnumType():
            names += [f"{type.name}.{name}" for name, value in type.values.items() if not value.description]
        case GraphQLInputObjectType():
            names += [f"{type.name}.{name}" for name, field in type.fields.items() if not field.description]
        case GraphQLObjectType() | GraphQLInterfaceType():
            for name, field in type.fields.items():
                names += [] if field.description else [f"{type.name}.{name}"]
                names += [
                    f"{type.name}.{name}({arg}:)" for arg, arg_value in field.args.items() if not arg_value.description
                ]
    return names


@pytest.mark.parametrize("type", OWN, ids=lambda type: type.name)
def test_every_list_of_objects_outside_a_connection_states_its_limit(type: GraphQLNamedType) -> None:
    if isinstance(type, GraphQLObjectType | GraphQLInterfaceType) and not type.name.endswith("Connection"):
        lists = {
            name: field.description or ""
            for name, field in type.fields.items()
            if is_list_type(get_nullable_type(field.type)) and is_composite_type(get_named_type(field.type))
        }
        assert [name for name, text in lists.items() if not re.search(r"at most [\d,]+", text, re.IGNORECASE)] == []


def test_what_is_not_documented_is_found() -> None:
    bare = build_schema(
        '''type Bare { field(argument: Int): Int }
        """Described.""" type Device { """Described.""" described(bare: Int): Int, bare: Int }
        """Described.""" enum Kind { """Described.""" DESCRIBED BARE }
        """Described.""" input Filter { bare: Int }'''
    )
    assert {name: undocumented(bare.type_map[name]) for name in ("Bare", "Device", "Kind", "Filter")} == {
        "Bare": ["Bare", "Bare.field", "Bare.field(argument:)"],
        "Device": ["Device.described(bare:)", "Device.bare"],
        "Kind": ["Kind.BARE"],
        "Filter": ["Filter.bare"],
    }


def test_no_argument_and_no_input_field_defaults_to_null() -> None:
    assert "= null" not in sdl()


def test_what_has_a_default_may_be_null() -> None:
    """Code generators make an argument required if its type is non-null, and clients set variables to null."""
    required = [
        f"{type.name}.{name}"
        for type in OWN
        for name, input in inputs(type)
        if isinstance(input.type, GraphQLNonNull) and not is_required(input)
    ]
    assert required == []


def inputs(type: GraphQLNamedType) -> Iterator[tuple[str, GraphQLArgument | GraphQLInputField]]:
    match type:
        case GraphQLInputObjectType():
            yield from type.fields.items()
        case GraphQLObjectType() | GraphQLInterfaceType():
            for field in type.fields.values():
                yield from field.args.items()


def is_required(input: GraphQLArgument | GraphQLInputField) -> bool:
    return is_required_argument(input) if isinstance(input, GraphQLArgument) else is_required_input_field(input)


def test_every_scalar_says_where_it_is_specified() -> None:
    scalars = {type.name: type.specified_by_url for type in OWN if isinstance(type, GraphQLScalarType)}
    assert set(scalars) == {"BigInt", "Long", "Address", "Bytes", "Bytes32", "DateTime"}
    assert all(scalars.values())


@pytest.mark.parametrize("name", ["DeviceBy", "ManufacturerBy", "HardwareLicenseBy", "AsOf"])
def test_a_look_up_takes_exactly_one_key(name: str) -> None:
    type = SCHEMA.type_map[name]
    assert isinstance(type, GraphQLInputObjectType)
    assert type.is_one_of


@pytest.mark.parametrize(
    ("type", "field"),
    [
        ("Device", "tokenDID"),
        ("Device", "devEUI"),
        ("Authorization", "agreementURI"),
        ("TestRecorded", "reportURI"),
        ("EndOfLifeRecorded", "evidenceURI"),
        ("DeviceAddress", "from"),
        ("StringFilter", "in"),
        ("StringFilter", "notIn"),
        ("DeviceFilter", "not"),
        ("Query", "_meta"),
    ],
)
def test_names_that_case_rules_would_spoil_are_spelled_out(type: str, field: str) -> None:
    named = SCHEMA.type_map[type]
    assert isinstance(named, GraphQLObjectType | GraphQLInputObjectType)
    assert field in named.fields


def test_every_connection_is_relays() -> None:
    connections = [type for type in OWN if type.name.endswith("Connection")]
    assert len(connections) > 8
    for type in connections:
        assert isinstance(type, GraphQLObjectType)
        node = type.name.removesuffix("Connection")
        fields = {name: str(field.type) for name, field in type.fields.items()}
        assert fields == {
            "edges": f"[{node}Edge!]!",
            "nodes": f"[{node}!]!",
            "pageInfo": "PageInfo!",
            "totalCount": "Int!",
        }
