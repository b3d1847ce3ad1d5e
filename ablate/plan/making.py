"""A checked spec -> the variants of a study. Nothing is built here, and nothing runs."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain, islice

from ablate.blocking import in_blocks
from ablate.contracts import MOST_VARIANTS, Assignment, Factor, Json
from ablate.errors import MOST, Checking, Problem, SpecError, checked, describe, some_variants
from ablate.names import levels_as_name
from ablate.registry import Registry, build
from ablate.spec import Spec
from ablate.spec.identity import canonical_json, canonical_recipe
from ablate.spec.misplaced import explained
from ablate.spec.patch import get, has, join, merge, useless_removals
from ablate.spec.recipe import Memo, Recipe, resolve, resolve_component
from ablate.spec.trainer import trainer_of
from ablate.study import Compare, Stopping
from ablate.trainers.declared import setting_problems

from .comparing import block_problems, compare_of, metric_problems, published_of, selection_against_goal
from .planned import Plan, Variant
from .space import search_of

MOST_CELLS = 100_000  # of a study


def make_plan(spec: Spec, registry: Registry) -> Plan:
    """Resolves every variant of a spec.

    Raises:
        SpecError: With everything that is wrong: names, parameters, and variants that change nothing.
    """
    document = spec.document
    memo: Memo = {}
    factors = tuple(_factors(document))
    (design, assignments, seeds, stopping), found = checked(_parts(registry, document, factors, memo))
    too_large = list(_size_problems(len(assignments) + len(document.get("variants", ())), len(seeds), document.get("tune")))
    if wrong := [*found, *(too_large or _patch_problems(registry, document, found, memo))]:  # of so many, each would take long
        raise SpecError(spec.source, explained(registry, document, wrong))
    variants, found = checked(_variants(registry, document, factors, assignments, memo))
    if found:
        raise SpecError(spec.source, found)
    (compare, published), found = checked(_comparison(document, factors, variants))
    if found:
        raise SpecError(spec.source, found)
    search, found = checked(search_of(registry, document, factors, variants, compare))
    if found:
        raise SpecError(spec.source, found)
    return Plan(spec, tuple(variants), seeds, compare, published, factors, design, stopping, search)


def judged(registry: Registry, document: Mapping[str, Json], structure: Sequence[Problem]) -> Iterator[Problem]:
    """Problems of a spec's structure, and of the components that can be looked at nevertheless.

    Args:
        registry: What is installed.
        document: The spec without what its structure has wrong.
        structure: Those problems.
    """
    yield from explained(registry, document, chain(structure, _component_problems(registry, document)))


def _component_problems(registry: Registry, document: Mapping[str, Json]) -> Iterator[Problem]:
    if isinstance(document.get("base"), Mapping):
        memo: Memo = {}
        _, found = checked(_whole(registry, document["base"], "base", memo))
        yield from found
        yield from _patch_problems(registry, document, found, memo)
    for kind, path in (("design", ["design"]), ("tuner", ["tune", "tuner"])):
        if (given := get(document, path)) is not None:
            yield from resolve_component(registry, kind, given, ".".join(path))


def _whole(registry: Registry, recipe: Json, path: str, memo: Memo) -> Checking[Recipe]:
    """As `resolve`; where each field is right, the trainer has its say of the whole."""
    resolved, found = checked(resolve(registry, recipe, path, memo))
    yield from found
    if not found:
        trainer = trainer_of(registry, resolved)
        for problem in chain(metric_problems(trainer), trainer.problems()):
            yield replace(problem, path=join_paths(path, problem.path))
    return resolved


def _parts(
    registry: Registry, document: Mapping[str, Json], factors: Sequence[Factor], memo: Memo
) -> Checking[tuple[Json, list[Assignment], tuple[int, ...], Stopping | None]]:
    """The design, what it makes of the factors, the seeds and their rule; the base is looked at, and no patch on it."""
    yield from _whole(registry, document["base"], "base", memo)
    yield from block_problems(document)
    design, assignments = yield from _assignments(registry, document, factors)
    seeds, stopping = yield from _seeds(document.get("seeds", 3))
    return design, assignments, seeds, stopping


def _patch_problems(registry: Registry, document: Mapping[str, Json], known: Sequence[Problem], memo: Memo) -> Iterator[Problem]:
    """What is wrong with each level and each named patch by itself, and not with the base, of which that is known."""
    patches: dict[str, Json] = {}
    for factor in document.get("factors", {}):
        for level, patch in document["factors"][factor].items():
            patches[join(join("factors", factor), level)] = patch
    patches |= {join("variants", name): patch for name, patch in document.get("variants", {}).items()}
    base, in_base, count = document["base"], {(problem.path, problem.message) for problem in known}, len(known)
    for path, patch in patches.items():
        if count > MOST:
            return
        for problem in _one_patch(registry, base, patch, path, in_base, memo):
            yield problem
            count += 1


def _size_problems(variants: int, seeds: int, tune: Json) -> Iterator[Problem]:
    trials = tune["trials"] * tune.get("seeds", 1) if tune else 0
    cells = variants * (trials + seeds * (2 if tune else 1))  # what is tuned is trained untuned too
    if variants > MOST_VARIANTS:
        yield Problem(
            "design", f"there are more than {MOST_VARIANTS:,} variants", "Leave out factors or levels, or choose another."
        )
    elif cells > MOST_CELLS:
        searched = f" and {trials:,} cells of trials" if tune else ""
        message = f"{variants:,} variants with {seeds:,} seeds{searched} are {cells:,} cells; a study has at most {MOST_CELLS:,}"
        yield Problem("tune" if trials > 2 * seeds else "seeds", message, "Take fewer of them.")


def _seeds(given: Json) -> Checking[tuple[tuple[int, ...], Stopping | None]]:
    """All seeds that may be used, in their order, and the rule by which they are added."""
    if isinstance(given, int):
        return tuple(range(given)), None
    if isinstance(given, list):
        return tuple(given), None
    if given["min"] > given["max"]:
        yield Problem("seeds", f"min {given['min']} is more than max {given['max']}")
    first = given.get("first", 0)
    return tuple(range(first, first + given["max"])), Stopping(given["min"], given["max"], given.get("futility"))


def _factors(document: Mapping[str, Json]) -> Iterator[Factor]:
    """The factors of a spec; the base level is the empty patch, or is added where no level is empty."""
    for name, levels in document.get("factors", {}).items():
        base = next((level for level, patch in levels.items() if not patch), "base")
        yield Factor(name, base, tuple(level for level in levels if level != base))


def _one_patch(
    registry: Registry, base: Json, patch: Json, path: str, in_base: Set[tuple[str, str]], memo: Memo
) -> Iterator[Problem]:
    """What is wrong with one patch on its own, each problem at the place in the patch that it comes from."""
    yield from useless_removals(base, patch, path)
    resolved, found = checked(_whole(registry, merge(base, patch), "", memo))
    for problem in found or _setting_problems(registry, base, resolved, memo):
        if (join_paths("base", problem.path), problem.message) not in in_base:
            place = join_paths(path, problem.path) if _stands_in(patch, problem.path) else path
            yield replace(problem, path=place)


def _setting_problems(registry: Registry, base: Json, resolved: Recipe, memo: Memo) -> Iterator[Problem]:
    """Where settings that the base declares have become others by a patch; nothing where another trainer has taken its place."""
    declared, wrong = checked(resolve(registry, base, "", memo))
    if not wrong and declared.get("use") == resolved.get("use"):
        before, after = (trainer_of(registry, recipe).settings for recipe in (declared, resolved))
        if before is not None:
            yield from setting_problems(before, after)


def join_paths(path: str, rest: str) -> str:
    return f"{path}.{rest}" if path and rest else path or rest


def _stands_in(patch: Json, path: str) -> bool:
    return not path or has(patch, path)


def _assignments(
    registry: Registry, document: Mapping[str, Json], factors: Sequence[Factor]
) -> Checking[tuple[Json, list[Assignment]]]:
    """The resolved design and what it makes of the factors, in every block; its first assignment is the reference."""
    if not factors:
        return None, [{}]
    blocks = document.get("compare", {}).get("blocks", ())
    compared = [factor for factor in factors if factor.name not in blocks] or factors
    design, wrong = checked(resolve_component(registry, "design", document.get("design", {"use": "one_at_a_time"}), "design"))
    if wrong:
        yield from wrong
        return design, []
    try:
        made = list(islice(build(registry, "design", design, compared), MOST_VARIANTS + 1))
        _check_assignments(made, compared)
        return design, list(islice(in_blocks(made, factors, blocks), MOST_VARIANTS + 1))
    except Exception as error:  # the factors do not fit the design, or it is anybody's code that fails
        yield Problem("design", describe(error))
        return design, []


def _check_assignments(made: Sequence[Json], factors: Sequence[Factor]) -> None:
    levels = {factor.name: {factor.base, *factor.others} for factor in factors}
    if not made:
        raise ValueError("the design gave no combination of levels")
    for assignment in made:
        if not isinstance(assignment, Mapping) or assignment.keys() != levels.keys():
            raise TypeError(f"the design gave {assignment!r}; expected a level for each factor")
        for name, level in assignment.items():
            if level not in levels[name]:
                raise ValueError(f"the design gave {name!r} the level {level!r}, which it does not have")


def _variants(
    registry: Registry,
    document: Mapping[str, Json],
    factors: Sequence[Factor],
    assignments: Sequence[Assignment],
    memo: Memo,
) -> Checking[tuple[Variant, ...]]:
    """The variants with whose recipes nothing is wrong."""
    made, count = [], 0
    for name, levels, recipe in _recipes(document, factors, assignments):
        resolved, found = checked(_whole(registry, recipe, "", memo))
        yield from (Problem(f"variant {name!r}", f"{p.path}: {p.message}", p.hint) for p in found)
        if not found:
            trainer, canonical = trainer_of(registry, resolved), canonical_recipe(registry, resolved)
            made.append(Variant(name, levels, resolved, trainer, canonical, given=recipe))
        if (count := count + len(found)) > MOST:
            break
    return tuple(made)


def _recipes(
    document: Mapping[str, Json], factors: Sequence[Factor], assignments: Sequence[Assignment]
) -> Iterator[tuple[str, Assignment, Json]]:
    """Name, levels and recipe of each variant, as the spec gives them."""
    base = document["base"]
    for assignment in assignments:
        recipe = base
        for factor, level in assignment.items():
            recipe = merge(recipe, document["factors"][factor].get(level, {}))
        yield _name(document, factors, assignment), assignment, recipe
    for name, patch in document.get("variants", {}).items():
        yield name, {}, merge(base, patch)


def _name(document: Mapping[str, Json], factors: Sequence[Factor], assignment: Assignment) -> str:
    """The levels that the spec names: those that change something, and base levels that have a name in the spec."""
    named = [f.name for f in factors if assignment[f.name] != f.base or f.base in document["factors"][f.name]]
    return levels_as_name({name: assignment[name] for name in named}) or "base"


def _comparison(
    document: Mapping[str, Json], factors: Sequence[Factor], variants: Sequence[Variant]
) -> Checking[tuple[Compare, dict[str, Json]]]:
    """How the variants are compared, and somebody's numbers for them."""
    yield from _repetitions(variants)
    yield from _split_problems(variants)
    compare = yield from compare_of(document, variants)
    yield from selection_against_goal(variants, compare)
    return compare, (yield from published_of(document, factors, variants))


def _repetitions(variants: Sequence[Variant]) -> Iterator[Problem]:
    """A variant that is another one under a second name would be compared with itself."""
    first: dict[str, str] = {}
    names: set[str] = set()
    for variant in variants:
        if variant.name in names:
            yield Problem(join("variants", variant.name), "another variant has this name", "Choose another.")
        names.add(variant.name)
        text = canonical_json(variant.canonical)
        if text in first:
            yield Problem(
                f"variant {variant.name!r}",
                f"its recipe does not differ from that of {first[text]!r}: comparing them would show nothing",
                "Correct what it changes, or remove it.",
            )
        first.setdefault(text, variant.name)


def _split_problems(variants: Sequence[Variant]) -> Iterator[Problem]:
    """Where some variants are told on other images, the luck of the split would be taken for what a variant does."""
    by_seed = [variant.name for variant in variants if variant.recipe.get("split")]
    if by_seed and len(by_seed) < len(variants):
        message = f"only a part of the variants has a split by seed ({some_variants(by_seed)}), and they cannot be compared"
        yield Problem("base.split", message, "Put it into the base, or leave it out.")
