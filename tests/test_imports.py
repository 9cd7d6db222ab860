"""Rules of imports: which package may import which, where each foreign library belongs, and no test imports another."""

import ast
from collections.abc import Iterator
from functools import cache
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
# package -> its layers from the top down: a layer imports its own modules and those of the layers below it
LAYERS = {
    "api": (
        *("mcp", "dimo", "epcis", "explorer", "credentials", "exports", "delivery"),
        *("http", "answering", "graphql", "audit", "reading", "queries"),
    ),
    "indexer": (
        *("commands", "follower", "observe", "opening", "registration", "stored_chain", "sync", "verification"),
        *("store", "decode", "chain", "rpc", "check", "fold", "proof"),
    ),
}
LEAVES = {"api.settings", "indexer.changes", "indexer.errors", "indexer.retry", "indexer.settings", "indexer.urls"}
"""Modules outside the layers that every layer may import."""

CIRCLES_IN = ("api.graphql.types.", "api.dimo.")
"""The types of a schema refer to each other: a device has its grants, and a grant its device."""

# layer -> layers that it must not import, though they are below it
APART = {
    "indexer.store": {"indexer.decode", "indexer.fold"},  # what is stored is decided above the store
}

WITHOUT_IO = ("indexer.fold.", "indexer.proof.", "indexer.check.")
"""Layers that only compute: neither they nor what they import reads, writes or waits."""
IO_LIBRARIES = {
    *("aiohttp", "asyncio", "http", "psycopg", "socket", "sqlalchemy", "sqlite3", "sqlmodel", "ssl", "subprocess"),
    *("threading", "urllib.request", "web3", "websockets"),
}
ONLINE = {"indexer.check.trusted", "indexer.check.__main__"}
"""Modules of those layers that get a block's hash from a node, if the user names one."""

# library or name -> the only places that may import it
AT_HOME = {
    "aiohttp": ("indexer/rpc", "api/delivery"),
    "opentelemetry": ("schema/program",),
    "cryptography": ("api/credentials", "api/delivery"),
    "nats": ("api/delivery",),
    "redis": ("api/delivery",),
    "web3": ("indexer/rpc",),
    "strawberry": ("api/graphql", "api/dimo"),
    "apscheduler": ("indexer/follower",),
    "jinja2": ("api/explorer",),
    "segno": ("api/explorer",),
    "pyarrow": ("api/exports",),
    "mcp": ("api/mcp",),
    "rfc8785": ("api/credentials",),
    "sqlalchemy.insert": ("indexer/store", "api/delivery"),
    "sqlalchemy.update": ("indexer/store", "api/delivery"),
    "sqlalchemy.delete": ("indexer/store", "api/delivery"),
    "sqlmodel.insert": ("indexer/store",),
    "sqlmodel.update": ("indexer/store",),
    "sqlmodel.delete": ("indexer/store",),
}


@pytest.mark.parametrize("package", PRODUCT)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for name, line in imports_of(path)
        if name.split(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", LAYERS)
def test_layers_import_those_below_them(package: str) -> None:
    layers = {f"{package}.{layer}": rank for rank, layer in enumerate(LAYERS[package])}
    wrong = [
        f"{module} imports {name}"
        for module, names in graph(package).items()
        for name in names
        if (upper := layer_of(module)) in layers
        and (layers.get(layer_of(name), -1) < layers[upper])
        and name not in LEAVES
    ]
    assert wrong == []


@pytest.mark.parametrize("layer", APART)
def test_layers_that_stay_apart_do_not_import_each_other(layer: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module, names in graph(layer.partition(".")[0]).items()
        for name in names
        if layer_of(module) == layer and layer_of(name) in APART[layer]
    ]
    assert wrong == []


def test_layers_that_only_compute_do_no_io() -> None:
    imports = graph("schema", "indexer")
    computing = [module for module in imports if module.startswith(WITHOUT_IO) and module not in ONLINE]
    assert computing
    io = {
        reached: name
        for reached in {*computing, *(name for module in computing for name in reached_from(module, imports))}
        for name, _ in imports_of(path_of(reached))
        if any(f"{name}.".startswith(f"{library}.") for library in IO_LIBRARIES)
    }
    wrong = {
        f"{module} reaches {io[name]}" for module in computing for name in reached_from(module, imports) & io.keys()
    }
    assert (wrong, io.keys() & set(computing)) == (set(), set())


@pytest.mark.parametrize("package", PRODUCT)
def test_no_modules_import_each_other(package: str) -> None:
    imports = graph(package)
    reachable = {module: reached_from(module, imports) for module in imports}
    circles = {
        module: sorted(other for other in reachable[module] if module in reachable[other])
        for module in imports
        if module in reachable[module] and not module.startswith(CIRCLES_IN)
    }
    assert circles == {}


@pytest.mark.parametrize("library", AT_HOME)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    wrong = [
        f"{place}:{line} imports {name}; it belongs to {', '.join(AT_HOME[library])}"
        for package in PRODUCT
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        if not (place := path.relative_to(REPOSITORY).as_posix()).startswith(AT_HOME[library])
        for name, line in imports_of(path)
        if f"{name}.".startswith(f"{library}.")
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PRODUCT)
def test_a_test_lies_where_what_it_tests_lies(package: str) -> None:
    folders = {
        path.parent.relative_to(REPOSITORY / "tests") for path in (REPOSITORY / "tests" / package).rglob("test_*.py")
    }
    assert [str(place) for place in folders if not (REPOSITORY / place).is_dir()] == []


def test_no_test_imports_another_test() -> None:
    """What tests share is in tests/support, or a fixture of a conftest.py."""
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for package in ("tests", "scripts")
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for name, line in imports_of(path)
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


@cache
def graph(*packages: str) -> dict[str, set[str]]:
    """Returns the modules of packages, each with the modules of the packages that it imports."""
    paths = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in (REPOSITORY / package).rglob("*.py")
    }
    return {
        module: {name for name, _ in imports_of(path) if name in paths and name != module} - parents(module)
        for module, path in paths.items()
    }


def parents(module: str) -> set[str]:
    """Returns the packages that hold a module."""
    parts = module.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def path_of(module: str) -> Path:
    path = REPOSITORY.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def layer_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def reached_from(module: str, imports: dict[str, set[str]]) -> set[str]:
    """Returns the modules that a module imports, directly or through others."""
    reached, waiting = set[str](), [module]
    while waiting:
        for name in imports[waiting.pop()] - reached:
            reached.add(name)
            waiting.append(name)
    return reached


@cache
def imports_of(path: Path) -> tuple[tuple[str, int], ...]:
    """Returns every absolute name that a file imports, with its line."""
    return tuple(imported(path.read_text()))


def imported(source: str) -> Iterator[tuple[str, int]]:
    """Yields every absolute name that a module imports, with its line."""
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
