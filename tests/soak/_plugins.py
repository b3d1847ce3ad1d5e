"""An environment in which every plugin is broken in a way of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plugin:
    """A distribution: what it declares, its modules, and the words that must be told of it by `list` and by `list --load`."""

    name: str
    declares: str
    modules: dict[str, str]
    listed: str = ""
    loaded: str = ""


OPTIMIZER = "def thing(model, /, *, lr: float = 0.1):\n    '''Nothing.'''\n"
HOOK = "import time\nfrom ablate.registry.hooks import hookimpl\n\n@hookimpl\ndef epoch_end(cell, record):\n    {}\n"
PLUGINS = (
    Plugin("import-error", "ablate.models", {"import_error.py": "raise ImportError('gone')"}, loaded="ImportError: gone"),
    Plugin("syntax-error", "ablate.models", {"syntax_error.py": "def (:"}, loaded="SyntaxError"),
    Plugin("system-exit", "ablate.models", {"system_exit.py": "import sys\nsys.exit(3)"}, loaded="SystemExit: 3"),
    Plugin(
        "process-exit", "ablate.models", {"process_exit.py": "import os\nos._exit(0)"}, loaded="ended the process (exit code 0)"
    ),
    Plugin("endless-import", "ablate.models", {"endless_import.py": "while True: pass"}, loaded="did not end within"),
    Plugin(
        "segfault", "ablate.models", {"segfault.py": "import ctypes\nctypes.string_at(0)"}, loaded="ended the process (signal 11)"
    ),
    Plugin("missing-file", "ablate.models", {"missing_file/__init__.py": ""}, loaded="has no attribute 'thing'"),
    Plugin(
        "bad-signature",
        "ablate.models",
        {"bad_signature.py": "def thing(info, /, *, width): ..."},
        loaded="'width' has no annotation",
    ),
    Plugin(
        "bad-default",
        "ablate.models",
        {"bad_default.py": "def thing(*, x: str = object()): ..."},
        loaded="cannot be written as JSON",
    ),
    Plugin("wrong-return", "ablate.optimizers", {"wrong_return.py": OPTIMIZER + "    return 'sgd'\n"}),
    Plugin("clash-one", "ablate.losses", {"clash_one.py": OPTIMIZER}, listed="several packages have this name"),
    Plugin("clash-two", "ablate.losses", {"clash_two.py": OPTIMIZER}, listed="several packages have this name"),
    Plugin("removed", "ablate.models", {}, listed="there is no module 'removed'"),
    Plugin("malformed", "ablate.models", {"malformed.py": ""}, listed="is not of the form 'module:attribute'"),
    Plugin("no-such-group", "ablate.modles", {}, listed="no such group 'ablate.modles'"),
    Plugin("raising-hook", "ablate.hooks", {"raising_hook.py": HOOK.format("raise RuntimeError('no luck')")}),
    Plugin("exiting-hook", "ablate.hooks", {"exiting_hook.py": HOOK.format("raise SystemExit(5)")}),
    Plugin("slow-hook", "ablate.hooks", {"slow_hook.py": HOOK.format("time.sleep(0.2)")}),
    Plugin("broken-hook", "ablate.hooks", {"broken_hook.py": "raise SystemExit(4)"}, loaded="SystemExit: 4"),
    Plugin("odd-hook", "ablate.hooks", {"odd_hook.py": HOOK.replace("record", "nothing").format("pass")}, loaded="nothing"),
)


def install(folder: Path) -> None:
    """Writes all of them as pip would leave them."""
    for plugin in PLUGINS:
        module = plugin.name.replace("-", "_")
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin.name}\nVersion: 1.0\n")
        name = "clash" if plugin.name.startswith("clash") else plugin.name
        target = (
            "not a target" if plugin.name == "malformed" else module if plugin.declares == "ablate.hooks" else f"{module}:thing"
        )
        (info / "entry_points.txt").write_text(f"[{plugin.declares}]\n{name} = {target}\n")
        for path, text in plugin.modules.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)


def install_unreadable(folder: Path) -> None:
    """Two whose metadata cannot be read. Apart, because torch asks all packages, and fails then."""
    for name, entry_points in (
        ("undecodable", b"[ablate.models]\n\xff\xfe = x:y\n"),
        ("nameless", b"[ablate.models]\nx = os:path\n"),
    ):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\n")
        (info / "entry_points.txt").write_bytes(entry_points)


def call(folders: Sequence[Path], *arguments: str) -> tuple["subprocess.CompletedProcess[str]", float]:
    """A command in an environment that has what lies in these folders; and how long it took."""
    start = time.perf_counter()
    done = subprocess.run(
        arguments,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done, time.perf_counter() - start


def listed(folder: Path) -> tuple[list[str], float, float]:
    """What `ablate list` does not tell; its best time of five, and the time of an environment without these plugins."""
    install_unreadable(folder.parent / "unreadable")
    untold, times = [], []
    for _ in range(5):
        done, seconds = call([folder, folder.parent / "unreadable"], sys.executable, "-m", "ablate", "list")
        times.append(seconds)
    text = done.stdout + done.stderr
    if done.returncode or "Traceback" in text:
        untold.append(f"list ended with {done.returncode}")
    untold += [plugin.name for plugin in PLUGINS if plugin.name not in text or plugin.listed not in text]
    untold += [name for name in ("undecodable", "nameless") if name not in text]
    plain = min(call([], sys.executable, "-m", "ablate", "list")[1] for _ in range(5))
    return untold, min(times), plain


LOAD = """
import json, sys
from ablate.registry.loading import problems
from ablate.registry import KINDS, default
registry = default()
names = sys.argv[1].split(",")
mine = [c for c in (*(c for kind in KINDS for c in registry.all(kind)), *registry.hooks) if c.distribution in names]
print(json.dumps({c.distribution: problem for c, problem in problems(mine, seconds=15).items()}))
"""


def loaded(folder: Path) -> list[str]:
    """What loading each of them in a process apart does not tell."""
    names = ",".join(plugin.name for plugin in PLUGINS)
    done, _ = call([folder], sys.executable, "-c", LOAD, names)
    if done.returncode:
        return [done.stderr]
    found = json.loads(done.stdout)
    return [f"{plugin.name}: {found.get(plugin.name)}" for plugin in PLUGINS if plugin.loaded not in found.get(plugin.name, "")]


def run(folder: Path, spec: dict[str, object], *options: str) -> tuple["subprocess.CompletedProcess[str]", float]:
    """A study that uses none of them, among them."""
    path = folder.parent / "spec.json"
    path.write_text(json.dumps(spec))
    return call([folder], sys.executable, "-m", "ablate", "run", str(path), "--device", "cpu", "--jobs", "1", *options)


def ran(folder: Path, spec: dict[str, object]) -> list[str]:
    """What was not as it should be in a run among them, and in one that uses the factory of the wrong type."""
    wrong = []
    done, _ = run(folder, spec, "--store", str(folder.parent / "store"))
    if done.returncode or "4 cells to train" not in done.stderr:
        wrong.append(done.stderr)
    for words in (
        "listener 'raising-hook:raising-hook' failed in epoch_end: RuntimeError: no luck",
        "listener 'exiting-hook:exiting-hook' failed in epoch_end: SystemExit: 5",
        "hooks of broken-hook 1.0 are left out",
        "hooks of odd-hook 1.0 are left out",
    ):
        if done.stderr.count(words) != 1:
            wrong.append(f"{words!r} is told {done.stderr.count(words)} times: {done.stderr}")
    done, _ = run(folder, spec, "--dry-run", "--set", 'base.optimizer={"use": "wrong-return"}')
    if done.returncode != 2 or "its factory gave a str; expected a torch.optim" not in done.stderr:
        wrong.append(f"{done.returncode}: {done.stderr}")
    return wrong
