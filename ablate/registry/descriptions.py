"""The first paragraph of each component's documentation, read from its source: nothing is imported, and nothing breaks a list."""

import ast
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .component import Component
from .params import summary

LARGEST = 2_000_000  # bytes of a module that is read
HOPS = 4  # modules of a package that a name may come through


def description(component: Component) -> str:
    """The summary of a factory's docstring; empty where its source does not tell it, as where it is made by a program."""
    module, _, name = component.target.partition(":")
    for _ in range(HOPS):
        found = _names(module)
        if name in found.docs:
            return found.docs[name]
        if name not in found.imported:
            return ""
        module, name = found.imported[name]
    return ""


class _Names:
    """What a module defines and imports, by name."""

    def __init__(self, docs: Mapping[str, str], imported: Mapping[str, tuple[str, str]]):
        self.docs, self.imported = docs, imported


@cache
def _names(module: str) -> _Names:
    docs: dict[str, str] = {}
    imported: dict[str, tuple[str, str]] = {}
    path = module_file(module)
    with suppress(OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # a stranger's file
        if path is not None and path.stat().st_size <= LARGEST:
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            for node in ast.parse(path.read_bytes()).body:
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    docs[node.name] = summary(ast.get_docstring(node) or "")
                elif isinstance(node, ast.ImportFrom):
                    source = _source(package, node)
                    imported |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
    return _Names(docs, imported)


def _source(package: str, node: ast.ImportFrom) -> str:
    """The module that names are imported from, in full."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])


def module_file(module: str) -> Path | None:
    """The file of a module, found without importing its parents; None where there is none."""
    top, *inner = module.split(".")
    with suppress(Exception):  # finders of other packages are asked
        spec = find_spec(top)
        if spec is None or spec.origin is None:
            return None
        origin = Path(spec.origin)
        base = origin.parent.joinpath(*inner)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py") if inner else (origin,):
            if path.is_file():
                return path
    return None
