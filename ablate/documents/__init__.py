"""What commands print with `--json`, from Python: the same documents as dictionaries, and their JSON Schemas."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.study import Study
from ablate.version import JSON_VERSION

if TYPE_CHECKING:
    from ablate.runner.job import Job

Place = Path | str | None


def study(found: Study) -> dict[str, Any]:
    """A study and what is concluded from it, as `ablate report STUDY --json` prints it.

    Args:
        found: What `ablate.run`, `ablate.load_study` or `ablate.judge` returned.
    """
    from ablate.report.content import page
    from ablate.report.data import record

    return _versioned(record(page(found)))


def check(
    spec: str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    store: Place = None,
    data_dir: Place = None,
    device: str = "auto",
) -> dict[str, Any]:
    """The plan of a spec, as `ablate check --json` prints it. Nothing is built or fetched.

    Raises:
        SpecError: With everything that is wrong with the spec.
    """
    from ablate import places
    from ablate.runner.job import Options, as_known, prepare
    from ablate.runner.reusing import stored_otherwise
    from ablate.store import Store, exists

    job = prepare(spec, overrides, Options(store, data_dir, device=device, download=False))
    directory = places.store_dir(store)
    if not exists(directory):
        job = as_known(job, None)
        return _versioned(plan_record(job, (), job.notices()))
    with Store(directory, create=False) as opened:
        job = as_known(job, opened)
        stored = opened.stored([planned.cell.key for planned in job.cells])
        return _versioned(plan_record(job, stored, job.notices(), stored_otherwise(job, opened)))


def plan_record(
    job: "Job", stored: Collection[str], notices: Sequence[str], otherwise: Sequence[tuple[int, Mapping[str, Any]]] = ()
) -> dict[str, Any]:
    """A plan, without a version.

    Args:
        job: What a run would have to do.
        stored: The keys of the cells that the store has.
        notices: What is to be said of it.
        otherwise: How many cells are stored of other versions, and which.
    """
    plan, owners = job.plan, job.plan.owners()
    counts: dict[str, list[bool]] = {info.name: [] for info in plan.infos()}
    for planned in job.cells:
        counts[owners[planned.variant]].append(planned.cell.key in stored)
    variants = [{**vars(info), "cells": len(counts[info.name]), "stored": sum(counts[info.name])} for info in plan.infos()]
    cells = [{"variant": p.variant, "seed": p.seed, "key": p.cell.key, "stored": p.cell.key in stored} for p in job.cells]
    record: dict[str, Any] = {"name": plan.spec.name, "reference": plan.compare.reference, "variants": variants, "cells": cells}
    others = [{"cells": count, "versions": dict(versions)} for count, versions in otherwise]
    record |= {"notices": list(notices), "reused": list(job.reused), "other_versions": others}
    return record | ({"tuning": plan.tuning.record()} if plan.tuning else {})


def power(
    study: str,
    *,
    overrides: Sequence[str] = (),
    store: Place = None,
    sd: float | None = None,
    seeds: Sequence[int] = (),
    differences: Sequence[float] = (),
    probability: float = 0.8,
) -> dict[str, Any]:
    """What a study can show, as `ablate power --json` prints it.

    Raises:
        UsageError: There is no such study, or nothing is known of its noise.
    """
    from ablate.report.data import finite
    from ablate.runner.power import power as power_of

    return _versioned(finite(asdict(power_of(study, overrides, store, sd, seeds, differences, probability))))


def status(store: Place = None) -> dict[str, Any]:
    """The studies of a store and how far each is, as `ablate status --json` prints it.

    Raises:
        StoreError: There is no store.
    """
    from ablate import places
    from ablate.store import Store
    from ablate.store.following import STATES

    with Store(places.store_dir(store), create=False) as opened:
        found = {name: opened.study(name).every_cell["status"] for name in opened.studies()}
    rows = [
        {"study": name, "cells": len(cells), **{state: int((cells == state).sum()) for state in STATES}}
        for name, cells in found.items()
    ]
    return _versioned({"studies": rows})


def store_list(store: Place = None) -> dict[str, Any]:
    """The studies of a store with what they share and their sizes, as `ablate store list --json` prints it.

    Raises:
        StoreError: There is no store.
    """
    from ablate import places
    from ablate.store import Store
    from ablate.store.tidying import listed

    with Store(places.store_dir(store), create=False) as opened:
        return _versioned({"studies": [asdict(one) for one in listed(opened)]})


def store_size(store: Place = None) -> dict[str, Any]:
    """How large a store is, part by part, as `ablate store size --json` prints it.

    Raises:
        StoreError: There is no store.
    """
    from ablate import places
    from ablate.store import Store
    from ablate.store.tidying import size

    with Store(places.store_dir(store), create=False) as opened:
        found = size(opened)
    return _versioned({"bytes": found.bytes, **asdict(found)})


def diff(one: str, other: str, *, store: Place = None) -> dict[str, Any]:
    """Two cells or two studies side by side, as `ablate diff --json` prints it.

    Raises:
        UsageError: The store has no such study or cell.
    """
    from ablate import places
    from ablate.report.diff import difference
    from ablate.store import Store

    with Store(places.store_dir(store), create=False) as opened:
        return _versioned(asdict(difference(opened, one, other)))


def predict(
    study: str, variant: str, images: Path | str, *, seed: int | None = None, store: Place = None, device: str = "auto"
) -> dict[str, Any]:
    """What a kept model says of the images of a folder, as `ablate predict --json` prints it.

    Raises:
        UsageError: There is no such cell, it is not finished, or its weights were not kept.
        EnvironmentProblem: The weights are damaged, or images cannot be read.
    """
    from .trained import prediction_record

    return _versioned(prediction_record(study, variant, images, seed, store, device, warnings.warn))


def evaluate(
    study: str,
    *,
    metrics: Sequence[str | Mapping[str, Any]] = (),
    dataset: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    store: Place = None,
    data_dir: Place = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Measures finished cells, as `ablate evaluate --json` does; the values are columns of `load_study(study).cells`.

    Args:
        study: Its name.
        metrics: Names, or components with parameters; the recipe's unless given.
        dataset: The dataset whose test images count; the images of the study unless given.
        name: What the images are called in the columns; as the dataset unless given.
        store: Directory of the run store.
        data_dir: Directory of datasets.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UsageError: Nothing is asked for, no cell has weights, or a column of this name has something else.
        SpecError: A metric or the dataset is wrong.
        EnvironmentProblem: Data or weights are missing or damaged, or do not fit each other.
    """
    from .trained import component_of, evaluation_record

    specs = [component_of(one, "metrics") for one in metrics]
    images = None if dataset is None else component_of(dataset, "dataset")
    record = evaluation_record(study, specs, images, name, (store, data_dir), device, lambda line: None, warnings.warn)
    return _versioned(record)


def components(kind: str | None = None, *, search: str = "", load: bool = False) -> dict[str, Any]:
    """What can be used, as `ablate list --json` prints it.

    Raises:
        UsageError: There is no such kind.
    """
    from .installed import components_record

    return _versioned(components_record(kind, search, load))


def component(kind: str, name: str) -> dict[str, Any]:
    """A component with its parameters, or a hook, as `ablate show --json` prints it.

    Raises:
        UsageError: There is none of this name.
    """
    from .installed import component_record

    return _versioned(component_record(kind, name))


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a document: `study`, `studies`, `check`, `probe`, `power`, `status`, `diff`, `list`, `show`, …

    Raises:
        UsageError: There is no document of this name.
    """
    from .schemas import schema as schema_of

    return schema_of(name)


def _versioned(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": JSON_VERSION, **content}
