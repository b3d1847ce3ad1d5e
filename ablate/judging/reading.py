"""Runs -> what is compared: variants with their seeds and values. What cannot be compared is refused, all of it at once."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ablate.contracts import MOST_VARIANTS
from ablate.errors import Problem, SpecError, UsageError, did_you_mean
from ablate.names import says_itself
from ablate.report.tables import plural

from .choosing import chosen_runs, measured_somewhere
from .directions import Goal, goal_of, is_rate
from .reference import reference_of
from .roles import Roles, roles_of, told
from .runs import Curve, Json, Run, Runs, label

SHOWN = 5
MOST_MEANS = 40
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
class Cell:
    """A run in its place.

    Attributes:
        run: The run.
        variant: Its index in `Reading.variants`.
        seed: A whole number; the seed itself where it is one.
    """

    run: Run
    variant: int
    seed: int


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
    cells, about_seeds = _cells(runs, roles, variants, of_run, wanted, metric)
    cells, left_out, problems = _once_each(cells, variants, {metric, *roles.measured, *roles.times})
    at, ends = _at(cells, variants, metric, wanted.at, roles.blocks)
    problems = [*problems, *ends, *_units(cells, metric)]
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
    names: dict[tuple[str, ...], str] = {}
    found: dict[str, dict[str, str]] = {}
    of_run = []
    alone = len(roles.factors) == 1 and sum(map(says_itself, set(roles.values[roles.factors[0]]))) > 1
    for run in range(count):
        levels = roles.levels(run)
        key = tuple(levels.values())
        if key not in names:
            plain = key[0] if len(key) == 1 and alone else ",".join(f"{name}={level}" for name, level in levels.items())
            names[key] = plain if plain not in found else repr(key)
            found[names[key]] = levels
        of_run.append(names[key])
    if len(found) > MOST_VARIANTS:
        raise UsageError(
            f"{source}: there are {len(found):,} variants, and at most {MOST_VARIANTS:,} are compared. Name fewer factors."
        )
    if len(found) < 2:
        only = ", ".join(f"{name} = {level}" for name, level in next(iter(found.values())).items())
        raise UsageError(f"{source}: all runs are of one variant ({only}), so there is nothing to compare.")
    return found, of_run


def _cells(
    runs: Runs, roles: Roles, variants: Mapping[str, object], of_run: Sequence[str], wanted: Wanted, metric: str
) -> tuple[list[Cell], list[str]]:
    """Every run with its variant and seed."""
    places = {name: index for index, name in enumerate(variants)}
    if roles.seed is None:
        seeds, said = _numbered(runs.runs, of_run, wanted.repetitions, metric)
    else:
        seeds, said = _seeds(roles.values[roles.seed])
        said = [f"Seed: {roles.seed}", *said]
    return [Cell(run, places[v], s) for run, v, s in zip(runs.runs, of_run, seeds, strict=True)], said


def _seeds(labels: Sequence[str]) -> tuple[list[int], list[str]]:
    """Seeds as whole numbers; names are numbered, and said."""
    if all(value.lstrip("-").isdigit() and len(value) < 19 for value in labels):
        return [int(value) for value in labels], []
    numbers = {value: index for index, value in enumerate(dict.fromkeys(labels))}
    shown = ", ".join(f"{value} is {index}" for value, index in list(numbers.items())[:SHOWN])
    return [numbers[value] for value in labels], [
        f"Seeds that are no whole numbers have one here: {shown}{' …' if len(numbers) > SHOWN else ''}"
    ]


def _numbered(runs: Sequence[Run], of_run: Sequence[str], repetitions: bool, metric: str) -> tuple[list[int], list[str]]:
    """Seeds where nothing tells them: one run each needs none, and of several only the user knows whether they repeat it."""
    counts: defaultdict[str, int] = defaultdict(int)
    seeds = []
    for variant in of_run:
        seeds.append(counts[variant])
        counts[variant] += 1
    if max(counts.values()) == 1:
        return seeds, ["Seed: none, and each variant has one run"]
    if not repetitions:
        raise UsageError(_without_seeds(runs, of_run, metric))
    return seeds, ["Seed: none; runs of a variant count as independent repetitions, as said"]


def _without_seeds(runs: Sequence[Run], of_run: Sequence[str], metric: str) -> str:
    """The differences, and why there is no verdict."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for run, variant in zip(runs, of_run, strict=True):
        curve = run.metrics.get(metric)
        if curve and run.status == "done" and math.isfinite(curve.values[-1]):
            values[variant].append(curve.values[-1])
    first = next((sum(found) / len(found) for found in values.values()), math.nan)
    several = sorted(values.items(), key=lambda item: len(item[1]) < 2)  # those with several first, for which a seed is missing
    lines = [
        f"  {name}: {plural(len(v), 'run')}, mean {sum(v) / len(v):.4g} ({sum(v) / len(v) - first:+.4g})"
        for name, v in several[:MOST_MEANS]
    ]
    lines += [f"  and {len(several) - MOST_MEANS:,} more"] if len(several) > MOST_MEANS else []
    return "\n".join(
        [
            "no setting has a seed, so nobody can tell whether the runs of a variant are repetitions. There is no verdict; these "
            f"are the differences of {metric} from the first variant:",
            *lines,
            "Name the setting with --seed. Or say with --repetitions that each run of a variant repeats it with its own seed.",
        ]
    )


def _once_each(
    cells: Sequence[Cell], variants: Mapping[str, object], other: Collection[str]
) -> tuple[list[Cell], dict[str, tuple[str, ...]], list[Problem]]:
    """One run for each variant and seed: of several, the one that ended with a value, where the others did not.

    What runs may differ in without being others, such as what was measured, is `other`.
    """
    names = list(variants)
    places: defaultdict[tuple[int, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        places[cell.variant, cell.seed].append(cell)
    kept, problems, dropped = [], [], []
    for (variant, seed), found in places.items():
        ended = [cell for cell in found if cell.run.status == "done"]
        if len(found) > 1 and len(ended) > 1:
            where = f"{names[variant]}, seed {seed}"
            differ = _differences([cell.run for cell in ended], other)
            remedy = (
                f"They differ in {', '.join(differ[:SHOWN])}: name it with --factor, --block or --seed."
                if differ
                else "Remove all but one."
            )
            runs = ", ".join(cell.run.name for cell in ended[:SHOWN])
            problems.append(Problem(where, f"{len(ended)} runs have this seed: {runs}", remedy))
        kept.append(ended[0] if ended else found[-1])
        dropped += [f"{names[c.variant]}, seed {c.seed} ({c.run.name})" for c in found if c is not kept[-1]]
    left_out = {"another run of the same variant and seed counts": tuple(dropped)} if dropped else {}
    if len(problems) > SHOWN:
        rest = Problem(f"and {len(problems) - SHOWN} more variants and seeds", "have several runs, too", "")
        problems = [*problems[:SHOWN], rest]
    return kept, left_out, problems


def _differences(runs: Sequence[Run], other: Collection[str]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in other)
    return [name for name in names if len({label(run.settings.get(name)) for run in runs}) > 1]


def value_of(run: Run, metric: str, at: Literal["last"] | int) -> float:
    """NaN where the run has not ended, or has no value there."""
    curve = run.metrics.get(metric)
    if run.status != "done" or curve is None or not curve.values:
        return math.nan
    if at == "last":
        return curve.values[-1]
    return curve.values[list(curve.steps).index(at)] if at in curve.steps else math.nan


def _at(
    cells: Sequence[Cell],
    variants: Mapping[str, Mapping[str, str]],
    metric: str,
    asked: Literal["last"] | int | None,
    blocks: Sequence[str],
) -> tuple[Literal["last"] | int, list[Problem]]:
    """The step that counts. Runs of a block that end at different ones are not compared unless the user says how."""
    if asked is not None:
        if asked != "last" and not any(asked in c.run.metrics.get(metric, Curve([], [])).steps for c in cells):
            return asked, [Problem(f"--at {asked}", f"no run has {metric} at this step", "")]
        return asked, []
    names = list(variants)
    ends: defaultdict[int, list[str]] = defaultdict(list)
    in_block: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for cell in cells:
        curve = cell.run.metrics.get(metric)
        if cell.run.status == "done" and curve and curve.steps:
            ends[curve.steps[-1]].append(f"{names[cell.variant]}, seed {cell.seed}")
            in_block[tuple(variants[names[cell.variant]][name] for name in blocks)].add(curve.steps[-1])
    if all(len(steps) < 2 for steps in in_block.values()):
        return "last", []
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
    return "last", [Problem("steps", message + "; ".join(others[:SHOWN]) + (" …" if len(others) > SHOWN else ""), remedy)]


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
