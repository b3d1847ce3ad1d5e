"""A plan -> its cells, with their keys; and the plan of a study in which nothing differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ablate.contracts import Environment, Json
from ablate.errors import Checking, DiskProblem, Problem, SpecError, UsageError, checked, problem_of
from ablate.registry import Registry
from ablate.spec import Spec
from ablate.spec.identity import canonical_json, canonical_recipe, make_cell, recipe_digest, recipe_identity
from ablate.spec.inputs import named, placeless, with_files
from ablate.spec.patch import get, split

from .planned import Plan, PlannedCell, Variant


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
        SpecError: A setting does not go with the device, or a dataset cannot be identified: its data is missing or damaged; or
            two variants have the same cells, which begin with the same weights under other names.
    """
    made, found = checked(_by_variant(plan, registry, environment, device, executor))
    if found := found or list(_same(made)):
        raise SpecError(plan.spec.source, found)
    return [cell for row in zip(*made.values(), strict=True) for cell in row]


def _by_variant(
    plan: Plan, registry: Registry, environment: Environment, device: str, executor: Json
) -> Checking[dict[str, list[PlannedCell]]]:
    made: dict[str, list[PlannedCell]] = {}
    fingerprints: dict[str, str] = {}
    for variant in plan.variants:
        data = canonical_json(variant.trainer.data)
        yield from (_placed(plan, variant, problem) for problem in variant.trainer.device_problems(device))
        try:
            if data not in fingerprints:
                fingerprints[data] = variant.trainer.fingerprint(environment)
        except DiskProblem:
            raise
        except Exception as error:  # factories are anybody's code
            yield problem_of("base.dataset", error)
            fingerprints[data] = ""
        made[variant.name] = list(_cells(plan, variant, registry, fingerprints[data], device, executor))
    return made


def _cells(
    plan: Plan, variant: Variant, registry: Registry, fingerprint: str, device: str, executor: Json
) -> Iterator[PlannedCell]:
    """The cells of a variant. Their recipes are one object, unless each has the weights of another cell."""
    varies = bool(named(registry, variant.recipe))
    identity = recipe_identity(registry, variant.recipe, fingerprint, device, executor)
    digest = "" if varies else recipe_digest(variant.canonical, device, identity)
    for seed in (seed + variant.seed_shift for seed in plan.seeds):
        recipe = variant.recipe
        if varies:
            recipe = with_files(registry, recipe, seed, plan.inputs)
            identity = recipe_identity(registry, recipe, fingerprint, device, executor)
            digest = recipe_digest(canonical_recipe(registry, placeless(recipe)), device, identity)  # their digests are known
        yield PlannedCell(variant.name, seed, make_cell(recipe, digest, seed, device, identity))


def _same(made: Mapping[str, Sequence[PlannedCell]]) -> Iterator[Problem]:
    """Variants that differ in what they call the weights of other cells, and in nothing else."""
    first: dict[tuple[str, ...], str] = {}
    for name, cells in made.items():
        keys = tuple(planned.cell.key for planned in cells)
        if keys in first:
            message = (
                f"it uses the same weights as {first[keys]!r}, and differs in nothing else: comparing them would show nothing"
            )
            yield Problem(f"variant {name!r}", message, "Name other weights, or remove it.")
        first.setdefault(keys, name)


def _placed(plan: Plan, variant: Variant, problem: Problem) -> Problem:
    """A problem of a field of a recipe at its place in the spec: in the base, or else in whatever makes the variant."""
    field = split(problem.path)
    in_base = get(plan.spec.document["base"], field) == get(variant.given, field)
    return replace(problem, path=f"base.{problem.path}" if in_base else f"variant {variant.name!r}")
