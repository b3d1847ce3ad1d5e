"""Logs every cell that is trained as event files of TensorBoard, where ABLATE_TENSORBOARD_DIR says so.

Events are written at once and not by a thread, so that an error of the disk is one of the event that it belongs to, and not one
that nobody hears. What could not be written is written again, into a new file, with the next event.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablate.plain import aligned
from ablate.plugin import CellInfo, Result, Study
from ablate.runner.tracking import Log, Patience, Tracker, allowed_name, numbers, outcome, shown

NAME_BYTES = 150  # file systems take 255
ENDS = {"done": "STATUS_SUCCESS", "failed": "STATUS_FAILURE", "interrupted": "STATUS_UNKNOWN"}


class EventFiles:
    """A folder of event files for a study, with one for each of its cells."""

    def __init__(self, folder: Path):
        self._folder = folder

    def tell(self, log: Log) -> None:
        """Writes what waits; after a failure the file is given up, and a later one replaces what it may have."""
        if not (log.waiting or log.end):
            return
        try:
            if log.run is None:
                log.run = _open(self._folder / _folder_of(log.cell), min(log.waiting, default=log.epoch + 1))
                _add(log.run, *_beginning(log.cell))
            for epoch in sorted(log.waiting):
                _add(log.run, _scalars(numbers(log.waiting[epoch])), step=epoch)
            if log.end:
                unfinished = log.end.status != "done"  # which the next sitting takes the place of
                _add(log.run, *_ending(*log.end), step=log.epoch + unfinished)
                log.run.close()
                log.taken = True
            log.waiting.clear()
        except Exception:
            log.run = None
            raise

    def conclude(self, study: Study) -> None:
        from tensorboardX import summary

        from ablate.stats.analysis import analyse

        analysis, metric = analyse(study), study.compare.metric
        effects = {effect.variant: effect for effect in analysis.effects}
        rows = [("variant", f"difference of {metric}", "interval", "adjusted p", "n", "verdict", "changes")]
        for variant in study.variants:
            effect = effects.get(variant.name)
            told = ("", "", "", "", "reference" if variant.name == study.compare.reference else "")
            if effect:
                interval = f"{effect.low:+.4g} to {effect.high:+.4g}"
                told = (f"{effect.difference:+.4g}", interval, f"{effect.p_adjusted:.3g}", str(effect.n), effect.verdict)
            rows.append((shown(variant.name), *told, shown("; ".join(variant.changes))))
        writer = _open(self._folder, 0)
        texts = {"question": study.question, "answer": analysis.answer, "verdicts": aligned(rows)}
        _add(writer, *(summary.text(name, _literal(text)) for name, text in texts.items() if text))
        writer.close()


def connect(study: str) -> EventFiles | None:
    given = os.environ.get("ABLATE_TENSORBOARD_DIR")
    return EventFiles(Path(given).absolute() / file_name(study)) if given else None


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

    levels = {f"level.{factor}": level for factor, level in cell.levels.items()}
    parameters = {"variant": ", ".join(cell.variants), **levels}
    whole = "\n".join(f"{name}: {value}" for name, value in {**parameters, **_numbers_of(cell), "key": cell.key}.items())
    table = {shown(name): shown(value) for name, value in parameters.items()}
    _, session_start, _ = summary.hparams({**table, **_numbers_of(cell)}, {})
    return [summary.text("cell", _literal(whole)), session_start]


def _numbers_of(cell: CellInfo) -> dict[str, int]:
    return {"seed": cell.seed, **({} if cell.epochs is None else {"epochs": cell.epochs})}


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag_of(name), simple_value=float(value)) for name, value in values.items()])


def _ending(status: str, result: Result | None, error: str | None) -> list[Any]:
    from tensorboardX import summary
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    found = [summary.text("status", _literal(f"{status}\n{error or ''}".strip()))]
    if result:
        found.append(_scalars({f"result/{name}": value for name, value in outcome(result).items()}))
    info = SessionEndInfo(status=Status.Value(ENDS[status]), end_time_secs=time.time())
    content = HParamsPluginData(session_end_info=info).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content)
    value = Summary.Value(tag="_hparams_/session_end_info", metadata=SummaryMetadata(plugin_data=plugin))
    return [*found, Summary(value=[value])]


def _literal(text: str) -> str:
    """The text as a block of Markdown that has no markup, which is what TensorBoard shows texts as."""
    return "\n".join("    " + line for line in shown(text).splitlines())


def tag_of(name: str) -> str:
    """The name where TensorBoard allows it, else one that is close to it and no other's; a slash makes a group."""
    return allowed_name(name, r"^/|[^\w./-]", 200)


def _folder_of(cell: CellInfo) -> str:
    return f"{file_name(', '.join(cell.variants))}, seed {cell.seed}, {cell.key[:8]}"


def file_name(name: str) -> str:
    """The name where it can be that of a folder, else one that is close to it and no other's."""
    return allowed_name(name, r"^\.+|[^\w.,=+ -]|[. ]+$", NAME_BYTES)


tracker = Tracker(connect, Patience(pause=0.0))  # a disk is tried again at the next event
