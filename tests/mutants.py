"""Changes the code on purpose, a place at a time, and counts how often the tests notice: `python -m tests.mutants [MODULE ...]`.

Needs `pip install mutmut`. Of each module, so many mutants are drawn (seeded) and tried with the tests of that module alone. A
mutant that only changes the words of a message is no mutant here: tests pin what a message must say, and not how.
"""

import argparse
import ast
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = {
    "ablate/spec/document.py": ["tests/spec/test_spec.py", "tests/spec/test_patch.py"],
    "ablate/plan/making.py": ["tests/plan/test_plan.py"],
    "ablate/store/store.py": ["tests/store/test_store.py"],
    "ablate/store/database.py": ["tests/store/test_store.py", "tests/reliability/test_old_stores.py"],
    "ablate/executors/local.py": ["tests/executors/test_local.py"],
    "ablate/stats/comparison.py": ["tests/stats/test_comparison.py", "tests/stats/test_effects.py"],
    "ablate/stats/effects.py": ["tests/stats/test_effects.py"],
    "ablate/stats/stopping.py": ["tests/stats/test_stopping.py"],
    "ablate/stats/power.py": ["tests/stats/test_power.py"],
}
CONFIG = """[mutmut]
paths_to_mutate={module}
tests_dir=
    {tests}
also_copy=
    ablate
    specs
    README.md
    pyproject.toml
    forget.py
pytest_add_cli_args=
    -o
    addopts=
    -x
    -p
    no:cacheprovider
    -p
    forget
"""
FORGET = '''"""A mutant is tried in a fork of a process that has run the tests: what that one remembers hides the mutant."""
import functools, gc


def pytest_sessionstart():
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper) and (found.__module__ or "").startswith("ablate"):
            found.cache_clear()
'''
SURVIVED, NOT_TESTED = 0, 33  # mutmut's exit codes
_MUTANT = re.compile(r"x(_|ǁ)\w+__mutmut_\d+")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help="of: " + ", ".join(TESTS))
    parser.add_argument("--count", type=int, default=100, help="mutants of a module")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    for module in given.modules:
        with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
            _try(module, Path(directory), given.count, random.Random(given.seed))
    return 0


def _try(module: str, directory: Path, count: int, rng: random.Random) -> None:
    """Prints how many of a module's mutants were noticed, and those that were not."""
    for name in ("ablate", "specs", "tests", "README.md", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, directory / name)
    (directory / "setup.cfg").write_text(CONFIG.format(module=module, tests="\n    ".join(TESTS[module])))
    (directory / "forget.py").write_text(FORGET)
    _mutmut(directory, "makes the mutants, and finds none of this name")
    sources = dict(_sources((directory / "mutants" / module).read_text("utf-8")))
    prefix = module.removesuffix(".py").replace("/", ".")
    names = sorted(name for name in sources if _says_more_than_words(sources, name))
    drawn = rng.sample(names, min(count, len(names)))
    _mutmut(directory, *(f"{prefix}.{name}" for name in drawn))
    codes = json.loads((directory / "mutants" / f"{module}.meta").read_text())["exit_code_by_key"]
    found = {name: codes[f"{prefix}.{name}"] for name in drawn}
    alive = [name for name in drawn if found[name] in (SURVIVED, NOT_TESTED)]
    tried = sum(code is not None for code in found.values())
    print(
        f"{module}: {tried - len(alive)} of {tried} noticed ({1 - len(alive) / tried:.0%}), of {len(names)} mutants", flush=True
    )
    for name in alive:
        print(f"  {name}")
        print("\n".join(f"    {line}" for line in _difference(sources[_original(name)], sources[name])), flush=True)


def _mutmut(directory: Path, *names: str) -> None:
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names], cwd=directory, capture_output=True)


def _sources(text: str) -> Iterator[tuple[str, str]]:
    """The mutants and originals in a file of mutmut, by name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and "__mutmut_" in node.name:
            yield node.name, ast.unparse(node)


def _original(name: str) -> str:
    return re.sub(r"_\d+$", "_orig", name)


def _says_more_than_words(sources: dict[str, str], name: str) -> bool:
    """Whether a mutant differs in more than texts with a space in them, and parts of f-strings."""
    original = _original(name)
    return name != original and _without_words(sources[name]) != _without_words(sources[original])


def _without_words(source: str) -> str:
    tree = ast.parse(source)
    tree.body[0].name = ""  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        for part in node.values if isinstance(node, ast.JoinedStr) else [node]:
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and (" " in part.value or part is not node):
                part.value = ""
    return ast.unparse(tree)


def _difference(one: str, other: str) -> list[str]:
    import difflib

    lines = difflib.unified_diff(one.splitlines()[1:], other.splitlines()[1:], n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
