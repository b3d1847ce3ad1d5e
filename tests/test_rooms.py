"""The folders of ablate tell the flow: each imports from those below it, and no import goes round in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import ablate

ROOT = Path(ablate.__file__).parent
ROOMS = (  # from below; what lies beside the folders is on the ground, but for what stands here by name
    "ground",
    "registry",
    "spec",
    "engine",
    "components",
    "trainers",
    "plan",
    "store",
    "executors",
    "stats",
    "report",
    "runner",
    "judging",
    "results",
    "documents",
    "ablate",
    "watch",
    "bench",
    "cli",
    "testing",
    "plugin",
)
FILES = {
    ".".join(("ablate", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
    if path.name != "__main__.py"
}


def imports(module: str) -> Iterator[str]:
    """The modules of ablate that a module imports, wherever in it: inside of functions and for types too."""
    path = FILES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                found = f"{base}.{alias.name}" if f"{base}.{alias.name}" in FILES else base
                if found in FILES and found != module:
                    yield found


def room(module: str) -> int:
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else "ablate"
    return ROOMS.index(name if name in ROOMS else "ground")


def test_no_import_goes_upwards():
    upwards = [f"{module} imports {other}" for module in FILES for other in imports(module) if room(other) > room(module)]
    assert not upwards


def test_no_import_goes_round_in_a_circle():
    graph = {module: set(imports(module)) for module in FILES}
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)  # it raises with the circle


def test_every_folder_is_a_room():
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(ROOMS)
    assert {"engine", "report", "stats"} <= folders


def test_a_study_is_a_record_that_knows_no_screen():
    assert not [other for other in imports("ablate.study") if room(other) > ROOMS.index("ground")]
