"""Which of the runs that were found are judged."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ablate.errors import UsageError, did_you_mean

from .roles import Roles
from .runs import Run, Runs, label

MOST_NAMED = 8


def condition_of(condition: str) -> tuple[str, str, str]:
    """Name, `=` or `!=`, and value of a condition on runs; what is none has no sign."""
    name, sign, value = condition.partition("=")
    return (name[:-1], "!=", value) if sign and name.endswith("!") else (name, sign, value)


def chosen_runs(runs: Runs, source: str, conditions: Sequence[str]) -> tuple[Runs, list[str]]:
    """The runs whose settings are as asked for; several values of one setting are alternatives."""
    if not runs.runs:
        raise UsageError(f"{source}: there are no runs.")
    kept = runs.runs
    names = dict.fromkeys(name for run in kept for name in run.settings)
    asked: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)  # the conditions of a name and a sign, by their value
    for condition in conditions:
        name, sign, value = condition_of(condition)
        if not sign or name not in names:
            hint = did_you_mean(name, names)
            raise UsageError(f"--where {condition}: expected NAME=VALUE or NAME!=VALUE with the name of a setting. {hint}")
        asked[name, sign][value] = condition
    for (name, sign), values in asked.items():
        have = dict.fromkeys(label(run.settings.get(name)) for run in kept)
        for value, condition in values.items():
            if value not in have:
                raise UsageError(f"--where {condition}: no run has it. {did_you_mean(value, have)}")
        kept = tuple(run for run in kept if (label(run.settings.get(name)) in values) == (sign == "="))
    if not kept:
        raise UsageError(f"--where {' --where '.join(conditions)}: no run is left.")
    said = [f"Only runs with {_in_words(asked)}: {len(kept):,} of {len(runs.runs):,}"] if conditions else []
    return replace(runs, runs=kept), said


def _in_words(asked: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    return " and ".join(f"{name}{sign}{' or '.join(values)}" for (name, sign), values in asked.items())


def measured_somewhere(runs: Runs, roles: Roles, metric: str) -> tuple[tuple[Run, ...], str]:
    """The runs without those of blocks in which no run that ended has a value, and a sentence on these.

    Such a block, as a task of another kind, was not measured by this metric; its runs are not missing.
    """
    blocks = [roles.block(run) for run in range(len(runs.runs))]
    measured = {block for block, run in zip(blocks, runs.runs, strict=True) if _has_value(run, metric)}
    without = [" ".join(block) for block in dict.fromkeys(blocks) if block not in measured]
    if not roles.blocks or not measured or not without:
        return runs.runs, ""
    named = ", ".join(without[:MOST_NAMED]) + (f" and {len(without) - MOST_NAMED} more" if len(without) > MOST_NAMED else "")
    kept = tuple(run for block, run in zip(blocks, runs.runs, strict=True) if block in measured)
    gone = len(runs.runs) - len(kept)
    return kept, f"No run has a value of {metric} in {len(without)} blocks, and their {gone} runs are left out: {named}"


def _has_value(run: Run, metric: str) -> bool:
    return run.status == "done" and metric in run.metrics and any(map(math.isfinite, run.metrics[metric].values))
