"""Logs every cell that is trained as a run of Weights & Biases, where WANDB_MODE or WANDB_PROJECT says so.

W&B's own process sends in the background what it is given; only beginning and ending a run wait for the server, and both give up
soon.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from typing import Any

from ablate.plugin import Study
from ablate.runner.tracking import Log, Patience, Tracker, numbers, outcome, shown, told_apart

PATIENCE = {  # by setting: the variable by which the user sets it, and seconds
    "init_timeout": ("WANDB_INIT_TIMEOUT", 10.0),  # W&B's own: 90 s
    "finish_timeout": ("WANDB_FINISH_TIMEOUT", 10.0),  # W&B's own: for ever
}
NAME_LENGTH = 128  # of projects, groups and runs
KEY_LENGTH = 200


class Runs:
    """The runs of a study: one for each of its cells, and one for what the whole study tells."""

    def __init__(self, study: str):
        self._study = study

    def tell(self, log: Log) -> None:
        cell, name = log.cell, ", ".join(log.cell.variants)
        if log.run is None:
            config = {"study": shown(self._study), "variant": shown(name), "seed": cell.seed, "epochs": cell.epochs}
            config |= {"key": cell.key, "levels": {wandb_key(factor): shown(level) for factor, level in cell.levels.items()}}
            log.run = self._begin("cell", f"{name}\n{cell.key}", f"{name}, seed {cell.seed}", config)
            log.run.define_metric("*", step_metric="epoch")
            log.run.summary["status"] = "running"
        for epoch in sorted(log.waiting):
            log.run.log({"epoch": epoch, **_named(numbers(log.waiting[epoch]))})
        log.waiting.clear()
        if log.end:
            status, result, error = log.end
            log.run.summary.update({"status": status, "error": shown(error or "")})
            if result:
                log.run.summary.update(_named({f"result/{name}": value for name, value in outcome(result).items()}))
            log.taken = True  # what is not uploaded in time is kept in W&B's folder
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
            group=shown(self._study)[:NAME_LENGTH],
            job_type=kind,
            id=hashlib.sha256(f"{self._study}\n{kind}\n{what}".encode("utf-8", "surrogatepass")).hexdigest()[:32],
            name=shown(name)[:NAME_LENGTH],
            config=dict(config),
            resume="allow",
            reinit="create_new",
            settings=settings,
        )

    def conclude(self, study: Study) -> None:
        """A run for what the whole study tells: what each variant is and changes, and the verdicts."""
        import wandb

        from ablate.stats.analysis import analyse

        analysis = analyse(study)
        effects = {effect.variant: effect for effect in analysis.effects}
        columns = ["variant", "levels", "changes", "verdict", "difference", "low", "high", "p_adjusted", "n"]
        rows: list[list[Any]] = []
        for variant in study.variants:
            levels = ", ".join(f"{factor}={level}" for factor, level in variant.levels.items())
            row: list[Any] = [shown(variant.name), shown(levels), shown("; ".join(variant.changes))]
            effect = effects.get(variant.name)
            if effect:
                row += [effect.verdict, effect.difference, effect.low, effect.high, effect.p_adjusted, effect.n]
            else:
                row += ["reference" if variant.name == study.compare.reference else "", *[None] * 5]
            rows.append(row)
        config = {"study": shown(study.name), "question": shown(study.question), "metric": shown(study.compare.metric)}
        run = self._begin("study", "", study.name, config)
        run.summary["answer"] = shown(analysis.answer)
        run.log({"verdicts": wandb.Table(columns=columns, data=rows)})
        run.finish()


def connect(study: str) -> Runs | None:
    mode = os.environ.get("WANDB_MODE", "")
    wanted = mode != "disabled" and (mode or os.environ.get("WANDB_PROJECT"))
    return Runs(study) if wanted else None


def _offline() -> bool:
    return os.environ.get("WANDB_MODE") in ("offline", "dryrun")


def _named(values: Mapping[str, float]) -> dict[str, float]:
    return {wandb_key(name): value for name, value in values.items()}


def wandb_key(name: str) -> str:
    """The name where W&B can show it in every place, else one that is close to it and no other's; a slash makes a group."""
    return told_apart(name, re.sub(r"^[_/]", "x", re.sub(r"[^A-Za-z0-9_/ -]", "_", name))[:KEY_LENGTH])


tracker = Tracker(connect, Patience(event=15.0))
