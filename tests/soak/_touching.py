"""What `ablate check` opens and whom it asks: an audit hook in a process of its own watches it read hostile specs."""

import copy
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from ablate.contracts import Json
from ablate.registry import KINDS, default
from ablate.registry.remembered import cache_folder

WATCH = """
import json, os, sys, time
opened, asked = [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append((os.path.realpath(os.fsdecode(arguments[0])), str(arguments[1])))
    if event == "subprocess.Popen" and "ldconfig" in str(arguments[0]):
        return  # how ctypes finds a library
    if event.startswith(("socket.", "urllib.", "http.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system")):
        asked.append(f"{event} {arguments[:2]}")

sys.addaudithook(watch)
from pathlib import Path
from ablate.runner import job
from ablate.errors import AblateError

taken, seconds = [], []
for path in sys.argv[2:]:
    start = time.process_time()
    try:
        job.prepare(path, (), job.Options(device="cpu", download=False, data_dir=sys.argv[1]))
        taken.append(path)
    except AblateError:
        pass
    seconds.append(time.process_time() - start)
prefixes = [sys.prefix, sys.base_prefix]
print(json.dumps({"opened": opened, "asked": asked, "taken": taken, "seconds": seconds, "path": sys.path, "prefixes": prefixes}))
"""
SYSTEM = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/etc/", "/usr/lib", "/usr/share/", "/lib")  # what libraries look at


def specs(document: Json, folder: Path) -> dict[str, Json]:
    """Specs that point at what is not theirs, by what each tries."""
    fifo, sparse = folder / "fifo", folder / "sparse"
    os.mkfifo(fifo)
    with sparse.open("wb") as file:
        file.truncate(2**28)

    def changed(field: str, value: Json) -> Json:
        made = copy.deepcopy(document)
        made["base"][field] = value
        made["factors"] = {"epochs": {"more": {"epochs": 3}}}
        return made

    resnet = {"use": "torchvision", "arch": "resnet18"}
    address = "http://127.0.0.1:9/x.json"
    return {
        "schema over http": {"$schema": address, **document},
        "schema of a file": {"$schema": "file:///etc/passwd", **document},
        "ref over http": {**document, "base": {"$ref": address}},
        "ref in a component": changed("model", {"use": "net", "$ref": address}),
        "ref in a free argument": changed(
            "metrics",
            {"f1": {"use": "torchmetrics", "name": "multiclass_f1_score", "arguments": {"$ref": address, "$id": address}}},
        ),
        "a module": changed("model", {"use": "os:system"}),
        "a package and a thing": changed("optimizer", {"use": "torch:load"}),
        "a file as a component": changed("model", {"use": "/etc/passwd"}),
        "an address as a component": changed("model", {"use": address}),
        "a device": changed("model", {**resnet, "weights_path": "/dev/zero"}),
        "a pipe": changed("model", {**resnet, "weights_path": str(fifo)}),
        "a large file": changed("model", {**resnet, "weights_path": str(sparse)}),
        "an address as a file": changed("model", {**resnet, "weights_path": address}),
        "a pipe as a folder": changed("dataset", {"use": "image_folder", "path": str(fifo)}),
        "a folder outside": changed("dataset", {"use": "image_folder", "path": str(folder), "test": "../../../../etc"}),
        "data that is not there": changed("dataset", {"use": "cifar10"}),
    }


def matplotlib_cache() -> Path:
    """Where matplotlib, which torchmetrics imports, keeps its list of fonts."""
    return Path(os.environ.get("MPLCONFIGDIR") or Path.home() / ".cache" / "matplotlib")


def plugins() -> set[str]:
    """The folders of all that is installed, editable or not: who misspells a component has families asked for their members."""
    modules = {component.target.partition(":")[0].partition(".")[0] for kind in KINDS for component in default().all(kind)}
    found = (importlib.util.find_spec(module) for module in modules)
    return {str(Path(spec.origin).parent) for spec in found if spec is not None and spec.origin is not None}


def touched(document: Json, folder: Path) -> dict[str, Json]:
    """What reading all of them opened beside the specs, their own files and the packages; whom it asked; what it took."""
    made = specs(document, folder)
    paths = []
    for index, spec in enumerate(made.values()):
        paths.append(folder / f"{index}.json")
        paths[-1].write_text(json.dumps(spec))
    command = [sys.executable, "-c", WATCH, str(folder / "data"), *map(str, paths)]
    temporary = folder / "tmp"  # some packages look at import whether they could write there
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, timeout=600, env=environment)
    seen = json.loads(done.stdout.splitlines()[-1])
    own = {str(path) for path in paths} | {str(folder / "sparse")}
    places = (*seen["path"], *seen["prefixes"], *plugins(), str(temporary), str(matplotlib_cache()), str(cache_folder()))
    packages = tuple(os.path.realpath(path) + "/" for path in places if path)
    foreign = {(path, mode) for path, mode in seen["opened"] if path not in own and not path.startswith((*SYSTEM, *packages))}
    foreign = {(path, mode) for path, mode in foreign if "/__editable__" not in path}
    remembered = os.path.realpath(cache_folder()) + "/"  # what components told, which every check may write
    opened = [(path, mode) for path, mode in seen["opened"] if not path.startswith(remembered)]
    written = {(path, mode) for path, mode in opened if "w" in mode or "a" in mode or "+" in mode}
    names = list(made)
    return {
        "specs": len(made),
        "foreign": sorted(
            foreign | {(path, mode) for path, mode in written if not path.endswith(".pyc") and "/__pycache__/" not in path}
        ),
        "asked": sorted(set(seen["asked"])),
        "taken": [names[paths.index(Path(path))] for path in seen["taken"]],
        "seconds": dict(zip(names, seen["seconds"], strict=True)),
    }
