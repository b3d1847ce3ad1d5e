"""What a run has to do: a study on this machine, and which of its cells it needs as far as stored results tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ablate import devices, places
from ablate.contracts import Cell, Environment
from ablate.errors import Problem, SpecError, UsageError, checked, in_variants
from ablate.plain import shorten
from ablate.plan import Plan, PlannedCell, judged, make_cells, make_plan, placebo
from ablate.registry import Registry, default, sources
from ablate.registry.hooks import CellInfo
from ablate.registry.remembered import Memory
from ablate.spec import Spec, load
from ablate.spec.identity import canonical_json, executor_identity
from ablate.spec.patch import changes
from ablate.spec.recipe import resolve_component
from ablate.spec.trainer import Facts, trainer_of
from ablate.store import Store
from ablate.store.keeping import Keep, keep_of, keep_problems
from ablate.study import Study

from . import tuning
from .inputs import inputs_of

PAIRS = 5  # seeds from which on pairs pay at a correlation of 0.3, which is little where the split is shared


@dataclass(frozen=True)
class Options:
    """How a study is run; none of it changes a result.

    Attributes:
        store: Directory of the run store.
        data_dir: Directory of datasets.
        jobs: Cells at once; None for as many as the machine has cores, or as fit on the GPU.
        device: `auto`, `cpu`, `cuda`, `cuda:N`, or several as `cuda:0,2`; `cuda` and `auto` are all GPUs.
        executor: Name of the executor, or its component with parameters.
        download: Whether missing data may be fetched.
        placebo: Whether the reference takes the place of every variant.
        keep: What is kept of each cell, as `keeping.keep_of` reads it; what the spec says where None.
        extend: Whether cells go on from the kept states of finished ones that have fewer epochs and are the same in all else.
        retrain: Whether finished cells are trained again whose weights are to be kept and were not.
        reuse: Packages of which cells are taken that were trained with another version.
        remote: Where finished cells are taken from and given to: a folder, or a URL of fsspec.
        memory: What the run takes of each GPU at most, such as `6GB`; all where None.
    """

    store: Path | str | None = None
    data_dir: Path | str | None = None
    jobs: int | None = None
    device: str = "auto"
    executor: str | Mapping[str, Any] = "local"
    download: bool = True
    placebo: bool = False
    keep: str | None = None
    retrain: bool = False
    reuse: Sequence[str] = ()
    remote: str | None = None
    extend: bool = False
    memory: str | None = None


@dataclass(frozen=True)
class Job:
    """A study that is ready to run on this machine."""

    plan: Plan
    cells: Sequence[PlannedCell]
    registry: Registry
    environment: Environment
    device: str
    own_results: bool = False  # whether they come from the executor itself and not from ablate's training
    keep: Keep | None = None
    passed_over: str = ""  # why it does not run on the GPU that there is
    reused: tuple[str, ...] = ()  # what is taken of other versions, in sentences
    memory: int | None = None  # bytes of each GPU

    def notices(self) -> list[str]:
        """What the data and sizes have to say to the user, each thing once; all of it where data is decoded."""
        facts: dict[str, Facts] = {}
        remarks: list[tuple[str, Problem]] = []
        for variant in self.plan.variants:
            data = canonical_json(variant.trainer.data)
            if data not in facts:
                facts[data] = variant.trainer.facts(self.environment)
            remarks += [(variant.name, remark) for remark in variant.trainer.remarks(facts[data], self.device.partition(":")[0])]
        said = dict.fromkeys(notice for found in facts.values() for notice in found.notices)
        of_variants = map(str, in_variants(remarks))
        return [*([self.passed_over] if self.passed_over else []), *said, *of_variants, *pairing_notices(self.plan)]

    def members(self) -> list[tuple[str, int, str]]:
        """Variant, seed and key of each cell."""
        return [(planned.variant, planned.seed, planned.cell.key) for planned in self.cells]

    def infos(self) -> dict[str, CellInfo]:
        """Each distinct cell by its key."""
        levels = {variant.name: variant.levels for variant in self.plan.variants}
        owners = self.plan.owners()
        names: dict[str, list[str]] = {}
        levels_of: dict[str, dict[str, str]] = {}
        epochs: dict[str, int | None] = {}  # by variant, whose cells have one recipe
        for planned in self.cells:
            names.setdefault(planned.cell.key, []).append(planned.variant)
            if planned.variant not in epochs:
                epochs[planned.variant] = trainer_of(self.registry, planned.cell.recipe).epochs
            levels_of.setdefault(planned.cell.key, {}).update(levels[owners[planned.variant]])
        cells = {planned.cell.key: planned.cell for planned in self.cells}
        return {
            key: CellInfo(key, tuple(names[key]), cell.seed, epochs[names[key][0]], levels_of[key]) for key, cell in cells.items()
        }


def plan_of(spec: str | Path | Mapping[str, Any], overrides: Sequence[str]) -> Plan:
    """The plan of a spec, for any machine, with what is installed now.

    Raises:
        SpecError: With everything that is wrong with the spec.
    """
    registry = default()
    sources.look_again()
    sources.remember(registry.distributions)
    registry.memory = Memory()
    return make_plan(load(spec, overrides, partial(judged, registry)), registry)


def prepare(spec: str | Path | Mapping[str, Any], overrides: Sequence[str], options: Options) -> Job:
    """Plans a study for this machine. Nothing is built, and nothing but the data's identity is looked at.

    Raises:
        SpecError: With everything that is wrong with the spec; or with the cells whose weights it names and that the store does
            not have.
    """
    registry, plan = default(), plan_of(spec, overrides)
    executor = executor_identity(registry, executor_of(options.executor))
    plan = placebo(plan) if options.placebo else plan
    plan = replace(plan, inputs=inputs_of(plan, registry, places.store_dir(options.store)))
    keep = _keep(plan, options)
    environment = Environment(places.data_dir(options.data_dir), options.download)
    device = devices.of_run(options.device)
    memory = None if options.memory is None else devices.size_of(options.memory)
    if memory and device == devices.CPU:
        raise UsageError("--memory is what a run takes of a GPU, and this one is on a CPU.")
    cells = make_cells(plan, registry, environment, device.partition(":")[0], executor)
    if registry.memory:
        registry.memory.save()
    passed_over = places.passed_over(options.device)
    return Job(plan, cells, registry, environment, device, executor is not None, keep, passed_over, memory=memory)


def _keep(plan: Plan, options: Options) -> Keep | None:
    """What the run keeps.

    Raises:
        SpecError: A trainer cannot keep it.
        UsageError: It is asked to train again for nothing.
    """
    asked = options.keep or plan.spec.document.get("keep")
    if asked is None:
        if options.retrain:
            raise UsageError("--retrain trains finished cells again to keep their weights. Give --keep weights with it.")
        return None
    keep = keep_of(asked)
    found = list(keep_problems([variant.name for variant in plan.variants if not variant.trainer.keeps]))
    if found:
        raise SpecError(plan.spec.source, found)
    return keep


def executor_of(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """The executor of a run, with all of its parameters.

    Raises:
        SpecError: There is none of this name, or its parameters are wrong.
    """
    spec = {"use": given} if isinstance(given, str) else given
    resolved, found = checked(resolve_component(default(), "executor", spec, "executor"))
    if found:
        raise SpecError("--executor", found)
    return resolved


def at_once(job: Job, options: Options, cells: Sequence[Cell]) -> devices.Layout:
    """How many of these cells run at once, and where on this machine; all get what the largest takes."""
    trainers = [trainer_of(job.registry, cell.recipe) for cell in cells]
    return devices.layout(
        job.device,
        options.jobs,
        len(cells),
        max(trainer.threads for trainer in trainers),
        max(trainer.devices for trainer in trainers),
        all(trainer.shares for trainer in trainers),
    )


def at_most(job: Job) -> int | None:
    """How many cells a study with tuning has; None without."""
    tuning = job.plan.tuning
    return len(job.plan.variants) * (tuning.trials * tuning.seeds + 2 * len(job.plan.seeds)) if tuning else None


def try_recipes(job: Job, keys: set[str]) -> list[str]:
    """Tries, with two images or what its trainer tries it with, each recipe that has a cell among `keys`.

    Where settings are tuned, it tries the ends of what is searched: one that cannot work between them is a trial that fails.

    Returns:
        What works and is probably not meant, in a line each.

    Raises:
        SpecError: With the problems of all of them.
    """
    recipes = {p.variant: p.cell.recipe for p in job.cells if p.cell.key in keys}
    if recipes and job.plan.search is not None:
        recipes = tuning.recipes_to_try(job.plan, job.registry)
    compare = None if job.plan.search else job.plan.compare  # trials are judged on other images
    problems: list[tuple[str, Problem]] = []
    notices: list[tuple[str, Problem]] = []
    for variant, recipe in recipes.items():
        said: list[Problem] = []
        found = trainer_of(job.registry, recipe).preflight(job.environment, devices.first(job.device), compare, said)
        problems += [(variant, problem) for problem in found]
        notices += [(variant, notice) for notice in said]
    if problems:
        raise SpecError(job.plan.spec.source, in_variants(problems))
    return [str(notice) for notice in in_variants(notices)]


def pairing_notices(plan: Plan) -> list[str]:
    """Where variants share a split and are not compared within it, from so many seeds on that pairs are likely to pay."""
    shared = plan.reference.recipe.get("split") and not any(variant.seed_shift for variant in plan.variants)
    if not shared or plan.compare.paired or len(plan.seeds) < PAIRS:
        return []
    message = "all variants of a seed share its split. Set this to true, so that the luck of the split is not in the differences"
    return [str(Problem("compare.paired", message))]


def as_known(job: Job, store: Store | None) -> Job:
    """The job with the settings that are tried and chosen so far, as the results in the store tell; None for an empty store."""
    plan, cells = tuning.advance(job.plan, job.cells, job.registry, store.ended if store else lambda keys: {})
    return replace(job, plan=plan, cells=cells)


def wanted(plan: Plan, cells: Sequence[PlannedCell], study: Study | None) -> list[PlannedCell]:
    """The cells that a study needs, as far as one can tell from what it has: all of them, where it does not stop by itself."""
    rule = plan.stopping
    if rule is None:
        return list(cells)
    counts = {variant.name: rule.least for variant in plan.variants}
    if study is not None:
        from ablate.stats import images, runs, stopping, summary

        over, step = summary.ended(study), images.resolution(study)
        counts = stopping.wanted(summary.values(study), plan.compare, list(counts), rule, plan.seeds, over, step)
        counts |= dict.fromkeys(runs.unreached(study), rule.least)  # more seeds would show the same
    counts |= {told.untuned: counts[told.variant] for told in plan.tuning.variants} if plan.tuning else {}
    place = {seed: index for index, seed in enumerate(plan.seeds)}
    return [planned for planned in cells if planned.variant not in counts or place[planned.seed] < counts[planned.variant]]


def save(job: Job, store: Store, warn: Callable[[str], None], notices: Sequence[str] = ()) -> None:
    """Stores a study's spec and plan, its cells, and what its datasets had to say; says so where another spec had its name."""
    name = job.plan.spec.name
    differs = difference_from_stored(job.plan.spec, store)
    record = {**job.plan.record(), "notices": list(notices), "reused": list(job.reused)}
    earlier = store.save_study(name, job.plan.spec.document, record, job.members())
    if earlier:
        warn(
            f"this store had a study {name!r} with another spec: {differs}. "
            f"Its cells stay, and it is called {earlier!r} from now on, as in `ablate report {earlier}`"
        )


def difference_from_stored(spec: Spec, store: Store) -> str:
    """In what a spec differs from that of the stored study of its name; empty where nothing differs, or nothing is stored."""
    if spec.name not in store.studies() or not store.has_results(spec.name):
        return ""
    lines = [shorten(line, 80) for line in changes(store.spec(spec.name), spec.document)]
    return "; ".join(lines[:3]) + (f"; and {len(lines) - 3} more" if len(lines) > 3 else "")
