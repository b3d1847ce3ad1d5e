"""Writes a new plugin: a package with a working component, its tests, and what pip needs."""

import ast
import builtins
import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from ablate.errors import EnvironmentProblem, UsageError, did_you_mean
from ablate.plain import with_article
from ablate.registry import HOOK, HOOKS, KINDS, default, normalized
from ablate.version import __version__

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # of a distribution, as PEP 508 has it
_EXAMPLES = {  # what the example of a kind is, and how a spec uses a component of it
    "trainer": ("Softmax regression", '"base": {"use": "$component", "epochs": 5}'),
    "dataset": ("Striped images", '"dataset": {"use": "$component"}'),
    "model": ("A small convolutional network", '"model": {"use": "$component"}'),
    "initializer": ("Truncated normal weights", '"initializer": {"use": "$component"}'),
    "optimizer": ("Signum", '"optimizer": {"use": "$component"}'),
    "scheduler": ("An inverse square root schedule", '"scheduler": {"use": "$component"}'),
    "transform": ("Random inversion", '"train_transforms": {"$component": {"use": "$component"}}'),
    "loss": ("Focal loss", '"loss": {"use": "$component"}'),
    "metric": ("The Brier score", '"metrics": {"$component": {"use": "$component"}}'),
    "step": ("Sharpness-aware minimisation", '"step": {"use": "$component"}'),
    "sampler": ("Balanced classes", '"sampler": {"use": "$component"}'),
    "design": ("Factors alone and in pairs", '"design": {"use": "$component"}'),
    "tuner": ("A local search", '"tune": {"tuner": {"use": "$component"}, "trials": 20, "space": {…}}'),
    "executor": ("Cells one after another in one process", "ablate run study.json --executor $component"),
    "source": ("Logs of one line a step", "ablate judge FOLDER --metric score"),
    HOOK: ("A line for each cell that ends", "ablate run study.json"),
}
_GROUPS = {**KINDS, HOOK: HOOKS}


@dataclass(frozen=True)
class _Names:
    """What a plugin and its parts are called."""

    distribution: str
    module: str
    component: str


def write(name: str, kind: str, directory: Path) -> list[Path]:
    """Writes the package `name` with one component of a kind into `directory / name`.

    Args:
        name: Name of the distribution, such as `ablate-lion`; the component is called `lion`.
        kind: One of `registry.KINDS`, or `hook` for what only listens.
        directory: Where the package's folder is made.

    Returns:
        The files that were written.

    Raises:
        UsageError: There is no such kind, the name cannot be used, or the folder exists.
        EnvironmentProblem: The folder cannot be written.
    """
    if kind not in _GROUPS:
        raise UsageError(f"there is no kind {kind!r}. {did_you_mean(kind, _GROUPS)}")
    names = _names(name, kind)
    folder = directory / name
    if folder.exists():
        raise UsageError(f"{folder} exists already: choose another name, or another directory.")
    contents = {folder / path: text for path, text in _contents(names, kind).items()}
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"{folder}: cannot be written: {error}. Choose another directory.") from error
    return list(contents)


def _names(name: str, kind: str) -> _Names:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a package: use letters and digits, with '.', '_' or '-' between them.")
    module = normalized(name).replace("-", "_")
    component = module.removeprefix("ablate_")
    for part in (module, component):
        if not part.isidentifier() or keyword.iskeyword(part) or hasattr(builtins, part):
            raise UsageError(
                f"{name!r} would need a function or module {part!r}, and Python cannot have that: choose another name."
            )
    if module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise UsageError(f"{name!r} would have the module {module!r}, and there is one already: choose another name.")
    if component in default().names(kind):
        owners = " and ".join(found.distribution for found in default().components[kind][component])
        raise UsageError(f"{name!r} would have the {kind} {component!r}, and {owners} has one: choose another name.")
    return _Names(name, module, component)


def _contents(names: _Names, kind: str) -> dict[str, str]:
    """The text of each file by its path in the package."""
    summary, usage = _EXAMPLES[kind]
    values = {
        "name": names.distribution,
        "module": names.module,
        "component": names.component,
        "title": names.component.title().replace("_", ""),
        "kind": kind,
        "article": with_article(kind),
        "group": _GROUPS[kind],
        "target": names.module if kind == HOOK else f"{names.module}:{names.component}",
        "tests": "The tests say what it does."
        if kind == HOOK
        else f"The tests are the contract that ablate has for\nevery {kind}, and what is special about this one.",
        "summary": summary,
        "version": __version__,
    }
    values["usage"] = f"    {Template(usage).substitute(values)}"
    templates = {
        "pyproject.toml": "common/pyproject.toml.txt",
        "README.md": "common/README.md.txt",
        ".gitignore": "common/gitignore.txt",
        f"{names.module}.py": f"kinds/{kind}.py.txt",
        f"tests/test_{names.module}.py": f"kinds/{kind}_test.py.txt",
    }
    source = files("ablate") / "scaffold"
    texts = {path: Template((source / file).read_text("utf-8")).substitute(values) for path, file in templates.items()}
    if any(_bound(text).count(names.component) > 1 for path, text in texts.items() if path.endswith(".py")):
        raise UsageError(
            f"{names.distribution!r} would have a function {names.component!r}, and the example imports one: choose another name."
        )
    return texts


def _bound(source: str) -> list[str]:
    """The names that a module's imports and definitions give to something."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
    return names
