"""Imports point one way: schema <- indexer, schema <- api; and each foreign library has its place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PRODUCT = ("schema", "indexer", "api")

# package -> what it must not import
FORBIDDEN = {
    "schema": {"indexer", "api", "scripts", "tests"},
    "indexer": {"api", "scripts", "tests"},
    "api": {"indexer", "scripts", "tests"},
}
# library or name -> the only places that may import it
AT_HOME = {
    "aiohttp": ("indexer/rpc",),
    "web3": ("indexer/rpc",),
    "strawberry": ("api/graphql", "api/reading/batching.py"),
    "apscheduler": ("indexer/follower",),
    "sqlalchemy.insert": ("indexer/store",),
    "sqlalchemy.update": ("indexer/store",),
    "sqlalchemy.delete": ("indexer/store",),
    "sqlmodel.insert": ("indexer/store",),
    "sqlmodel.update": ("indexer/store",),
    "sqlmodel.delete": ("indexer/store",),
}


@pytest.mark.parametrize("package", PRODUCT)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for name, line in imported(path.read_text())
        if name.split(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("library", AT_HOME)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    wrong = [
        f"{place}:{line} imports {name}; it belongs to {', '.join(AT_HOME[library])}"
        for package in PRODUCT
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if not (place := path.relative_to(REPOSITORY).as_posix()).startswith(AT_HOME[library])
        for name, line in imported(path.read_text())
        if f"{name}.".startswith(f"{library}.")
    ]
    assert wrong == []


def test_no_test_imports_another_test() -> None:
    """What tests share is in tests/support, or a fixture of a conftest.py."""
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for package in ("tests", "scripts")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for name, line in imported(path.read_text())
        if name.startswith("tests.") and ".test_" in name
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import indexer.sync as sync", {"indexer.sync"}),
        ("from api.graphql import types", {"api.graphql", "api.graphql.types"}),
        ("def late():\n    from sqlalchemy import insert", {"sqlalchemy", "sqlalchemy.insert"}),
        ("from . import neighbour", set()),
        ('importlib.import_module("api.app")', {"api.app"}),
    ],
)
def test_every_way_to_import_is_seen(source: str, names: set[str]) -> None:
    assert {name for name, _ in imported(source)} == names


def imported(source: str) -> Iterator[tuple[str, int]]:
    """Yield every absolute name that a module imports, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((name.name, node.lineno) for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield module, node.lineno
                yield from ((f"{module}.{name.name}", node.lineno) for name in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="__import__" | "import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name, node.lineno
