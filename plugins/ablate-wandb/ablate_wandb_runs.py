"""Runs of Weights & Biases as a source for `ablate judge`: folders of offline or synced runs, or a project on a server."""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ablate.judging.runs import Asked, Curve, Run, Runs, Status, flat, last
from ablate.plugin import EnvironmentProblem, UsageError

ADDRESS = "wandb://"
MAGIC = b":W&B"
BLOCK = 32768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # of LevelDB's log, which the files are
STATUSES: Mapping[str, Status] = {"finished": "done", "failed": "failed", "crashed": "failed", "killed": "interrupted"}
_CHUNK = struct.Struct("<IHB")


def wandb(asked: Asked, /) -> Runs:
    """Runs of Weights & Biases: a folder with `offline-run-*` or `run-*`, or `wandb://ENTITY/PROJECT`, which needs a login.

    Settings are the config. Metrics are the history, over W&B's own step, and the summary of what has no history.
    """
    if str(asked.place).startswith(ADDRESS):
        return Runs(tuple(_of_server(asked, str(asked.place).removeprefix(ADDRESS))))
    root = Path(asked.place)
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("run-*.wandb") if "latest-run" not in path.parts)
    runs: dict[str, list[Run]] = {}
    for path in paths:
        run = run_of_file(path)
        runs.setdefault(run.name, []).append(run)
    again = sum(len(found) - 1 for found in runs.values())
    notices = [f"{again} files go on with a run of another one, and are one run with it"] if again else []
    return Runs(tuple(_together(found) for found in runs.values()), tuple(notices))


def recognises(place: Any) -> bool:
    """Whether it is an address of W&B, or there are files of its runs."""
    if not isinstance(place, (str, Path)):
        return False
    path = Path(place)
    if str(place).startswith(ADDRESS) or path.suffix == ".wandb":
        return True
    return path.is_dir() and next(path.rglob("run-*.wandb"), None) is not None


wandb.recognises = recognises


def _together(runs: list[Run]) -> Run:
    """What several files have of one run that was resumed: the later one counts where both have a step."""
    settings: dict[str, Any] = {}
    curves: dict[str, Curve] = {}
    for run in runs:
        settings |= run.settings
        for name, curve in run.metrics.items():
            before = curves.get(name, Curve([], []))
            curves[name] = last(Curve([*before.steps, *curve.steps], [*before.values, *curve.values]))
    return Run(runs[0].name, settings, curves, runs[-1].status, runs[-1].why)


def run_of_file(path: Path) -> Run:
    from wandb.proto.wandb_internal_pb2 import Record

    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    points: dict[str, list[tuple[int, float]]] = {}
    name, status, why = path.stem.removeprefix("run-"), "running", ""
    step = -1
    for data in _records(path):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            name = record.run.run_id or name
            _update(config, record.run.config.update)
        elif kind == "config":
            _update(config, record.config.update)
        elif kind == "summary":
            _update(summary, record.summary.update)
        elif kind == "history":
            step = record.history.step.num if record.history.HasField("step") else step + 1
            row: dict[str, Any] = {}
            _update(row, record.history.item)
            for key, value in flat(row).items():
                if (number := _number(value)) is not None and not key.startswith("_"):
                    points.setdefault(key, []).append((step, number))
        elif kind == "exit":
            failed = record.exit.exit_code != 0
            status, why = ("failed", f"it ended with code {record.exit.exit_code}") if failed else ("done", "")
    curves = {key: last(Curve(*zip(*found, strict=True))) for key, found in points.items()}
    for key, value in flat(summary).items():
        if (number := _number(value)) is not None and not key.startswith("_"):
            curves.setdefault(key, Curve([0], [number]))
    settings = {key: value for key, value in flat(config).items() if not key.startswith("_wandb")}
    return Run(name, settings, curves, status, why)  # type: ignore[arg-type]


def _update(found: dict[str, Any], items: Any) -> None:
    """Takes what a record says, whose names are keys or paths of keys, and whose values are JSON."""
    for item in items:
        keys = list(item.nested_key) or [item.key]
        inner = found
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = json.loads(item.value_json) if item.value_json else None


def _number(value: Any) -> float | None:
    if value in ("NaN", "Infinity", "-Infinity"):  # as W&B writes them
        return math.nan
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file, as far as they were written: a run that was killed has half of one at its end."""
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise UsageError(f"{path}: it does not begin as a file of W&B does.")
    at, parts = 7, b""
    while at + _CHUNK.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < _CHUNK.size:  # the rest of a block is padding
            at += left
            continue
        _, length, kind = _CHUNK.unpack_from(data, at)
        start, at = at + _CHUNK.size, at + _CHUNK.size + length
        if at > len(data) or kind not in (FULL, FIRST, MIDDLE, LAST):
            return
        parts = data[start:at] if kind in (FULL, FIRST) else parts + data[start:at]
        if kind in (FULL, LAST):
            yield parts


def _of_server(asked: Asked, project: str) -> Iterator[Run]:
    import wandb as library

    try:
        for run in library.Api().runs(project):
            summary = flat(dict(run.summary))
            curves = {k: Curve([0], [n]) for k, v in summary.items() if not k.startswith("_") and (n := _number(v)) is not None}
            if asked.metric in curves:
                rows = run.scan_history(keys=[asked.metric, "_step"])
                points = [(int(row["_step"]), n) for row in rows if (n := _number(row[asked.metric])) is not None]
                curves[asked.metric] = last(Curve(*zip(*points, strict=True))) if points else curves[asked.metric]
            settings = {key: value for key, value in flat(dict(run.config)).items() if not key.startswith("_")}
            yield Run(run.id, settings, curves, STATUSES.get(run.state, "running"))
    except Exception as error:  # of a library that asks the network
        raise EnvironmentProblem(
            f"{ADDRESS}{project}: W&B does not answer: {error}. Run `wandb login`, or judge offline runs."
        ) from error
