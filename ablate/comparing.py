"""How a study compares: what a spec says of it, checked against the variants; and somebody's numbers by variant."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from .errors import MOST, Problem, did_you_mean
from .patch import join
from .recipe import Recipe, lower_is_better
from .records import Factor
from .registry import Registry
from .study import Compare

if TYPE_CHECKING:
    from .plan import Variant

Json = Any


def compare_of(registry: Registry, document: Mapping[str, Json], variants: Sequence["Variant"], found: list[Problem]) -> Compare:
    given = document.get("compare", {})
    names = [variant.name for variant in variants]
    reference = given.get("reference", names[0])
    if reference not in names:
        hint = did_you_mean(reference, names)
        found.append(Problem("compare.reference", f"the study has no variant {reference!r}", hint))
    metric = given.get("metric") or next(iter(variants[0].recipe["metrics"]), "")
    at = given.get("at", "last")
    for variant in variants:
        if metric not in variant.recipe["metrics"]:
            hint = did_you_mean(metric, variant.recipe["metrics"])
            found.append(Problem("compare.metric", f"variant {variant.name!r} has no metric {metric!r}", hint))
        epochs, every = variant.recipe["epochs"], variant.recipe["eval_every"]
        if at != "last" and variant.recipe["select"]:
            found.append(Problem("compare.at", f"variant {variant.name!r} selects its epoch", "Remove `at` or `select`."))
        elif at != "last" and (at > epochs or (at % every and at != epochs)):
            message = f"variant {variant.name!r} is not evaluated at epoch {at}: it has {epochs} epochs and eval_every {every}"
            found.append(Problem("compare.at", message, "Choose an epoch that every variant is evaluated at."))
    return Compare(
        metric,
        at,
        reference,
        given.get("margin"),
        given.get("alpha", 0.05),
        given.get("goal") or _goal(registry, variants[0].recipe["metrics"].get(metric)),
        given.get("paired", False),
        given.get("correction", "holm"),
        given.get("failed", "missing"),
    )


def _goal(registry: Registry, metric: Json) -> Literal["maximize", "minimize"]:
    """What a metric's factory says: one that is better when it is smaller has the attribute `lower_is_better`."""
    return "minimize" if metric and lower_is_better(registry, metric) else "maximize"


def published_of(
    document: Mapping[str, Json], factors: Sequence[Factor], variants: Sequence["Variant"], found: list[Problem]
) -> dict[str, Json]:
    """The published numbers by the name of the variant that each belongs to."""
    published = dict(document.get("published", {}))
    names = {variant.name: variant.name for variant in variants}
    by_levels = {tuple(variant.levels.items()): variant.name for variant in reversed(variants) if variant.levels}
    for metric, numbers in published.items():
        if metric == "source":
            continue
        path = join("published", metric)
        if metric not in (*variants[0].recipe["metrics"], "train_loss"):
            hint = did_you_mean(metric, variants[0].recipe["metrics"])
            found.append(Problem(path, "the base recipe does not measure this", hint))
        published[metric] = {}
        for key, value in numbers.items():
            if len(found) > MOST:
                return published
            match = names.get(key) or by_levels.get(_levels(key, factors))
            if match:
                published[metric][match] = value
            else:
                hint = did_you_mean(key, names)
                found.append(Problem(join(path, key), f"the study has no variant {key!r}", hint))
    return published


def _levels(key: str, factors: Sequence[Factor]) -> tuple[tuple[str, str], ...]:
    """The levels that a name means, none where it means nothing; `a=x` leaves other factors at their base, `base` leaves all."""
    wanted = {} if key == "base" else {part.partition("=")[0]: part.partition("=")[2] for part in key.split(",")}
    assignment = {factor.name: factor.base for factor in factors}
    return tuple((assignment | wanted).items()) if wanted.keys() <= assignment.keys() else ()


def selection_problems(recipe: Recipe) -> Iterator[Problem]:
    """Selecting on the images that the result is told for would make it look better than it is."""
    selecting = recipe["select"]
    if selecting is None:
        return
    if recipe["eval_split"] != "validation":
        hint = 'Add "eval_split": "validation", and give the dataset a `validation` part, such as 0.1.'
        yield Problem("select", "the epoch is selected on the test images, which are to be looked at once", hint)
    if selecting not in recipe["metrics"]:
        yield Problem("select", f"there is no metric {selecting!r}", did_you_mean(selecting, recipe["metrics"]))
