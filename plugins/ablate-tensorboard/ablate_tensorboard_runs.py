"""Event files of TensorBoard as a source of runs for `ablate judge`: of Lightning, Keras, torch, tensorboardX, or ablate itself.

Files are read as they are: nothing is executed, and no YAML object is made.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablate.judging.runs import Asked, Curve, Run, Runs, Status, flat, last
from ablate.judging.yaml_files import load
from ablate.plugin import UsageError

EVENTS = "*tfevents*"
PARTS = frozenset(("train", "training", "validation", "val", "valid", "test", "eval"))  # folders of one run, as Keras writes them
FLOAT, DOUBLE = 1, 2  # of TensorFlow's types
ENDS: Mapping[int, Status] = {1: "done", 2: "failed", 3: "running"}  # of the plugin HPARAMS; 0 is unknown
_HEADER = struct.Struct("<QI")


@dataclass
class Log:
    """What the event files of one folder say.

    Attributes:
        settings: From HPARAMS, or from a file beside them.
        points: Step and value by tag, in the order of writing.
        status: As far as it is told.
        cut: Whether a file ends within a record.
        session: Whether HPARAMS are among the events.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    status: Status = "done"
    cut: bool = False
    session: bool = False


def tensorboard(asked: Asked, /) -> Runs:
    """Event files of TensorBoard: a run for each folder that has some, with its `hparams.yaml` or its HPARAMS.

    Where nothing says how the runs were made, the names of their folders do: `optimizer=adam,seed=0`, `adam/seed_0`.
    """
    place = Path(asked.place)
    root = place if place.is_dir() else place.parent
    folders: dict[Path, list[Path]] = {}
    for path in sorted(root.rglob(EVENTS)) if place.is_dir() else [place]:
        if path.is_file():
            folders.setdefault(path.parent, []).append(path)
    logs = {folder: _log(folder, paths) for folder, paths in folders.items()}
    cut = sum(log.cut for log in logs.values())
    notices = [f"Event files of {cut} folders end within a record; what is before it counts"] if cut else []
    logs = _parts_together(_sessions_in_their_runs(logs))
    if not any(log.settings for log in logs.values()):
        logs = {folder: replace(log, settings=_of_folder(folder.relative_to(root))) for folder, log in logs.items()}
        notices.append("Nothing says how the runs were made, so settings are taken from the names of their folders")
    return Runs(tuple(_run(folder, log, root) for folder, log in logs.items()), tuple(notices))


def recognises(place: Any) -> bool:
    """Whether there are event files at a place or in it."""
    if not isinstance(place, (str, Path)):
        return False
    path = Path(place)
    return "tfevents" in path.name if path.is_file() else path.is_dir() and next(path.rglob(EVENTS), None) is not None


tensorboard.recognises = recognises


def _log(folder: Path, paths: list[Path]) -> Log:
    from tensorboard.compat.proto.event_pb2 import Event  # tensorboardX has the same, and imports torch
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    log = Log(settings=_beside(folder))
    for path in paths:
        for record in _records(path, log):
            try:
                event = Event.FromString(record)
            except Exception:  # of a library that reads what anybody wrote: what is behind it cannot be read either
                log.cut = True
                break
            if (
                event.HasField("session_log") and event.session_log.status == 1
            ):  # START: what was written from this step on is void
                log.points = {tag: [p for p in points if p[0] < event.step] for tag, points in log.points.items()}
            for value in event.summary.value:
                if value.tag.startswith("_hparams_/"):
                    _take_session(log, HParamsPluginData.FromString(value.metadata.plugin_data.content))
                elif (number := _number(value)) is not None:
                    log.points.setdefault(value.tag, []).append((event.step, number))
    return log


def _records(path: Path, log: Log) -> Iterator[bytes]:
    """The records of a file (TFRecord: length, its checksum, data, their checksum)."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            log.cut = True
            return
        length, _ = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size
        at = start + length + 4
        if at > len(data):
            log.cut = True
            return
        yield data[start : start + length]


def _number(value: Any) -> float | None:
    """A scalar, as torch and Lightning write it, or as a tensor without dimensions, as TensorFlow does."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.tensor.dtype not in (FLOAT, DOUBLE) or value.tensor.tensor_shape.dim:
        return None
    tensor = value.tensor
    if tensor.tensor_content:
        return float(struct.unpack("<f" if tensor.dtype == FLOAT else "<d", tensor.tensor_content)[0])
    numbers = tensor.float_val if tensor.dtype == FLOAT else tensor.double_val
    return float(numbers[0]) if numbers else None


def _take_session(log: Log, content: Any) -> None:
    log.session = True
    for name, value in content.session_start_info.hparams.items():
        kind = value.WhichOneof("kind")
        log.settings[name] = getattr(value, kind) if kind in ("number_value", "string_value", "bool_value") else None
    if content.HasField("session_end_info"):
        log.status = ENDS.get(content.session_end_info.status, "interrupted")


def _beside(folder: Path) -> dict[str, Any]:
    """What `hparams.yaml` says, as Lightning writes it."""
    path = folder / "hparams.yaml"
    if not path.is_file():
        return {}
    found = load(path)
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"{path}: expected settings by name, and this is a {type(found).__name__}.")
    return flat({str(name): value for name, value in (found or {}).items()})


def _sessions_in_their_runs(logs: dict[Path, Log]) -> dict[Path, Log]:
    """torch writes HPARAMS into a folder below the run, with its last numbers: one such folder belongs to the run above it."""
    found = dict(logs)
    for folder, log in logs.items():
        below = [inner for inner in logs if inner.parent == folder and logs[inner].session]
        if len(below) == 1 and not log.settings:
            inner = found.pop(below[0])
            points = {**inner.points, **log.points}
            found[folder] = replace(log, settings=inner.settings, points=points, status=inner.status, session=True)
    return found


def _parts_together(logs: dict[Path, Log]) -> dict[Path, Log]:
    """Folders such as `train` and `validation` are one run, and their names are in front of its metrics."""
    found: dict[Path, Log] = {}
    for folder, log in logs.items():
        if folder.name not in PARTS:
            whole = found.setdefault(folder, Log())
            settings, points = {**whole.settings, **log.settings}, {**whole.points, **log.points}
            found[folder] = replace(log, settings=settings, points=points)
            continue
        whole = found.setdefault(folder.parent, Log())
        whole.points |= {f"{folder.name}/{tag}": points for tag, points in log.points.items()}
        whole.settings |= {**log.settings, **_beside(folder.parent), **whole.settings}
    return found


def _of_folder(path: Path) -> dict[str, Any]:
    """Settings that the names of folders have: pairs such as `lr=0.1`, `seed_0`, and what is left by its depth."""
    found: dict[str, Any] = {}
    for depth, part in enumerate(path.parts, 1):
        rest = part
        for name, value in re.findall(r"([A-Za-z_][\w.]*)=([^,;=]+)(?:[,;]|$)", part):
            found[name] = value.strip()
            rest = rest.replace(f"{name}={value}", "")
        if seed := re.search(r"(?:^|[_-])seed[_-]?(\d+)(?=$|[_-])", rest):
            found["seed"] = int(seed[1])
            rest = rest.replace(seed[0], "")
        rest = re.sub(r"^(version|run)_\d+$", "", rest.strip(",;_- "))
        if rest:
            found[f"folder {depth}"] = rest
    return found


def _run(folder: Path, log: Log, root: Path) -> Run:
    curves = {tag: last(Curve(*zip(*points, strict=True))) for tag, points in log.points.items() if points}
    why = "HPARAMS say that it failed" if log.status == "failed" else ""
    return Run(folder.relative_to(root).as_posix() if folder != root else folder.name, log.settings, curves, log.status, why)
