"""Which settings are tried for each variant, and which one it is trained with: a function of what came of the trials so far.

It is worked out anew, from the first trial on, whenever it is asked. So a study that is interrupted between two trials, or run
again, takes the same decisions.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from statistics import fmean
from typing import Any

from ablate.contracts import Cell, Json, Result, Setting, Space, Trial
from ablate.errors import EnvironmentProblem, describe
from ablate.plan import Plan, PlannedCell, Variant
from ablate.plan.planned import Search
from ablate.plan.space import contains, ends, rounded, with_setting, words
from ablate.registry import Registry, build
from ablate.spec.identity import canonical_recipe, make_cell, recipe_digest, recipe_identity
from ablate.spec.inputs import with_files
from ablate.spec.patch import get, split
from ablate.spec.recipe import Recipe
from ablate.spec.trainer import trainer_of
from ablate.study import Compare, Tried, TunedVariant, Tuning

Ended = Callable[[Sequence[str]], Mapping[str, Result | None]]  # as `Store.ended`


@dataclass(frozen=True)
class _Try:
    """A trial of a variant.

    Attributes:
        setting: What is tried.
        recipe: The variant with this setting, as the study would train it.
        cells: The same with the seeds of trials, told on the validation images.
        value: The mean of the metric; NaN where a cell failed or has no number, None where one has not ended.
    """

    setting: Setting
    recipe: Recipe
    cells: tuple[Cell, ...]
    value: float | None


def advance(plan: Plan, cells: Sequence[PlannedCell], registry: Registry, ended: Ended) -> tuple[Plan, list[PlannedCell]]:
    """A plan and its cells as far as results tell; where nothing is tuned, both as they are.

    Args:
        plan: As the spec has it.
        cells: Every variant as the spec has it, with every seed of the study.
        registry: What is installed.
        ended: What came of cells.

    Returns:
        The plan, in which variants whose trials have all ended have the best setting; and its cells: those of the trials, and of
        these variants those with the best setting and those without tuning.

    Raises:
        EnvironmentProblem: The tuner failed, or chose what the space does not have.
    """
    if plan.search is None:
        return plan, list(cells)
    like = {planned.variant: planned.cell for planned in cells}
    tries = {v.name: _tries(plan, plan.search, v, like[v.name], registry, ended) for v in plan.variants}
    decided = [_decided(plan, plan.search, variant, tries[variant.name]) for variant in plan.variants]
    made = [
        PlannedCell(told.trials[i].name, cell.seed, cell)
        for i in range(plan.search.trials)
        for told in decided
        for cell in (tries[told.variant][i].cells if i < len(told.trials) else ())
    ]
    best = {told.variant: tries[told.variant][told.chosen].recipe for told in decided if told.chosen is not None}
    after = {told.variant: told.untuned for told in decided if told.ended}
    for planned in cells:
        if planned.variant in best:
            made.append(replace(planned, cell=_cell(plan, registry, best[planned.variant], planned.seed, planned.cell)))
        if planned.variant in after:
            made.append(replace(planned, variant=after[planned.variant]))
    variants = tuple(_with_recipe(registry, variant, best.get(variant.name, variant.recipe)) for variant in plan.variants)
    tuning = Tuning(plan.search.tuner, plan.search.trials, len(plan.search.seeds), tuple(decided))
    return replace(plan, variants=variants, tuning=tuning), made


def _with_recipe(registry: Registry, variant: Variant, recipe: Recipe) -> Variant:
    return replace(variant, recipe=recipe, trainer=trainer_of(registry, recipe), canonical=canonical_recipe(registry, recipe))


def recipes_to_try(plan: Plan, registry: Registry) -> dict[str, Recipe]:
    """What has to work before anything is trained: every variant on the validation images, and with each end of its space."""
    found = {}
    assert plan.search is not None, "what is not tuned is tried as it is"  # noqa: S101
    for variant in plan.variants:
        found[variant.name] = _on_validation(registry, variant.recipe)
        for setting in ends(plan.search.spaces[variant.name]):
            ((path, value),) = setting.items()
            name = f"{variant.name} with {path} {json.dumps(value)}"
            found[name] = _on_validation(registry, with_setting(registry, variant.given, setting))
    return {name: with_files(registry, recipe, plan.search.seeds[0], plan.inputs) for name, recipe in found.items()}


def _tries(plan: Plan, search: Search, variant: Variant, like: Cell, registry: Registry, ended: Ended) -> list[_Try]:
    """The trials of a variant from the first one on, as far as results tell what the next one is."""
    space = search.spaces[variant.name]

    def tried(setting: Setting, recipe: Recipe) -> _Try:
        cells = tuple(_cell(plan, registry, _on_validation(registry, recipe), seed, like) for seed in search.seeds)
        return _Try(
            setting, recipe, cells, _value(registry, plan.compare, recipe, [ended([c.key]).get(c.key, ...) for c in cells])
        )

    tries = [tried({path: get(variant.recipe, split(path)) for path in space}, variant.recipe)]
    known = 0  # trials whose values the tuner knows
    while True:
        setting = None
        if len(tries) < search.trials:
            history = [Trial(t.setting, _oriented(plan.compare, t.value) if i < known else None) for i, t in enumerate(tries)]
            setting = suggested(_Question(registry, search.tuner, space, history))
        if setting is not None:
            tries.append(tried(setting, with_setting(registry, variant.given, setting)))
        elif len(tries) == search.trials or any(t.value is None for t in tries):
            return tries
        elif known == len(tries):
            raise EnvironmentProblem(f"tuner {search.tuner['use']!r} waits, and there is nothing to wait for: it has to choose")
        else:
            known = len(tries)


def _oriented(compare: Compare, value: float | None) -> float | None:
    """A value that is larger where it is better."""
    return -value if value is not None and compare.goal == "minimize" else value


@dataclass(frozen=True)
class _Question:
    """What a tuner is asked, compared by a text that says all of it, so that nobody asks twice."""

    registry: Registry = field(compare=False)
    tuner: dict[str, Json] = field(compare=False)
    space: Space = field(compare=False)
    trials: list[Trial] = field(compare=False)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", f"{self.tuner} {self.space} {self.trials}")


@lru_cache(maxsize=10_000)
def suggested(question: _Question) -> Setting | None:
    """The tuner's answer; one that the space does not have is the fault of its package."""
    tuner = question.tuner["use"]
    try:
        setting: Setting | None = build(question.registry, "tuner", question.tuner, question.space)(question.trials)
    except Exception as error:  # a third party's tuner may fail in any way
        raise EnvironmentProblem(f"tuner {tuner!r} failed at trial {len(question.trials) + 1}: {describe(error)}") from error
    if setting is not None:
        if not contains(question.space, setting):
            raise EnvironmentProblem(f"tuner {tuner!r} chose {setting!r}, which the space does not have")
        setting = rounded(question.space, setting)
    return setting


def _decided(plan: Plan, search: Search, variant: Variant, tries: Sequence[_Try]) -> TunedVariant:
    values = [math.nan if (value := _oriented(plan.compare, t.value)) is None else value for t in tries]
    ended = len(tries) == search.trials and all(t.value is not None for t in tries)
    valued = [i for i, value in enumerate(values) if not math.isnan(value)] if ended else []
    trials = tuple(
        Tried(f"{variant.name} (trial {i})", t.setting, None if t.value is None or math.isnan(t.value) else t.value)
        for i, t in enumerate(tries, start=1)
    )
    space = {path: words(domain) for path, domain in search.spaces[variant.name].items()}
    chosen = max(valued, key=lambda i: (values[i], -i), default=None)
    return TunedVariant(variant.name, f"{variant.name} (untuned)", space, trials, chosen, ended)


def _on_validation(registry: Registry, recipe: Recipe) -> Recipe:
    """The recipe as a trial trains it: the test images are not looked at."""
    tunable = trainer_of(registry, recipe).tunable
    assert tunable is not None, "a plan with a search has recipes whose settings can be judged"  # noqa: S101
    return tunable.recipe


def _cell(plan: Plan, registry: Registry, recipe: Recipe, seed: int, like: Cell) -> Cell:
    """A cell on the data and the device of another one."""
    recipe = with_files(registry, recipe, seed, plan.inputs) if plan.inputs else recipe
    identity = recipe_identity(registry, recipe, like.identity["data"], like.device, like.identity.get("executor"))
    digest = recipe_digest(canonical_recipe(registry, recipe), like.device, identity)
    return make_cell(recipe, digest, seed, like.device, identity)


def _value(registry: Registry, compare: Compare, recipe: Recipe, results: Sequence[Any]) -> float | None:
    """What came of a trial's cells: the results of those that are done, None for those that failed, `...` for others."""
    if any(result is ... for result in results):
        return None
    values = [None if result is None else _told(registry, compare, recipe, result) for result in results]
    return fmean(value for value in values if value is not None) if None not in values else math.nan


def _told(registry: Registry, compare: Compare, recipe: Recipe, result: Result) -> float | None:
    """The metric on the validation images after the epoch that counts: that which the study's recipe selects, where it does."""
    trainer = trainer_of(registry, recipe)
    record = result.epochs[-1 if isinstance(compare.at, str) else compare.at - 1]
    if (name := trainer.selects) is not None:
        sign = -1 if trainer.metrics[name] else 1
        evaluated = [record for record in result.epochs if record.get(name) is not None]
        record = max(evaluated, key=lambda record: (sign * record[name], -record["epoch"]), default=record)
    value: float | None = record.get(compare.metric)
    return value
