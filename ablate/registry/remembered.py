"""What importing components has told, kept in the user's cache, so that a spec is checked without importing torch.

It is a file of JSON for each distribution, and its name is the digest of all that it depends on: what is installed, versions,
digests of what is editable, and the state of every module on the disk. A file that is not whole, or not as this version writes
it, is as if it were not there. A process that has seen a distribution in two states, as a notebook may, has no memory of it.
No result depends on any of this: workers have no such memory, and make the key of a cell anew from what they import.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ablate.contracts import Json
from ablate.writing import replaced

from . import params, sources
from .component import Component, Loaded, normalized
from .descriptions import module_file
from .params import Absent, Choices, Nested, Parameter, Signature

FORMAT = 2  # of the files
LARGEST = 20_000_000  # bytes of one
FILES = 100  # that are kept; each edit of an editable package makes another
BESIDE = ("torch", "torchvision", "torchmetrics", "numpy")  # what every component may read as it is imported
SAID = ("semantics", "own_results", "lower_is_better", "fixed_content")  # what a factory may say of itself by an attribute
first_stamps: dict[str, str | None] = {}  # of each distribution when this process saw it first: what it imports may be that


class Memory:
    """What is known of the components of this environment from earlier processes.

    Args:
        folder: Where its files are; the user's cache unless given.
    """

    def __init__(self, folder: Path | None = None):
        self._folder = folder
        self._known: dict[str, dict[str, Json]] = {}  # by distribution
        self._changed: set[str] = set()

    def recall(self, component: Component) -> Json:
        """What is known of a component; None where nothing is, or its file is another one now."""
        known = self._of(component.distribution).get(_name(component))
        same = known and known["target"] == component.target and known["file"] == str(module_file(component.module))
        return known if same else None

    def keep(self, loaded: Loaded) -> None:
        """Notes what an import has told, unless JSON would tell it otherwise."""
        component, file = loaded.component, module_file(loaded.component.module)
        if _lasting_stamp(component.distribution) is None or file not in sources.modules_of(component.distribution):
            return  # or from elsewhere than the package that its metadata tells of
        said = {name: getattr(loaded.factory, name, None) for name in SAID}
        asked = [name for name, value in said.items() if callable(value)]
        record = {
            "target": component.target,
            "file": str(file),
            "signature": written(loaded.signature),
            "said": {name: value for name, value in said.items() if name not in asked},
            "families": {},
            "fingerprints": {},
        }
        with suppress(TypeError, ValueError):  # an attribute or a default that JSON does not have: it is imported each time
            again = json.loads(json.dumps(record, allow_nan=False))
            if again == record and list(again["signature"]["parameters"]) == list(loaded.signature.parameters):
                self._of(component.distribution)[_name(component)] = again
                self._changed.add(component.distribution)

    def note(self, component: Component, part: str, name: str, value: Json) -> None:
        """Adds the members of a family, or the fingerprint of a dataset, to what is known of a component."""
        if known := self.recall(component):
            known[part][name] = value
            self._changed.add(component.distribution)

    def save(self) -> None:
        """Writes what is new. A cache that cannot be written is none."""
        for distribution in sorted(self._changed):
            stamp = _lasting_stamp(distribution)
            if stamp is None or sources.edited((normalized(distribution), sources.CORE)):
                continue  # what was imported may be older than what was digested
            body = json.dumps(self._known[distribution], allow_nan=False)
            with suppress(OSError, RuntimeError), replaced(self._path(stamp)) as path:
                path.write_text(json.dumps({"sha256": _digest(body), "body": body}), encoding="utf-8")
        if self._changed:
            with suppress(OSError, RuntimeError):  # another process may remove the same ones
                for old in sorted(self._place().iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-FILES]:
                    old.unlink()
        self._changed.clear()

    def _of(self, distribution: str) -> dict[str, Json]:
        if distribution not in self._known:
            stamp = _lasting_stamp(distribution)
            self._known[distribution] = {} if stamp is None else self._read(stamp)
        return self._known[distribution]

    def _read(self, stamp: str) -> dict[str, Json]:
        try:
            path = self._path(stamp)
            if path.stat().st_size > LARGEST:
                return {}
            whole = json.loads(path.read_text(encoding="utf-8"))
            known: dict[str, Json] = json.loads(whole["body"]) if whole["sha256"] == _digest(whole["body"]) else {}
            for record in known.values():
                _look_at(record)
            return known
        except (OSError, RuntimeError, LookupError, TypeError, AttributeError, ValueError, RecursionError):
            return {}  # damaged or foreign: the import tells it again

    def _path(self, stamp: str) -> Path:
        return self._place() / f"{stamp}.json"

    def _place(self) -> Path:
        return self._folder or cache_folder()


def cache_folder() -> Path:
    """Where the files are, in the user's cache.

    Raises:
        RuntimeError: The user has no home directory.
    """
    from platformdirs import user_cache_path

    return user_cache_path("ablate") / "components"


def _look_at(record: Json) -> None:
    """Reads all of a record, so that one of another shape fails here."""
    read(record["signature"], {})
    maps = (record["said"], record["families"], record["fingerprints"])
    if not (
        all(isinstance(part, dict) for part in maps) and isinstance(record["target"], str) and isinstance(record["file"], str)
    ):
        raise ValueError("not as this version writes it")


def _name(component: Component) -> str:
    return f"{component.kind} {component.name}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _lasting_stamp(distribution: str) -> str | None:
    """The stamp, as long as it is what this process found first; an import may tell what was there before, or is there since."""
    stamp = _stamp(distribution)
    return stamp if first_stamps.setdefault(distribution, stamp) == stamp else None


def _stamp(distribution: str) -> str | None:
    """The digest of all that the components of a distribution depend on; None where nothing tells what is installed."""
    try:
        record = sources.record_of(distribution)
        if record is None:
            return None
        packages = {**sources.packages_of(distribution), **{name: sources.version_of(name) for name in (sources.CORE, *BESIDE)}}
        modules = {str(path): sources.state(path) for name in (distribution, sources.CORE) for path in sources.modules_of(name)}
        python = [sys.version, sys.flags.optimize, sys.prefix, *map(str, sys.path)]
        return _digest(json.dumps([FORMAT, distribution, record, packages, modules, sources.installations(), python]))
    except Exception:  # a stranger's metadata; it is told where a recipe names a component of it
        return None


def written(signature: Signature) -> Json:
    """A signature as JSON has it, without the functions that list families."""
    parameters = {}
    for name, parameter in signature.parameters.items():
        marks = {mark: value and asdict(value) for mark, value in _marks(parameter).items()}
        plain = {key: getattr(parameter, key) for key in ("schema", "required", "default", "doc")}
        parameters[name] = {**plain, **marks, "family": parameter.choices is not None}
    return {"parameters": parameters, "summary": signature.summary, "doc": signature.doc}


def _marks(parameter: Parameter) -> Mapping[str, Nested | params.Path | Absent | None]:
    return {"nested": parameter.nested, "path": parameter.path, "absent": parameter.absent}


def read(record: Json, families: Mapping[str, Choices]) -> Signature:
    """The signature that `written` gave.

    Args:
        record: Its JSON.
        families: What lists the members of each family; where one is missing, nothing does.
    """
    parameters = {
        name: Parameter(
            name=name,
            schema=dict(item["schema"]),
            required=bool(item["required"]),
            default=item["default"],
            doc=str(item["doc"]),
            nested=Nested(**item["nested"]) if item["nested"] is not None else None,
            choices=families.get(name, Choices(_none)) if item["family"] else None,
            path=params.Path(**item["path"]) if item["path"] is not None else None,
            absent=Absent() if item["absent"] is not None else None,
        )
        for name, item in record["parameters"].items()
    }
    return Signature(parameters, str(record["summary"]), str(record["doc"]))


def _none() -> Sequence[str]:
    return ()
