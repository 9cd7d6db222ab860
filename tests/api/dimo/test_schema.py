"""The schema of /query is that of DIMO's identity API, but for exceptions with reasons."""

import json
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
    is_scalar_type,
    specified_scalar_types,
)
from strawberry.printer import print_schema

from api.dimo.schema import build_dimo_schema

HERE = Path(__file__).parent
FACTS = json.loads((HERE / "identity-api-0.6.7.json").read_text())["types"]
KINDS = {
    GraphQLObjectType: "type",
    GraphQLInputObjectType: "input",
    GraphQLInterfaceType: "interface",
    GraphQLEnumType: "enum",
}


def lines_of_facts() -> set[str]:
    """Returns the facts, a line each."""
    lines: set[str] = set()
    for name, type_ in FACTS.items():
        lines.add(f"{name} is {type_['kind']}{' @oneOf' * bool(type_.get('oneOf'))} {type_.get('implements', [])}")
        for field, fact in type_.get("fields", {}).items():
            if isinstance(fact, str):
                lines.add(f"{name}.{field}: {fact}")
                continue
            lines.add(f"{name}.{field}: {fact['type']}{' @deprecated' * bool(fact.get('deprecated'))}")
            lines |= {f"{name}.{field}({argument}: {of})" for argument, of in (fact.get("args") or {}).items()}
    return lines


def lines_of_schema() -> set[str]:
    """Returns the schema in the form of the facts."""
    schema = build_schema(print_schema(build_dimo_schema()))
    lines: set[str] = set()
    for name, type_ in schema.type_map.items():
        if name.startswith("__") or type_ in specified_scalar_types.values():
            continue
        lines.add(described(name, type_))
        for field, definition in getattr(type_, "fields", {}).items():
            is_deprecated = getattr(definition, "deprecation_reason", None) is not None
            lines.add(f"{name}.{field}: {definition.type}{' @deprecated' * is_deprecated}")
            arguments: dict[str, Any] = getattr(definition, "args", {})
            lines |= {f"{name}.{field}({argument}: {of.type})" for argument, of in arguments.items()}
    return lines


def described(name: str, type_: GraphQLNamedType) -> str:
    if is_scalar_type(type_):
        return f"{name} is scalar []"
    interfaces = [interface.name for interface in getattr(type_, "interfaces", ())]
    directives = type_.ast_node.directives if type_.ast_node and type_.ast_node.directives else ()
    is_one_of = any(directive.name.value == "oneOf" for directive in directives)
    return f"{name} is {KINDS[type(type_)]}{' @oneOf' * is_one_of} {interfaces}"


def test_the_schema_differs_by_the_exceptions_alone() -> None:
    text = (HERE / "exceptions.txt").read_text().splitlines()
    exceptions = {line.partition(" # ")[0] for line in text if line and not line.startswith("#")}
    assert all(" # " in line for line in text if line and not line.startswith("#"))
    facts, schema = lines_of_facts(), lines_of_schema()
    names = {line.split(":")[0] for line in exceptions}
    assert schema - facts == exceptions
    assert {line for line in facts - schema if line.split(":")[0] not in names} == set()
