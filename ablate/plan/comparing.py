"""How a study compares: what a spec says of it, checked against the variants; and somebody's numbers by variant."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ablate.contracts import TAKEN, Factor, Json
from ablate.errors import MOST, Checking, Problem, did_you_mean, some_variants
from ablate.names import levels_of_name
from ablate.spec.patch import join
from ablate.spec.trainer import Trainer
from ablate.study import Compare

from .planned import Variant


def compare_of(document: Mapping[str, Json], variants: Sequence[Variant]) -> Checking[Compare]:
    given = document.get("compare", {})
    names = [variant.name for variant in variants]
    reference = given.get("reference", names[0])
    if reference not in names:
        yield Problem("compare.reference", f"the study has no variant {reference!r}", did_you_mean(reference, names))
    metric = given.get("metric") or next(iter(variants[0].trainer.metrics), "")
    at = given.get("at", "last")
    lacking = [variant for variant in variants if metric not in variant.trainer.metrics]
    if lacking:
        hint = did_you_mean(metric, lacking[0].trainer.metrics)
        yield Problem("compare.metric", f"{_told(lacking, 'has', 'have')} no metric {metric!r}", hint)
    if at != "last":
        yield from _epoch_problems(variants, at)
    goal = given.get("goal") or (yield from _goal(metric, variants))
    return Compare(
        metric,
        at,
        reference,
        given.get("margin"),
        given.get("alpha", 0.05),
        goal,
        given.get("paired", False),
        given.get("correction", "holm"),
        given.get("failed", "missing"),
        tuple(given.get("blocks", ())),
    )


def _epoch_problems(variants: Sequence[Variant], epoch: int) -> Iterator[Problem]:
    selecting = [variant for variant in variants if variant.trainer.selects]
    if selecting:
        yield Problem("compare.at", _told(selecting, "selects its epoch", "select their epochs"), "Remove `at` or `select`.")
    reasons: dict[str, list[Variant]] = {}
    for variant in variants:
        if variant not in selecting and (why := _not_told(variant.trainer, epoch)):
            reasons.setdefault(why, []).append(variant)
    for why, without in reasons.items():
        message = f"{_told(without, 'is', 'are')} not evaluated at epoch {epoch}: {why}"
        yield Problem("compare.at", message, "Choose an epoch that every variant is evaluated at.")


def _told(variants: Sequence[Variant], one: str, several: str) -> str:
    return f"{some_variants([variant.name for variant in variants])} {one if len(variants) == 1 else several}"


def block_problems(document: Mapping[str, Json]) -> Iterator[Problem]:
    """Blocks that are no factors, and what cannot go with blocks."""
    blocks, factors = document.get("compare", {}).get("blocks", []), document.get("factors", {})
    for name in blocks:
        if name not in factors:
            yield Problem("compare.blocks", f"the study has no factor {name!r}", did_you_mean(name, factors))
    if blocks and set(blocks) >= factors.keys():
        message = "every factor is a block, so there is nothing to compare in them"
        yield Problem("compare.blocks", message, "Leave out the factor that is compared, or add one.")
    if blocks and document.get("variants"):
        yield Problem(
            "variants", "named patches belong to no block", "Make them the levels of a factor, or remove `compare.blocks`."
        )
    if blocks and isinstance(document.get("seeds"), dict):
        message = (
            "seeds are not added until it is decided where there are blocks: more blocks would decide it, and not more seeds"
        )
        yield Problem("seeds", message, "Give a number of seeds.")


def _not_told(trainer: Trainer, epoch: int) -> str:
    """Why there are no metrics at an epoch; empty where there are, as far as is known before training."""
    beyond = trainer.epochs is not None and epoch > trainer.epochs
    return trainer.not_told_at(epoch) or (f"the last one is {trainer.epochs}" if beyond else "")


def _goal(name: str, variants: Sequence[Variant]) -> Checking[Literal["maximize", "minimize"]]:
    """Which way is better, as the metric says in every variant; where it does not say, the spec has to."""
    directions = {variant.trainer.metrics[name] for variant in variants if name in variant.trainer.metrics}
    hint = 'Add "goal": "maximize" or "goal": "minimize" to `compare`.'
    if None in directions:
        message = f"nothing says whether {name!r} is better when it is larger or when it is smaller"
        yield Problem("compare.goal", message, hint)
    elif len(directions) > 1:
        yield Problem("compare.goal", f"{name!r} is better when it is larger in some variants, smaller in others", hint)
    return "minimize" if directions == {True} else "maximize"


def published_of(
    document: Mapping[str, Json], factors: Sequence[Factor], variants: Sequence[Variant]
) -> Checking[dict[str, Json]]:
    """The published numbers by the name of the variant that each belongs to."""
    published, unknown = dict(document.get("published", {})), 0
    names = {variant.name: variant.name for variant in variants}
    by_levels = {tuple(variant.levels.items()): variant.name for variant in reversed(variants) if variant.levels}
    for metric, numbers in published.items():
        if metric == "source":
            continue
        path = join("published", metric)
        if metric not in (*variants[0].trainer.metrics, "train_loss"):
            yield Problem(path, "the base recipe does not measure this", did_you_mean(metric, variants[0].trainer.metrics))
        published[metric] = {}
        for key, value in numbers.items():
            match = names.get(key) or by_levels.get(_levels(key, factors))
            if match:
                published[metric][match] = value
            else:
                yield Problem(join(path, key), f"the study has no variant {key!r}", did_you_mean(key, names))
                unknown += 1
            if unknown > MOST:
                return published
    return published


def _levels(key: str, factors: Sequence[Factor]) -> tuple[tuple[str, str], ...]:
    """The levels that a name means, none where it means nothing; `a=x` leaves other factors at their base, `base` leaves all."""
    levels = {} if key == "base" else levels_of_name(key)
    assignment = {factor.name: factor.base for factor in factors}
    return tuple((assignment | levels).items()) if levels.keys() <= assignment.keys() else ()


def metric_problems(trainer: Trainer) -> Iterator[Problem]:
    """Names that metrics cannot have."""
    for name in trainer.metrics:
        if name in TAKEN:
            yield Problem(join("metrics", name), "a column of the results has this name already", "Choose another.")


def selection_against_goal(variants: Sequence[Variant], compare: Compare) -> Iterator[Problem]:
    """An epoch that is selected by a metric one way, and compared by it the other way, would be the worst one."""
    for variant in variants:
        if variant.trainer.selects == compare.metric:
            lower = variant.trainer.metrics[compare.metric]
            if lower != (compare.goal == "minimize"):
                message = f"{compare.metric!r} selects the epoch where it is {'smallest' if lower else 'largest'}"
                yield Problem("compare.goal", f"{message}, and the goal is to {compare.goal} it", "Remove `goal` or `select`.")
                return
