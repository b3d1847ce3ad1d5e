"""What a spec says of tuning, checked: every value that can be drawn is one that every recipe may have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ablate.contracts import Choice, Factor, Json, Range, Setting, Space
from ablate.errors import AblateError, Checking, Problem, checked, describe, did_you_mean, in_variants
from ablate.names import levels_of_name
from ablate.registry import Registry, build
from ablate.spec.identity import canonical_json, canonical_recipe
from ablate.spec.inputs import named
from ablate.spec.patch import get, join, show, split
from ablate.spec.patch import replace as put
from ablate.spec.recipe import Memo, Recipe, resolve, resolve_component
from ablate.spec.trainer import Tunable
from ablate.study import Compare

from .planned import Search, Variant

FIRST_SEED = 2**32  # of trials; the seeds that a spec may name are smaller
NOT_TUNABLE = [Problem("tune", "this trainer has no data apart from that of its results to judge settings by", "Remove `tune`.")]
OWN_SPACE = "Correct it, or give these variants spaces of their own in `tune.spaces`."


def search_of(
    registry: Registry,
    document: Mapping[str, Json],
    factors: Sequence[Factor],
    variants: Sequence[Variant],
    compare: Compare,
) -> Checking[Search | None]:
    """The search that a spec asks for; None where it asks for none."""
    given = document.get("tune")
    if given is None:
        return None
    search, wrong = checked(_search(registry, given, factors, variants, compare))
    yield from wrong
    if not wrong:
        yield from _tuner_problems(registry, search.tuner, search.spaces)
        yield from _alike(registry, variants, search.spaces)
    return search


def _search(
    registry: Registry, given: Mapping[str, Json], factors: Sequence[Factor], variants: Sequence[Variant], compare: Compare
) -> Checking[Search]:
    """The tuner by itself, and every space by itself."""
    tuner = yield from resolve_component(registry, "tuner", given.get("tuner", {"use": "random"}), "tune.tuner")
    yield from in_variants((variant.name, problem) for variant in variants for problem in _judging_problems(variant))
    places = yield from _places(given, factors, variants)
    memo: Memo = {}
    wrong: list[tuple[str, Problem]] = []
    spaces: dict[str, Space] = {}
    for variant in variants:
        if variant.name in places:
            place, domains = places[variant.name]
            spaces[variant.name], found = checked(_space(registry, variant, domains, place, compare, memo))
            wrong += [(variant.name, problem) for problem in found]
    yield from in_variants(wrong)
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + given.get("seeds", 1)))
    return Search(tuner, given["trials"], seeds, spaces)


def _judging_problems(variant: Variant) -> Sequence[Problem]:
    """Why settings of a variant cannot be judged apart from the results."""
    return NOT_TUNABLE if variant.trainer.tunable is None else variant.trainer.tunable.problems


def _places(
    given: Mapping[str, Json], factors: Sequence[Factor], variants: Sequence[Variant]
) -> Checking[dict[str, tuple[str, Json]]]:
    """For each variant where its space stands in the spec, and the space."""
    places: dict[str, tuple[str, Json]] = {}
    own = {key: _meant(key, factors, variants) for key in given.get("spaces", {})}
    known = [*(f"{f.name}={level}" for f in factors for level in (f.base, *f.others)), *(variant.name for variant in variants)]
    for key, names in own.items():
        if not names:
            hint = did_you_mean(key, known)
            yield Problem(join("tune.spaces", key), f"the study has no variant and no level {key!r}", hint)
    for variant in variants:
        keys = [key for key, names in own.items() if variant.name in names]
        keys = [key for key in keys if key == variant.name] or keys
        if len(keys) > 1:
            message = f"the spaces {', '.join(map(repr, keys))} are all for variant {variant.name!r}"
            yield Problem("tune.spaces", message, f"Add one with the name {variant.name!r}.")
        elif keys:
            places[variant.name] = join("tune.spaces", keys[0]), given["spaces"][keys[0]]
        elif "space" in given:
            places[variant.name] = "tune.space", given["space"]
        else:
            message = f"there is no space for variant {variant.name!r}, and every variant has to be tuned"
            yield Problem("tune", message, "Add a `space` for all variants, or one for this variant to `spaces`.")
    return places


def _meant(key: str, factors: Sequence[Factor], variants: Sequence[Variant]) -> list[str]:
    """The variants that a key of `spaces` is for: all at the levels that it names, or the one of this name."""
    levels = levels_of_name(key)
    if levels.keys() <= {factor.name for factor in factors}:
        return [variant.name for variant in variants if variant.levels and levels.items() <= variant.levels.items()]
    return [variant.name for variant in variants if variant.name == key]


def _space(
    registry: Registry, variant: Variant, domains: Mapping[str, Json], place: str, compare: Compare, memo: Memo
) -> Checking[Space]:
    """A variant's space with every value in its type."""
    space: Space = {}
    for path, given in domains.items():
        wrong = list(_path_problems(path, domains, compare, variant.trainer.tunable))
        if not wrong:
            values, wrong = checked(_values(registry, variant, path, given, memo))
        if not wrong:
            space[path], wrong = checked(_domain(given, values))
        yield from (replace(problem, path=join(place, path)) for problem in wrong)
    return space


def _values(registry: Registry, variant: Variant, path: str, given: Mapping[str, Json], memo: Memo) -> Checking[list[Json]]:
    """The choices or the ends of a domain, as a variant's resolved recipe has them."""
    values = []
    for value in given["choices"] if "choices" in given else [given["low"], given["high"]]:
        recipe, wrong = checked(resolve(registry, put(variant.given, split(path), value), "", memo))
        yield from (Problem("", f"{p.path}: {p.message}", f"{p.hint} {OWN_SPACE}".strip()) for p in wrong)
        if not wrong and named(registry, recipe) != named(registry, variant.recipe):
            yield Problem("", "other weights of cells cannot be tried as settings", "Make a factor of it.")
        values.append(get(recipe, split(path)))
    return values


def _path_problems(path: str, domains: Mapping[str, Json], compare: Compare, tunable: Tunable | None) -> Iterator[Problem]:
    try:
        keys = split(path)
    except AblateError as error:
        yield Problem("", str(error), "Paths begin in the recipe, such as optimizer.lr.")
        return
    if tunable and keys[0] in tunable.judges:
        yield Problem("", f"settings are judged by {keys[0]!r}, so it cannot be tuned", "Remove it.")
    if tunable and keys[0] in tunable.lengths and compare.at != "last":
        yield Problem("", f"results are compared at epoch {compare.at}, so {keys[0]!r} cannot be tuned", "Remove it.")
    for other in domains:
        if other != path and path.startswith(f"{other}."):
            yield Problem("", f"lies within {other!r}, which is searched too", "Remove one of them.")


def _domain(given: Mapping[str, Json], values: Sequence[Json]) -> Checking[Range | Choice]:
    """A domain whose ends or choices are these."""
    if "choices" in given:
        return Choice(tuple(values))
    (low, high), log, step = values, given.get("log", False), given.get("step")
    if not all(type(end) in (int, float) for end in values):
        yield Problem("", "is no number, so it has no range", 'Give it "choices".')
        return Choice(tuple(values))
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    if not low < high:
        yield Problem("", f"low {low:g} is not below high {high:g}")
    if log and low <= 0:
        yield Problem("", f"low {low:g} has no logarithm", "Begin above 0, or leave out `log`.")
    if step is not None and log:
        yield Problem("", "a logarithmic range has no steps", "Leave out `log` or `step`.")
    elif step is not None and step > high - low:
        yield Problem("", f"step {step:g} is larger than the range", "Choose a smaller step.")
    elif step is not None and isinstance(low, int):
        if step != int(step):
            yield Problem("", f"step {step:g} leads to numbers that are not whole", "Choose a whole step.")
        step = int(step)
    return Range(low, high, log, step)


def _tuner_problems(registry: Registry, tuner: Mapping[str, Json], spaces: Mapping[str, Space]) -> Iterator[Problem]:
    for space in {str(space): space for space in spaces.values()}.values():
        try:
            build(registry, "tuner", tuner, space)
        except (ValueError, AblateError) as error:  # the space does not fit the tuner
            yield Problem("tune.tuner", describe(error))


def _alike(registry: Registry, variants: Sequence[Variant], spaces: Mapping[str, Space]) -> Iterator[Problem]:
    """Variants that differ in nothing but what is tuned would be the same afterwards."""
    first: dict[str, str] = {}
    for variant in variants:
        space = spaces[variant.name]
        lows = {path: domain.values[0] if isinstance(domain, Choice) else domain.low for path, domain in space.items()}
        recipe = with_setting(registry, variant.given, lows)
        text = canonical_json([canonical_recipe(registry, recipe), str(space)])
        if text in first:
            message = f"it differs from {first[text]!r} in nothing but what is tuned, and in the same space"
            yield Problem(f"variant {variant.name!r}", message, "Take that out of the space, or remove the variant.")
        first.setdefault(text, variant.name)


def with_setting(registry: Registry, given: Json, setting: Setting) -> Recipe:
    """The recipe with a setting whose every value was checked."""
    for path, value in setting.items():
        given = put(given, split(path), value)
    recipe, problems = checked(resolve(registry, given, "", {}))
    assert not problems, f"values that are right one by one are right together: {problems}"  # noqa: S101
    return recipe


def ends(space: Space) -> Iterator[Setting]:
    """Every choice, and both ends of every range, alone."""
    for path, domain in space.items():
        for value in domain.values if isinstance(domain, Choice) else (domain.low, domain.high):
            yield {path: value}


def contains(space: Space, setting: Setting) -> bool:
    """Whether a setting is one of the space."""
    return space.keys() == setting.keys() and all(_within(domain, setting[path]) for path, domain in space.items())


def _within(domain: Range | Choice, value: Json) -> bool:
    if isinstance(domain, Choice):
        return value in domain.values
    return type(value) is type(domain.low) and domain.low <= value <= domain.high


def rounded(space: Space, setting: Setting) -> Setting:
    """The setting with four significant digits where it may have any value, so that reports say it whole."""
    found = dict(setting)
    for path, domain in space.items():
        if isinstance(domain, Range) and not domain.whole and domain.step is None:
            found[path] = min(max(float(f"{setting[path]:.4g}"), domain.low), domain.high)
    return found


def words(domain: Range | Choice) -> str:
    """A domain as people say it, such as `0.001 to 0.1, logarithmic`."""
    if isinstance(domain, Choice):
        *most, last = map(show, domain.values)
        return f"{', '.join(most)} or {last}"
    more = ", logarithmic" if domain.log else f", in steps of {domain.step:g}" if domain.step else ""
    return f"{show(domain.low)} to {show(domain.high)}{more}"
