"""The weights of finished cells that a study names as inputs, looked up in the store before anything else is done."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from ablate.contracts import Json
from ablate.errors import Checking, EnvironmentProblem, Problem, SpecError, checked, did_you_mean, in_variants
from ablate.plan import Plan, Variant
from ablate.registry import Registry
from ablate.registry.inputs import SAME, file_digest
from ablate.report.tables import ranges
from ablate.spec.inputs import Named, named, which
from ablate.spec.trainer import trainer_of
from ablate.store import Store, exists

from .trained import NOT_KEPT, cells_of

RUN = "Run the spec of that study with `ablate run SPEC --keep weights`"


@dataclass(frozen=True)
class _Asked:
    """Cells that are named in one place.

    Attributes:
        path: Where it is in the recipe.
        study: Name of their study.
        variant: Name of their variant.
        seeds: All seeds whose cells are needed.
        same: Whether these are the seeds of the study that asks.
    """

    path: str
    study: str
    variant: str
    seeds: tuple[int, ...]
    same: bool

    def __str__(self) -> str:
        return f"variant {self.variant!r} of study {self.study!r}"


def inputs_of(plan: Plan, registry: Registry, directory: Path) -> dict[Named, Json]:
    """The cells whose weights a plan names, as recipes of cells have them; nothing is opened where it names none.

    Args:
        plan: The plan.
        registry: What is installed.
        directory: That of the store.

    Raises:
        SpecError: With every cell that is not in the store, is not finished, or has no weights, or damaged ones.
    """
    asked: dict[_Asked, list[str]] = {}
    for variant in plan.variants:
        for one in _asked(plan, variant, registry):
            asked.setdefault(one, []).append(variant.name)
    found: dict[Named, Json] = {}
    if not asked:
        return found
    problems: list[tuple[str, Problem]] = []
    with Store(directory, create=False) if exists(directory) else nullcontext() as store:
        for one, variants in asked.items():
            more, wrong = checked(_look(store, directory, one, plan, registry, found))
            found |= more
            problems += [(variant, replace(problem, path=one.path)) for problem in wrong for variant in variants]
    if problems:
        raise SpecError(plan.spec.source, in_variants(problems))
    return found


def _asked(plan: Plan, variant: Variant, registry: Registry) -> Iterator[_Asked]:
    for path, value in named(registry, variant.recipe):
        cells = dict.fromkeys(which(value, seed + variant.seed_shift) for seed in plan.seeds)
        study, name, _ = next(iter(cells))
        yield _Asked(path, study, name, tuple(seed for *_, seed in cells), value["cell"]["seed"] == SAME)


def _look(
    store: Store | None, directory: Path, asked: _Asked, plan: Plan, registry: Registry, known: Container[Named]
) -> Checking[dict[Named, Json]]:
    """The cells that are not known, as recipes of cells have them."""
    if asked.same and plan.search:
        message = "settings are tuned with seeds of their own, of which no other study has cells"
        yield Problem("", message, 'Give the cell a number as its "seed", or remove `tune`.')
    elif asked.study == plan.spec.name:
        yield Problem(
            "", f"{asked} is of the very study that uses it", "Give one of the two, the trained or the using, a name of its own."
        )
    elif store is None:
        message = f"there is no store in {directory}, where the weights of {asked} are looked for"
        yield Problem("", message, f"{RUN}, or give another store with --store.", outside=True)
    elif asked.study not in (studies := store.studies()):
        hint = f"{did_you_mean(asked.study, studies)} {RUN}.".lstrip()
        yield Problem("", f"the store in {directory} has no study {asked.study!r}", hint)
    else:
        cells = store.study(asked.study).cells
        own = cells[cells["variant"] == asked.variant]
        if own.empty:
            hint = did_you_mean(asked.variant, set(cells["variant"]))
            yield Problem("", f"study {asked.study!r} has no variant {asked.variant!r}", hint)
            return {}
        states, keys = (dict(zip(own["seed"], own[column], strict=True)) for column in ("status", "key"))
        yield from _state_problems(asked, states)
        done = {seed: keys[seed] for seed in asked.seeds if states.get(seed) == "done"}
        return (yield from _taken(store, asked, done, registry, known))
    return {}


def _state_problems(asked: _Asked, states: Mapping[int, str]) -> Iterator[Problem]:
    """Which seeds are not there, or not trained to their end, by the states of those that are there."""
    by_state: dict[str | None, list[int]] = {}
    for seed in asked.seeds:
        by_state.setdefault(states.get(seed), []).append(seed)
    for state, seeds in by_state.items():
        if state is None:
            fewer = ", or take fewer seeds here" if asked.same else ""
            yield Problem("", f"{asked} has no {_seeds(seeds)}", f"It has {ranges(states)}. {RUN} and more seeds{fewer}.")
        elif state != "done":
            end = "are not trained to their end" if len(seeds) > 1 else "is not trained to its end"
            yield Problem("", f"{_seeds(seeds)} of {asked} {end} ({state})", f"{RUN}.", outside=True)


def _taken(
    store: Store, asked: _Asked, done: Mapping[int, str], registry: Registry, known: Container[Named]
) -> Checking[dict[Named, Json]]:
    """Finished cells, given by their seeds and keys, but those that are known, have no weights, or damaged ones."""
    taken: dict[Named, Json] = {}
    digests = store.kept.digests(done.values())
    if without := [seed for seed in done if done[seed] not in digests]:
        trained = cells_of(store, [done[without[0]]])[0].recipe
        hint = NOT_KEPT
        if not trainer_of(registry, trained).keeps:
            hint = f"Its trainer {trained['use']!r} does not show ablate its weights: give the path of a file that it wrote."
        yield Problem("", f"no weights are kept in {store.directory} of {_seeds(without)} of {asked}", hint, outside=True)
    for seed, key in done.items():
        name = asked.study, asked.variant, seed
        if key in digests and name not in known:
            try:
                content = _content(store.kept.file_of(key).absolute(), key, digests[key])
            except EnvironmentProblem as error:
                yield Problem("", f"{_seeds([seed])} of {asked}: {error}", outside=True)
            else:
                taken[name] = {"cell": dict(zip(("study", "variant", "seed"), name, strict=True)), "key": key, **content}
    return taken


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {ranges(seeds)}"


def _content(file: Path, key: str, digest: str) -> Mapping[str, str]:
    """The file of kept weights with its digest, once it is known to have the weights that were trained.

    Raises:
        EnvironmentProblem: It cannot be read, or has others.
    """
    from ablate.engine.weights import load  # with torch, which other specs are checked without

    load(file, key, digest)
    return {"sha256": file_digest(file), "path": str(file)}
