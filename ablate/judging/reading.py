"""Runs -> what is compared: variants with their seeds and values. What cannot be compared is refused, all of it at once."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ablate.blocking import named
from ablate.contracts import MOST_VARIANTS, Json
from ablate.errors import Checking, Problem, SpecError, UsageError, checked, did_you_mean

from .cells import SHOWN, Cell, cells_of, once_each
from .choosing import chosen_runs, measured_somewhere
from .directions import Goal, goal_of, is_rate
from .reference import reference_of
from .roles import Roles, roles_of, told
from .runs import Curve, Run, Runs

APART = 10.0  # times as large is the smallest of the upper values as the largest of the lower, where units are mixed
CHANCE = 0.2  # percent: below, a rate may be that small


@dataclass(frozen=True)
class Wanted:
    """What the user said of the comparison.

    Attributes:
        metric: What is judged; the only one unless given.
        factors: Settings that are compared; those that differ unless given.
        seed: The setting that has the seed.
        goal: Which way the metric is better; by its name unless given.
        at: The step that counts: a number, or `last` for each run's own; the last, if all runs have the same, unless given.
        reference: The variant that others are compared with.
        ignore: Settings that are not looked at.
        where: Values of settings, as `NAME=VALUE` or `NAME!=VALUE`, of the runs that are judged.
        repetitions: Whether the runs of a variant are independent repetitions, where nothing says which seed they had.
        blocks: Settings, such as the dataset, in whose every value the factors are compared.
    """

    metric: str | None = None
    factors: tuple[str, ...] = ()
    seed: str | None = None
    goal: Goal | None = None
    at: Literal["last"] | int | None = None
    reference: str | None = None
    ignore: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    repetitions: bool = False
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How runs were read.

    Attributes:
        source: Name of the source that gave the runs.
        place: Where it found them.
        metric: What is judged.
        goal: Which way it is better.
        at: The step that counts, or `last`.
        variants: The level of every factor, by the name of the variant.
        reference: The name of one of them.
        roles: What each setting is.
        cells: The runs that are judged.
        read: How they were read, in sentences.
        left_out: Reasons, each with the runs that it holds for.
        spec: That of the study whose runs these are, where the source has it.
    """

    source: str
    place: str
    metric: str
    goal: Goal
    at: Literal["last"] | int
    variants: Mapping[str, Mapping[str, str]]
    reference: str
    roles: Roles
    cells: tuple[Cell, ...]
    read: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spec: Json = None


def reading_of(runs: Runs, source: str, place: str, wanted: Wanted) -> Reading:
    """Reads runs as a comparison.

    Args:
        runs: What a source gave.
        source: Its name.
        place: What messages call the place where it found them.
        wanted: What the user said.

    Raises:
        UsageError: They cannot be compared, with what to do about it.
    """
    runs, said = chosen_runs(runs, place, wanted.where)
    metric = _metric(runs, place, wanted.metric)
    goal = wanted.goal or runs.goals.get(metric) or goal_of(metric)
    if goal is None:
        raise UsageError(
            f"nothing says whether a larger or a smaller {metric!r} is better. Say it with --goal maximize or --goal minimize."
        )
    roles = roles_of(runs, wanted.factors, wanted.seed, metric, wanted.ignore, wanted.blocks)
    kept, unmeasured = measured_somewhere(runs, roles, metric)
    if unmeasured:
        runs, said = replace(runs, runs=kept), [*said, unmeasured]
        again = roles_of(runs, wanted.factors, wanted.seed, metric, wanted.ignore, roles.blocks)
        roles = replace(again, by_name=roles.by_name)
    variants, of_run = _variants(roles, len(runs.runs), place)
    cells, about_seeds = cells_of(runs, roles, variants, of_run, wanted.repetitions, metric)
    (cells, left_out, at), problems = checked(_compared(cells, variants, roles, metric, wanted.at))
    if problems:
        raise SpecError(place, problems)
    reference, chosen = reference_of(variants, roles, wanted.reference)
    better = "larger" if goal == "maximize" else "smaller"
    by_name = "" if wanted.goal or metric in runs.goals else ", by its name"
    said = [f"Metric: {metric}, {better} is better{by_name}", *said, *runs.notices, *about_seeds, *told(roles), chosen]
    return Reading(source, place, metric, goal, at, variants, reference, roles, tuple(cells), tuple(said), left_out, runs.spec)


def _metric(runs: Runs, source: str, metric: str | None) -> str:
    names = dict.fromkeys(name for run in runs.runs for name in run.metrics)
    if metric is None and len(names) == 1:
        return next(iter(names))
    if metric is None:
        raise UsageError(f"{source}: say with --metric what is to be judged. {did_you_mean('', names)}".strip())
    if metric not in names:
        what = "the runs have no metric" if runs.apart else "there is no column of numbers"
        raise UsageError(f"{source}: {what} {metric!r}. {did_you_mean(metric, names)}".strip())
    return metric


def _variants(roles: Roles, count: int, source: str) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Variants by name, in the order of the runs, and the variant of each run."""
    levels = [roles.levels(run) for run in range(count)]
    of_run = named(levels)
    found = dict(zip(of_run, levels, strict=True))
    if len(found) > MOST_VARIANTS:
        raise UsageError(
            f"{source}: there are {len(found):,} variants, and at most {MOST_VARIANTS:,} are compared. Name fewer factors."
        )
    if len(found) < 2:
        only = ", ".join(f"{name} = {level}" for name, level in next(iter(found.values())).items())
        raise UsageError(f"{source}: all runs are of one variant ({only}), so there is nothing to compare.")
    return found, of_run


def value_of(run: Run, metric: str, at: Literal["last"] | int) -> float:
    """NaN where the run has not ended, or has no value there."""
    curve = run.metrics.get(metric)
    if run.status != "done" or curve is None or not curve.values:
        return math.nan
    if at == "last":
        return curve.values[-1]
    return curve.values[list(curve.steps).index(at)] if at in curve.steps else math.nan


def _compared(
    cells: Sequence[Cell],
    variants: Mapping[str, Mapping[str, str]],
    roles: Roles,
    metric: str,
    asked: Literal["last"] | int | None,
) -> Checking[tuple[list[Cell], dict[str, tuple[str, ...]], Literal["last"] | int]]:
    """The runs that count, the others by reason, and the step that counts."""
    kept, left_out = yield from once_each(cells, variants, {metric, *roles.measured, *roles.times})
    at = yield from _at(kept, variants, metric, asked, roles.blocks)
    yield from _units(kept, metric)
    return kept, left_out, at


def _at(
    cells: Sequence[Cell],
    variants: Mapping[str, Mapping[str, str]],
    metric: str,
    asked: Literal["last"] | int | None,
    blocks: Sequence[str],
) -> Checking[Literal["last"] | int]:
    """The step that counts. Runs of a block that end at different ones are not compared unless the user says how."""
    if asked is not None:
        if asked != "last" and not any(asked in c.run.metrics.get(metric, Curve([], [])).steps for c in cells):
            yield Problem(f"--at {asked}", f"no run has {metric} at this step", "")
        return asked
    names = list(variants)
    ends: defaultdict[int, list[str]] = defaultdict(list)
    in_block: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for cell in cells:
        curve = cell.run.metrics.get(metric)
        if cell.run.status == "done" and curve and curve.steps:
            ends[curve.steps[-1]].append(f"{names[cell.variant]}, seed {cell.seed}")
            in_block[tuple(variants[names[cell.variant]][name] for name in blocks)].add(curve.steps[-1])
    if all(len(steps) < 2 for steps in in_block.values()):
        return "last"
    usual = max(ends, key=lambda step: len(ends[step]))
    others = [
        f"{', '.join(found[:2])}{' …' if len(found) > 2 else ''} at {step}"
        for step, found in sorted(ends.items())
        if step != usual
    ]
    rest = sum(map(len, ends.values())) - len(ends[usual])
    message = f"{metric} ends at step {usual} in {len(ends[usual])} runs, and elsewhere in {rest}: "
    remedy = (
        f"--at {usual} judges what reached this step, and counts the others as missing; --at {min(ends)} judges an earlier step "
        "of all; --at last takes each run's own last step."
    )
    yield Problem("steps", message + "; ".join(others[:SHOWN]) + (" …" if len(others) > SHOWN else ""), remedy)
    return "last"


def _units(cells: Sequence[Cell], metric: str) -> Iterator[Problem]:
    """Rates of which some are parts of 1 and others are percent."""
    if not is_rate(metric):
        return
    values = sorted((value, c.run.name) for c in cells if math.isfinite(value := value_of(c.run, metric, "last")))
    low, high = [v for v in values if v[0] <= 1], [v for v in values if v[0] > 1]
    if low and high and low[-1][0] > CHANCE and high[0][0] > APART * low[-1][0]:
        one, other = (", ".join(f"{value:g} ({name})" for value, name in part[:3]) for part in (low, high))
        message = (
            f"the units are mixed: {len(low)} runs are at most 1, such as {one}, and {len(high)} are above 1, such as {other}"
        )
        yield Problem(metric, message, "Write all as parts of 1, or all in percent.")
