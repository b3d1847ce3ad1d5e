"""Runs in their places: the variant and the seed of each, and one run for each place."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ablate.errors import Checking, Problem, UsageError
from ablate.report.tables import plural

from .roles import Roles
from .runs import Run, Runs, label

SHOWN = 5  # examples in a message


MOST_MEANS = 40


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


def cells_of(
    runs: Runs, roles: Roles, variants: Mapping[str, object], of_run: Sequence[str], repetitions: bool, metric: str
) -> tuple[list[Cell], list[str]]:
    """Every run with its variant and seed."""
    places = {name: index for index, name in enumerate(variants)}
    if roles.seed is None:
        seeds, said = _numbered(runs.runs, of_run, repetitions, metric)
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


def once_each(
    cells: Sequence[Cell], variants: Mapping[str, object], other: Collection[str]
) -> Checking[tuple[list[Cell], dict[str, tuple[str, ...]]]]:
    """One run for each variant and seed: of several, the one that ended with a value, where the others did not.

    What runs may differ in without being others, such as what was measured, is `other`.
    """
    names = list(variants)
    places: defaultdict[tuple[int, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        places[cell.variant, cell.seed].append(cell)
    kept, several, dropped = [], 0, []
    for (variant, seed), found in places.items():
        ended = [cell for cell in found if cell.run.status == "done"]
        if len(ended) > 1:
            several += 1
            if several <= SHOWN:
                yield _several(f"{names[variant]}, seed {seed}", [cell.run for cell in ended], other)
        kept.append(ended[0] if ended else found[-1])
        dropped += [f"{names[c.variant]}, seed {c.seed} ({c.run.name})" for c in found if c is not kept[-1]]
    if several > SHOWN:
        yield Problem(f"and {several - SHOWN} more variants and seeds", "have several runs, too", "")
    return kept, {"another run of the same variant and seed counts": tuple(dropped)} if dropped else {}


def _several(where: str, runs: Sequence[Run], other: Collection[str]) -> Problem:
    differ = _differences(runs, other)
    remedy = (
        f"They differ in {', '.join(differ[:SHOWN])}: name it with --factor, --block or --seed."
        if differ
        else "Remove all but one."
    )
    return Problem(where, f"{len(runs)} runs have this seed: {', '.join(run.name for run in runs[:SHOWN])}", remedy)


def _differences(runs: Sequence[Run], other: Collection[str]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in other)
    return [name for name in names if len({label(run.settings.get(name)) for run in runs}) > 1]
