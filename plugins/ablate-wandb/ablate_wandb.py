"""Logs every cell that is trained as a run of Weights & Biases, where WANDB_MODE or WANDB_PROJECT says so.

W&B's own process sends in the background what it is given; only beginning and ending a run wait for the server. Both give up
soon, and after a failure W&B is left alone for a while, so that it costs a study seconds a minute at most. What is to be told
waits in memory until W&B has taken it.
"""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.hooks import CellInfo, hookimpl
from ablate.records import Result
from ablate.report.plain import printable
from ablate.study import Study

PATIENCE = {  # by setting: the variable by which the user sets it, and seconds
    "init_timeout": ("WANDB_INIT_TIMEOUT", 10.0),  # W&B's own: 90 s
    "finish_timeout": ("WANDB_FINISH_TIMEOUT", 10.0),  # W&B's own: for ever
}
BUDGET_SECONDS = 15.0  # what W&B may take after an event, before it is left alone
END_SECONDS = 60.0  # the same after the last event
PAUSE_SECONDS = 60.0
NAME_LENGTH = 128  # of projects, groups and runs
KEY_LENGTH = 200
VALUE_LENGTH = 5000


@dataclass
class Log:
    """A cell, and what W&B has not heard of it.

    Attributes:
        cell: The cell.
        waiting: Records of epochs by their number.
        end: Status, result and error, once it has ended.
        run: W&B's run, once there is one.
    """

    cell: CellInfo
    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: tuple[str, Result | None, str | None] | None = None
    run: Any = None


class Tracker:
    """The listener. `study_start` begins a study or a further round of one, and `study_end` forgets it."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._study = ""  # empty while nothing is logged
        self._logs: dict[str, Log] = {}  # by key, of cells that W&B does not know all of
        self._silent_until = 0.0

    @hookimpl
    def study_start(self, study: str) -> None:
        if study != self._study:
            self._forget()
            self._study = study if _wanted() else ""

    @hookimpl
    def cell_start(self, cell: CellInfo) -> None:
        if self._study:
            self._logs[cell.key] = Log(cell)
            self._send(BUDGET_SECONDS)

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        if self._study:
            self._logs.setdefault(cell.key, Log(cell)).waiting[record["epoch"]] = record
            self._send(BUDGET_SECONDS)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None) -> None:
        if self._study:
            self._logs.setdefault(cell.key, Log(cell)).end = (status, result, error)
            self._send(BUDGET_SECONDS)

    @hookimpl
    def study_end(self, study: Study) -> None:
        if not self._study:
            return
        try:
            self._silent_until = 0.0
            self._send(END_SECONDS)
            self._conclude(study)
        finally:
            self._forget()

    def _send(self, seconds: float) -> None:
        """Tells W&B what waits, unless it is left alone.

        Raises:
            Exception: Whatever W&B raises; a TimeoutError where it takes longer than it may.
        """
        now = time.monotonic()
        if now < self._silent_until:
            return
        for log in [log for log in self._logs.values() if log.waiting or log.end or not log.run]:
            try:
                self._tell(log)
                if time.monotonic() > now + seconds:
                    raise TimeoutError(f"W&B is slow: it is left alone for {PAUSE_SECONDS:g} s, or until the end")
            except Exception:
                self._silent_until = time.monotonic() + PAUSE_SECONDS
                if log.cell.key in self._logs:  # the others first, next time, should it be this cell that cannot be logged
                    self._logs[log.cell.key] = self._logs.pop(log.cell.key)
                raise

    def _tell(self, log: Log) -> None:
        cell, name = log.cell, ", ".join(log.cell.variants)
        if log.run is None:
            levels = [level for variant in cell.variants for level in levels_of(variant).items()]
            config = {"study": _value(self._study), "variant": _value(name), "seed": cell.seed, "epochs": cell.epochs}
            config |= {"key": cell.key, "levels": {_key(factor): _value(level) for factor, level in levels}}
            log.run = self._begin("cell", f"{name}\n{cell.key}", f"{name}, seed {cell.seed}", config)
            log.run.define_metric("*", step_metric="epoch")
            log.run.summary["status"] = "running"
        for epoch in sorted(log.waiting):
            log.run.log({"epoch": epoch, **_numbers(log.waiting[epoch])})
        log.waiting.clear()
        if log.end:
            status, result, error = log.end
            log.run.summary.update({"status": status, "error": _value(error or "")})
            if result:
                final = {"seconds": result.seconds, "parameters": result.parameters, **result.metrics}
                log.run.summary.update(_numbers({f"result/{name}": value for name, value in final.items()}))
            del self._logs[cell.key]  # W&B has it all, and what is not uploaded in time is kept in its folder
            log.run.finish(exit_code=0 if status == "done" else 1)

    def _begin(self, kind: str, what: str, name: str, config: Mapping[str, Any]) -> Any:
        """A run of this study; where W&B knows it from an earlier sitting, it goes on with it."""
        import wandb

        if not _offline() and wandb.run is None and not wandb.login(prompt=False, verify=False):
            raise RuntimeError("nobody is logged in to W&B. Run `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline.")
        patience = {setting: seconds for setting, (variable, seconds) in PATIENCE.items() if variable not in os.environ}
        settings = wandb.Settings(
            silent=True,
            console="off",  # the terminal belongs to the study
            save_code=False,
            disable_git=True,
            x_disable_stats=True,
            finish_timeout_raises=True,
            **patience,
        )
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "ablate",
            group=_value(self._study)[:NAME_LENGTH],
            job_type=kind,
            id=hashlib.sha256(f"{self._study}\n{kind}\n{what}".encode("utf-8", "surrogatepass")).hexdigest()[:32],
            name=_value(name)[:NAME_LENGTH],
            config=dict(config),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

    def _conclude(self, study: Study) -> None:
        """A run for what the whole study tells: what each variant is and changes, and the verdicts."""
        import wandb

        from ablate.stats.analysis import analyse

        analysis = analyse(study)
        effects = {effect.variant: effect for effect in analysis.effects}
        columns = ["variant", "levels", "changes", "verdict", "difference", "low", "high", "p_adjusted", "n"]
        rows: list[list[Any]] = []
        for variant in study.variants:
            levels = ", ".join(f"{factor}={level}" for factor, level in variant.levels.items())
            row: list[Any] = [_value(variant.name), _value(levels), _value("; ".join(variant.changes))]
            effect = effects.get(variant.name)
            if effect:
                row += [effect.verdict, effect.difference, effect.low, effect.high, effect.p_adjusted, effect.n]
            else:
                row += ["reference" if variant.name == study.compare.reference else "", *[None] * 5]
            rows.append(row)
        config = {"study": _value(study.name), "question": _value(study.question), "metric": _value(study.compare.metric)}
        run = self._begin("study", "", study.name, config)
        run.summary["answer"] = _value(analysis.answer)
        run.log({"verdicts": wandb.Table(columns=columns, data=rows)})
        run.finish()


def _wanted() -> bool:
    mode = os.environ.get("WANDB_MODE", "")
    return mode != "disabled" and bool(mode or os.environ.get("WANDB_PROJECT"))


def _offline() -> bool:
    return os.environ.get("WANDB_MODE") in ("offline", "dryrun")


def levels_of(variant: str) -> dict[str, str]:
    """The levels that the name of a variant has; no name of a factor or a level has `=` or `,` in it."""
    return dict(part.split("=", 1) for part in variant.split(",") if "=" in part)


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in record.items() if name != "epoch" and isinstance(value, (int, float))}
    return {_key(name): value for name, value in numbers.items() if not isinstance(value, bool)}


def _key(name: str) -> str:
    """The name where W&B can show it in every place, else one that is close to it and no other's; a slash makes a group."""
    allowed = re.sub(r"^[_/]", "x", re.sub(r"[^A-Za-z0-9_/ -]", "_", name))[:KEY_LENGTH]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name if allowed == name else f"{allowed}-{digest}"


def _value(text: str) -> str:
    return printable(text)[:VALUE_LENGTH]


tracker = Tracker()
