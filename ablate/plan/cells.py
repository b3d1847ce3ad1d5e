"""A plan -> its cells, with their keys; and the plan of a study in which nothing differs."""

from dataclasses import replace
from typing import Any

from ablate.contracts import Environment
from ablate.errors import DiskProblem, Problem, SpecError, UsageError, problem_of
from ablate.registry import Registry
from ablate.spec import Spec
from ablate.spec.identity import canonical_json, make_cell, recipe_digest, recipe_identity
from ablate.spec.patch import get

from .planned import Plan, PlannedCell, Variant

Json = Any


def placebo(plan: Plan) -> Plan:
    """The same study with the reference in place of every variant, each under seeds of its own: what it finds is not there.

    Raises:
        UsageError: The study tunes its variants, or compares them over blocks.
    """
    if plan.compare.blocks:
        raise UsageError(
            "--placebo shows what chance does to the seeds of one recipe, and this spec compares recipes over blocks "
            f"({', '.join(plan.compare.blocks)}). Take `compare.blocks` out of the spec for it."
        )
    if plan.search is not None:
        raise UsageError(
            "--placebo shows what chance does to variants that are all trained as the reference is, and a spec with `tune` "
            "trains each in a way of its own. Take `tune` out of the spec for it."
        )
    shift = max(plan.seeds) + 1
    reference = plan.reference
    others = [replace(reference, name=f"placebo {i}", levels={}, seed_shift=i * shift) for i in range(1, len(plan.variants))]
    seeds = plan.seeds[: plan.stopping.least] if plan.stopping else plan.seeds
    document = {**plan.spec.document, "name": f"{plan.spec.name}-placebo"}
    return Plan(
        Spec(plan.spec.source, document),
        (replace(reference, levels={}), *others),
        seeds,
        replace(plan.compare, paired=False),  # seeds that differ cannot pair
        {},
    )


def make_cells(plan: Plan, registry: Registry, environment: Environment, device: str, executor: Json = None) -> list[PlannedCell]:
    """Every variant with every seed, with its key.

    Seeds run in the outer loop, so that an interrupted study has whole rows to compare.

    Raises:
        SpecError: A setting does not go with the device, or a dataset cannot be identified: its data is missing or damaged.
    """
    identified = []
    found: list[Problem] = []
    fingerprints: dict[str, str] = {}
    for variant in plan.variants:
        data = canonical_json(variant.trainer.data)
        placed = (_placed(plan, variant, problem) for problem in variant.trainer.device_problems(device))
        found += [problem for problem in placed if problem not in found]
        try:
            if data not in fingerprints:
                fingerprints[data] = variant.trainer.fingerprint(environment)
        except DiskProblem:
            raise
        except Exception as error:  # factories are anybody's code
            found.append(problem_of("base.dataset", error))
            fingerprints[data] = ""
        identity = recipe_identity(registry, variant.recipe, fingerprints[data], device, executor)
        digest = recipe_digest(variant.canonical, device, identity)
        identified.append((variant, digest, identity))
    if found:
        raise SpecError(plan.spec.source, found)
    return [
        PlannedCell(
            variant.name,
            seed + variant.seed_shift,
            make_cell(variant.recipe, digest, seed + variant.seed_shift, device, identity),
        )
        for seed in plan.seeds
        for variant, digest, identity in identified
    ]


def _placed(plan: Plan, variant: Variant, problem: Problem) -> Problem:
    """A problem of a field of a recipe at its place in the spec: in the base, or else in whatever makes the variant."""
    field = problem.path.split(".")
    in_base = get(plan.spec.document["base"], field) == get(variant.given, field)
    return replace(problem, path=f"base.{problem.path}" if in_base else f"variant {variant.name!r}")
