"""What a cell's result depends on, as a canonical text and its SHA-256.

Everything that can change the numbers is in it, and nothing else: so identical cells are shared by all studies of a store, and
a cell is never taken for another.
"""

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

from .errors import EnvironmentProblem
from .params import Nested
from .recipe import Recipe, component_fields, components
from .records import Cell
from .registry import Component, Registry, normalized

Json = Any
ENGINE_SEMANTICS = {"cpu": 2, "cuda": 2}  # counts up, for each device, with a change of the engine that changes what a cell gives
CORE = "ablate-core"
NUMERICS = ("torch", "torchvision", "torchmetrics", "numpy")


def canonical_json(value: Json) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def recipe_digest(canonical: Json, device: str, identity: dict[str, Json]) -> str:
    """What all cells of a variant have in common."""
    return sha256(canonical_json({"recipe": canonical, "device": device, "identity": identity}))


def make_cell(recipe: Recipe, digest: str, seed: int, device: str, identity: dict[str, Json]) -> Cell:
    """The cell of a variant and a seed; its key covers `recipe_digest` and the seed."""
    return Cell(sha256(f"{digest}/{seed}"), recipe, seed, device, identity)


def canonical_recipe(registry: Registry, recipe: Recipe) -> Json:
    """The recipe as keys see it: transforms as a list, because their order counts, and content in place of paths."""
    nested = dict(component_fields())
    return {name: _canonical(registry, nested[name], value) if name in nested else value for name, value in recipe.items()}


def _canonical(registry: Registry, nested: Nested, value: Json) -> Json:
    if nested.many:
        items = [[name, _canonical(registry, Nested(nested.kind), item)] for name, item in value.items()]
        return items if nested.kind == "transform" else sorted(items)
    parameters = registry.load(nested.kind, value["use"]).signature.parameters
    result = {"use": value["use"]}
    for name, parameter in parameters.items():
        item = value[name]
        if item is not None and parameter.nested:
            item = _canonical(registry, parameter.nested, item)
        if item is not None and parameter.path:
            if parameter.path.kind == "folder":
                continue  # the data's fingerprint stands for it
            item = file_digest(Path(item).expanduser())
        result[name] = item
    return result


def recipe_identity(registry: Registry, recipe: Recipe, fingerprint: str, device: str) -> dict[str, Json]:
    """What a cell depends on beside its recipe: the data, the versions of the packages that it uses, and what they mean."""
    packages: dict[str, str] = {name: _version(name) for name in NUMERICS}
    semantics: dict[str, int] = {}
    for loaded, spec in components(registry, recipe):
        packages |= _packages(loaded.component)
        name, number = f"{loaded.component.kind} {loaded.component.qualified_name}", loaded.says("semantics", spec) or 1
        if number > semantics.get(name, 1):
            semantics[name] = number
    identity = {"engine": ENGINE_SEMANTICS[device], "data": fingerprint, "packages": dict(sorted(packages.items()))}
    return identity | ({"semantics": semantics} if semantics else {})  # without one, as before there were any


@cache
def _packages(component: Component) -> Mapping[str, str]:
    """The component's distribution with its version (and digest of its source, where it is an editable install), and what
    it requires; the core's own requirements that matter are in `NUMERICS`."""
    name = normalized(component.distribution)
    installed = _installed(component.distribution)
    if not _is_editable(installed):
        packages = {name: installed.version}
    else:
        source = _source(component.module)
        packages = {f"{name} {source.stem}": f"{installed.version}+{_tree_digest(source)}"}
    if name != CORE:
        for requirement in installed.requires or ():
            required = re.match(r"[\w.-]+", requirement)
            if required and "extra ==" not in requirement and normalized(required.group()) != CORE:
                packages[normalized(required.group())] = _version(required.group())
    return packages


@cache
def _version(name: str) -> str:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return "not installed"


def _installed(name: str) -> Distribution:
    """The editable distribution of this name where there are two: a checkout that Python is started in has metadata, too."""
    found = list(distributions(name=name))
    return next(filter(_is_editable, found), found[0])


def _is_editable(installed: Distribution) -> bool:
    text = installed.read_text("direct_url.json")
    return bool(text and json.loads(text).get("dir_info", {}).get("editable"))


def _source(module: str) -> Path:
    """The package that a module lies in, or the module's file where it lies in none."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise EnvironmentProblem(
            f"module {module}: has no file, so nothing tells its versions apart. Give its folder an __init__.py."
        )
    path = Path(spec.origin)
    return path if "." not in module and path.name != "__init__.py" else path.parent


@cache
def _tree_digest(source: Path) -> str:
    digest = hashlib.sha256()
    for path in [source] if source.is_file() else sorted(source.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content.

    Raises:
        EnvironmentProblem: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error}") from error
