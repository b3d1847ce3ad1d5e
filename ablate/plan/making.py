"""A checked spec -> the variants of a study. Nothing is built here, and nothing runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from ablate.blocking import in_blocks
from ablate.contracts import MOST_VARIANTS, Assignment, Factor, Json
from ablate.errors import MOST, Problem, SpecError, describe, some_variants
from ablate.names import levels_as_name
from ablate.registry import Registry, build
from ablate.spec import Spec
from ablate.spec.identity import canonical_json, canonical_recipe
from ablate.spec.misplaced import explained
from ablate.spec.patch import get, has, join, merge, useless_removals
from ablate.spec.recipe import Memo, Recipe, resolve, resolve_component
from ablate.spec.trainer import trainer_of
from ablate.study import Stopping
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
    _, found = _checked(registry, document["base"], "base", memo)
    found += block_problems(document)
    factors = list(_factors(document))
    design, assignments = _assignments(registry, document, factors, found)
    seeds, stopping = _seeds(document.get("seeds", 3), found)
    if too_large := list(_size_problems(len(assignments) + len(document.get("variants", ())), len(seeds), document.get("tune"))):
        raise SpecError(spec.source, explained(registry, document, [*found, *too_large]))  # each variant would take long
    _look_at_patches(registry, document, found, memo)
    if found:
        raise SpecError(spec.source, explained(registry, document, found))
    variants = list(_variants(registry, document, factors, assignments, found, memo))
    if found:
        raise SpecError(spec.source, found)
    found += [*_repetitions(variants), *_split_problems(variants)]
    compare = compare_of(document, variants, found)
    found += selection_against_goal(variants, compare)
    published = published_of(document, factors, variants, found)
    search = None if found else search_of(registry, document, factors, variants, compare, found)
    if found:
        raise SpecError(spec.source, found)
    return Plan(spec, tuple(variants), seeds, compare, published, tuple(factors), design, stopping, search)


def judged(registry: Registry, document: Mapping[str, Json], structure: list[Problem]) -> list[Problem]:
    """Problems of a spec's structure, and of the components that can be looked at nevertheless.

    Args:
        registry: What is installed.
        document: The spec without what its structure has wrong.
        structure: Those problems.
    """
    found: list[Problem] = []
    if isinstance(document.get("base"), Mapping):
        memo: Memo = {}
        _, found = _checked(registry, document["base"], "base", memo)
        _look_at_patches(registry, document, found, memo)
    for kind, path in (("design", ["design"]), ("tuner", ["tune", "tuner"])):
        if (given := get(document, path)) is not None:
            resolve_component(registry, kind, given, ".".join(path), found)
    return explained(registry, document, [*structure, *found])


def _checked(registry: Registry, recipe: Json, path: str, memo: Memo) -> tuple[Recipe, list[Problem]]:
    """What `resolve` gives, and what the trainer has to say of the whole where each field is right."""
    resolved, problems = resolve(registry, recipe, path, memo)
    if not problems:
        trainer = trainer_of(registry, resolved)
        whole = [*metric_problems(trainer), *trainer.problems()]
        problems = [replace(problem, path=join_paths(path, problem.path)) for problem in whole]
    return resolved, problems


def _look_at_patches(registry: Registry, document: Mapping[str, Json], found: list[Problem], memo: Memo) -> None:
    """Appends what is wrong with each level and each named patch by itself."""
    patches: dict[str, Json] = {}
    for factor in document.get("factors", {}):
        for level, patch in document["factors"][factor].items():
            patches[join(join("factors", factor), level)] = patch
    patches |= {join("variants", name): patch for name, patch in document.get("variants", {}).items()}
    for path, patch in patches.items():
        if len(found) > MOST:
            break
        found += _patch_problems(registry, document["base"], patch, path, found, memo)


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


def _seeds(given: Json, found: list[Problem]) -> tuple[tuple[int, ...], Stopping | None]:
    """All seeds that may be used, in their order, and the rule by which they are added."""
    if isinstance(given, int):
        return tuple(range(given)), None
    if isinstance(given, list):
        return tuple(given), None
    if given["min"] > given["max"]:
        found.append(Problem("seeds", f"min {given['min']} is more than max {given['max']}"))
    first = given.get("first", 0)
    return tuple(range(first, first + given["max"])), Stopping(given["min"], given["max"], given.get("futility"))


def _factors(document: Mapping[str, Json]) -> Iterator[Factor]:
    """The factors of a spec; the base level is the empty patch, or is added where no level is empty."""
    for name, levels in document.get("factors", {}).items():
        base = next((level for level, patch in levels.items() if not patch), "base")
        yield Factor(name, base, tuple(level for level in levels if level != base))


def _patch_problems(
    registry: Registry, base: Json, patch: Json, path: str, known: Sequence[Problem], memo: Memo
) -> list[Problem]:
    """What is wrong with one patch on its own, each problem at the place in the patch that it comes from."""
    found = list(useless_removals(base, patch, path))
    resolved, problems = _checked(registry, merge(base, patch), "", memo)
    problems = problems or _setting_problems(registry, base, resolved, memo)
    in_base = {(problem.path, problem.message) for problem in known}
    for problem in problems:
        if (join_paths("base", problem.path), problem.message) not in in_base:
            place = join_paths(path, problem.path) if _stands_in(patch, problem.path) else path
            found.append(replace(problem, path=place))
    return found


def _setting_problems(registry: Registry, base: Json, resolved: Recipe, memo: Memo) -> list[Problem]:
    """Where settings that the base declares have become others by a patch; nothing where another trainer has taken its place."""
    declared, wrong = resolve(registry, base, "", memo)
    if wrong or declared.get("use") != resolved.get("use"):
        return []
    before, after = (trainer_of(registry, recipe).settings for recipe in (declared, resolved))
    return list(setting_problems(before, after)) if before is not None else []


def join_paths(path: str, rest: str) -> str:
    return f"{path}.{rest}" if path and rest else path or rest


def _stands_in(patch: Json, path: str) -> bool:
    return not path or has(patch, path)


def _assignments(
    registry: Registry, document: Mapping[str, Json], factors: Sequence[Factor], found: list[Problem]
) -> tuple[Json, list[Assignment]]:
    """The resolved design and what it makes of the factors, in every block; its first assignment is the reference."""
    if not factors:
        return None, [{}]
    blocks = document.get("compare", {}).get("blocks", ())
    compared = [factor for factor in factors if factor.name not in blocks] or factors
    before = len(found)
    design = resolve_component(registry, "design", document.get("design", {"use": "one_at_a_time"}), "design", found)
    if len(found) > before:
        return design, []
    try:
        made = list(islice(build(registry, "design", design, compared), MOST_VARIANTS + 1))
        _check_assignments(made, compared)
        return design, list(islice(in_blocks(made, factors, blocks), MOST_VARIANTS + 1))
    except Exception as error:  # the factors do not fit the design, or it is anybody's code that fails
        found.append(Problem("design", describe(error)))
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
    found: list[Problem],
    memo: Memo,
) -> Iterator[Variant]:
    base = document["base"]
    for assignment in assignments:
        recipe = base
        for factor, level in assignment.items():
            recipe = merge(recipe, document["factors"][factor].get(level, {}))
        yield from _variant(registry, _name(document, factors, assignment), assignment, recipe, found, memo)
        if len(found) > MOST:
            return
    for name, patch in document.get("variants", {}).items():
        yield from _variant(registry, name, {}, merge(base, patch), found, memo)


def _variant(
    registry: Registry, name: str, levels: dict[str, str], recipe: Json, found: list[Problem], memo: Memo
) -> Iterator[Variant]:
    """The variant, or none where something is wrong with its recipe."""
    resolved, problems = _checked(registry, recipe, "", memo)
    found += [Problem(f"variant {name!r}", f"{p.path}: {p.message}", p.hint) for p in problems]
    if not problems:
        yield Variant(name, levels, resolved, trainer_of(registry, resolved), canonical_recipe(registry, resolved), given=recipe)


def _name(document: Mapping[str, Json], factors: Sequence[Factor], assignment: Assignment) -> str:
    """The levels that the spec names: those that change something, and base levels that have a name in the spec."""
    named = [f.name for f in factors if assignment[f.name] != f.base or f.base in document["factors"][f.name]]
    return levels_as_name({name: assignment[name] for name in named}) or "base"


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
