"""Logs every cell that is trained as event files of TensorBoard, where ABLATE_TENSORBOARD_DIR says so.

Events are written at once and not by a thread, so that an error of the disk is one of the event that it belongs to, and not one
that nobody hears. What could not be written is written again, into a new file, with the next event.
"""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate.hooks import CellInfo, hookimpl
from ablate.records import Result
from ablate.report.plain import aligned, printable
from ablate.study import Study

NAME_BYTES = 150  # file systems take 255
VALUE_LENGTH = 5000
ENDS = {"done": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "interrupted": "STATUS_UNKNOWN"}


@dataclass
class Log:
    """A cell, and what of it is not written.

    Attributes:
        cell: The cell.
        waiting: Records of epochs by their number.
        end: Status, result and error, once it has ended.
        writer: The open event file, an `EventsWriter` of tensorboardX; None before the first and after a failure.
    """

    cell: CellInfo
    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: tuple[str, Result | None, str | None] | None = None
    writer: Any = None


class Tracker:
    """The listener. `study_start` begins a study or a further round of one, and `study_end` forgets it."""

    def __init__(self) -> None:
        self._folder: Path | None = None  # of the study, while it is logged
        self._logs: dict[str, Log] = {}  # by key, of cells that are not written to the end

    @hookimpl
    def study_start(self, study: str) -> None:
        given = os.environ.get("ABLATE_TENSORBOARD_DIR")
        folder = Path(given).absolute() / _file_name(study) if given else None
        if folder != self._folder:
            self._folder, self._logs = folder, {}

    @hookimpl
    def cell_start(self, cell: CellInfo) -> None:
        if self._folder:
            self._logs[cell.key] = Log(cell)

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        if self._folder:
            log = self._logs.setdefault(cell.key, Log(cell))
            log.waiting[record["epoch"]] = record
            self._write(log)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None) -> None:
        if self._folder:
            log = self._logs.setdefault(cell.key, Log(cell))
            log.end = (status, result, error)
            self._write(log)

    @hookimpl
    def study_end(self, study: Study) -> None:
        if not self._folder:
            return
        try:
            for log in list(self._logs.values()):  # after a failure, what its last event did not write
                if log.waiting or log.end:
                    self._write(log)
            self._conclude(self._folder, study)
        finally:
            self._folder, self._logs = None, {}

    def _write(self, log: Log) -> None:
        """Writes what waits; after a failure the file is given up, and a later one replaces what it may have."""
        assert self._folder is not None  # noqa: S101, for the type checker
        try:
            if log.writer is None:
                log.writer = _open(self._folder / _folder_of(log.cell), min(log.waiting, default=log.cell.epochs))
                _add(log.writer, *_beginning(log.cell))
            for epoch in sorted(log.waiting):
                _add(log.writer, _scalars(log.waiting[epoch]), step=epoch)
            if log.end:
                _add(log.writer, *_ending(*log.end), step=log.cell.epochs)
                log.writer.close()
                self._logs.pop(log.cell.key)
            log.waiting.clear()
        except Exception:
            log.writer = None
            raise

    def _conclude(self, folder: Path, study: Study) -> None:
        from tensorboardX import summary

        from ablate.stats.analysis import analyse

        analysis, metric = analyse(study), study.compare.metric
        effects = {effect.variant: effect for effect in analysis.effects}
        rows = [("variant", f"difference of {metric}", "interval", "adjusted p", "n", "verdict", "changes")]
        for variant in study.variants:
            effect = effects.get(variant.name)
            numbers = ("", "", "", "", "reference" if variant.name == study.compare.reference else "")
            if effect:
                interval = f"{effect.low:+.4g} to {effect.high:+.4g}"
                numbers = (f"{effect.difference:+.4g}", interval, f"{effect.p_adjusted:.3g}", str(effect.n), effect.verdict)
            rows.append((_value(variant.name), *numbers, _value("; ".join(variant.changes))))
        writer = _open(folder, 0)
        texts = {"question": study.question, "answer": analysis.answer, "verdicts": aligned(rows)}
        _add(writer, *(summary.text(name, _literal(text)) for name, text in texts.items() if text))
        writer.close()


def levels_of(variant: str) -> dict[str, str]:
    """The levels that the name of a variant has; no name of a factor or a level has `=` or `,` in it."""
    return dict(part.split("=", 1) for part in variant.split(",") if "=" in part)


def _open(folder: Path, first: int) -> Any:
    """A new event file, which takes the place of what earlier ones in its folder have from this step on."""
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    folder.mkdir(parents=True, exist_ok=True)
    writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")  # two of one second need two names
    start = SessionLog(status=SessionLog.SessionStatus.Value("START"))
    writer.write_event(Event(wall_time=time.time(), step=first, session_log=start))
    return writer


def _add(writer: Any, *summaries: Any, step: int = 0) -> None:
    from tensorboardX.proto.event_pb2 import Event

    for summary in summaries:
        writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))
    writer.flush()


def _beginning(cell: CellInfo) -> list[Any]:
    """Summaries of what a cell is: a text, and what TensorBoard's table of hyperparameters is made of."""
    from tensorboardX import summary

    levels = [level for variant in cell.variants for level in levels_of(variant).items()]
    parameters = {"variant": ", ".join(cell.variants), **{f"level.{factor}": level for factor, level in levels}}
    shown = "\n".join(f"{name}: {value}" for name, value in {**parameters, **_numbers_of(cell), "key": cell.key}.items())
    table = {_value(name): _value(value) for name, value in parameters.items()}
    _, session_start, _ = summary.hparams({**table, **_numbers_of(cell)}, {})
    return [summary.text("cell", _literal(shown)), session_start]


def _numbers_of(cell: CellInfo) -> dict[str, int]:
    return {"seed": cell.seed, "epochs": cell.epochs}


def _scalars(record: Mapping[str, Any]) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    numbers = {name: value for name, value in record.items() if name != "epoch" and isinstance(value, (int, float))}
    numbers = {name: value for name, value in numbers.items() if not isinstance(value, bool)}
    return Summary(value=[Summary.Value(tag=_tag(name), simple_value=float(value)) for name, value in numbers.items()])


def _ending(status: str, result: Result | None, error: str | None) -> list[Any]:
    from tensorboardX import summary
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    found = [summary.text("status", _literal(f"{status}\n{error or ''}".strip()))]
    if result:
        final = {"seconds": result.seconds, "parameters": result.parameters, **result.metrics}
        found.append(_scalars({f"result/{name}": value for name, value in final.items()}))
    info = SessionEndInfo(status=Status.Value(ENDS[status]), end_time_secs=time.time())
    content = HParamsPluginData(session_end_info=info).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    value = Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))
    return [*found, Summary(value=[value])]


def _literal(text: str) -> str:
    """The text as a block of Markdown that has no markup, which is what TensorBoard shows texts as."""
    return "\n".join("    " + line for line in _value(text).splitlines())


def _tag(name: str) -> str:
    """The name where TensorBoard allows it, else one that is close to it and no other's; a slash makes a group."""
    return _close(name, r"^/|[^\w./-]", 200)


def _folder_of(cell: CellInfo) -> str:
    return f"{_file_name(', '.join(cell.variants))}, seed {cell.seed}, {cell.key[:8]}"


def _file_name(name: str) -> str:
    """The name where it can be that of a folder, else one that is close to it and no other's."""
    return _close(name, r"^\.+|[^\w.,=+ -]|[. ]+$", NAME_BYTES)


def _close(name: str, bad: str, most: int) -> str:
    allowed = re.sub(bad, "_", name).encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name if allowed == name else f"{allowed}-{digest}"


def _value(text: str) -> str:
    return printable(text)[:VALUE_LENGTH]


tracker = Tracker()
