"""Every package in plugins/: built, installed in an environment of its own, tested, and uninstalled without a trace.

Run it as `python -m tests.packages [NAME ...]`. It fetches torch once, and the libraries of the packages, and takes long.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PLUGINS = ROOT / "plugins"


def call(*command: Any, cwd: Path) -> str:
    """What a command prints.

    Raises:
        SystemExit: It failed; with what it printed.
    """
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def build(source: Path, into: Path) -> Path:
    """The wheel that is built from the sdist of a package; both lie in `into`.

    Args:
        source: Its folder.
        into: Where they are written.
    """
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", into, source, cwd=into)
    return max(into.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


def environment(folder: Path, below: Path | None = None) -> Path:
    """A new virtual environment's Python.

    Args:
        folder: Where it is made.
        below: The Python of an environment whose packages are there too; pip in this one leaves them alone.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if below:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        outer = call(below, "-c", code, cwd=folder).strip()
        scheme = {"base": str(folder), "platbase": str(folder)}
        site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
        (site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
    return python


def components(python: Path, cwd: Path) -> set[tuple[str, str, str]]:
    """Kind, name and package of what `ablate list` shows."""
    told = json.loads(call(python, "-m", "ablate", "list", "--load", "--json", cwd=cwd))
    return {(c["kind"], c["name"], f"{c['distribution']} {c['problem']}".strip()) for c in told["components"]}


def try_package(name: str, core: Path, wheels: Path, folder: Path) -> str:
    """Installs, tests and uninstalls one package, and says what was seen.

    Args:
        name: Of the package's folder in plugins/.
        core: Python of an environment with the core alone.
        wheels: Where the wheel of the core is, and where the package's is written.
        folder: An empty one.
    """
    start = time.perf_counter()
    build(PLUGINS / name, wheels)
    python = environment(folder / "venv", core)
    before = components(python, folder)
    wanted = [f"ablate-core[{name.removeprefix('ablate-')}]", f"{name}[test]"]
    call(python, "-m", "pip", "install", "--quiet", "--find-links", wheels, *wanted, cwd=folder)
    added = components(python, folder) - before
    tests = call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, PLUGINS / name / "tests", cwd=folder)
    call(python, "-m", "pip", "uninstall", "--quiet", "--yes", name, cwd=folder)
    left = components(python, folder) ^ before
    if left:
        sys.exit(f"{name}: after it was uninstalled, `ablate list` is different: {left}")
    given = ", ".join(sorted(f"{kind} {component}" for kind, component, _ in added)) or "hooks"
    return f"| {name} | {given} | {tests.strip().splitlines()[-1].strip('= ')} | {time.perf_counter() - start:.0f} s |"


def main(names: Sequence[str]) -> None:
    """Tries the packages of these names, or all."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheels = folder / "wheels"
        wheels.mkdir()
        core = environment(folder / "core")
        call(core, "-m", "pip", "install", "--quiet", build(ROOT, wheels), cwd=folder)
        for name in names or sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml")):
            (folder / name).mkdir()
            print(try_package(name, core, wheels, folder / name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
