"""Cells that are stored under other versions of packages than those that are installed: told, and taken where the user says so.

A stored cell is a planned one but for its versions where the planned recipe, with the identity of the stored cell in place of its
own, gives the key of the stored cell. So nothing but versions can differ: neither the recipe, nor the data, nor what the engine
or a component means.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ablate.contracts import Cell, Json
from ablate.errors import UsageError, did_you_mean
from ablate.plan import PlannedCell
from ablate.report.tables import plural
from ablate.spec.identity import canonical_recipe, make_cell, recipe_digest
from ablate.store import Store

from .job import Job

NOT_THERE = "not required"  # in place of a version


@dataclass(frozen=True)
class Other:
    """A finished cell that is a planned one but for the versions of packages.

    Attributes:
        cell: As the store has it.
        versions: The packages that differ, each with its version then and now.
    """

    cell: Cell
    versions: Mapping[str, tuple[str, str]]


def under_other_versions(job: Job, store: Store) -> dict[str, list[Other]]:
    """Of the planned cells that are not stored, by key, those that are stored under other versions, most alike first."""
    missing = {planned.cell.key for planned in job.cells}
    missing -= store.stored(list(missing))
    pending = [planned for planned in job.cells if planned.cell.key in missing]
    keys: dict[str, set[str]] = {}  # of finished cells, by their identity
    query = "SELECT key, identity FROM cells WHERE status = 'done' AND device = ? ORDER BY finished DESC"
    for row in store.access.read(query, job.device.partition(":")[0]) if pending else ():
        keys.setdefault(row["identity"], set()).add(row["key"])
    identities = [(json.loads(text), own) for text, own in keys.items()]
    canonical = {id(variant.recipe): variant.canonical for variant in job.plan.variants}
    digests: dict[tuple[int, int], str] = {}
    found: dict[str, list[Other]] = {}
    for planned in pending:
        cell = planned.cell
        for index, (identity, own) in enumerate(identities):
            versions = _versions(identity, cell.identity)
            if not versions:
                continue
            if (place := (id(cell.recipe), index)) not in digests:
                seen = canonical.get(id(cell.recipe)) or canonical_recipe(job.registry, cell.recipe)
                digests[place] = recipe_digest(seen, cell.device, identity)
            other = make_cell(cell.recipe, digests[place], cell.seed, cell.device, identity)
            if other.key in own and all(other.key != known.cell.key for known in found.get(cell.key, ())):
                found.setdefault(cell.key, []).append(Other(other, versions))
    return {key: sorted(others, key=lambda other: len(other.versions)) for key, others in found.items()}


def _versions(then: Mapping[str, Json], now: Mapping[str, Json]) -> dict[str, tuple[str, str]]:
    """The packages in which two identities differ; none where they are the same, or differ in anything else."""
    before, after = (dict(identity.get("packages", {})) for identity in (then, now))
    if {**then, "packages": None} != {**now, "packages": None}:
        return {}
    versions = ((name, before.get(name, NOT_THERE), after.get(name, NOT_THERE)) for name in sorted(before | after))
    return {name: (old, new) for name, old, new in versions if old != new}


def with_reused(job: Job, store: Store, packages: Sequence[str]) -> Job:
    """The job with stored cells in place of those that differ from them in nothing but the versions of these packages.

    Raises:
        UsageError: No cell depends on a package of that name, or settings are tuned.
    """
    if not packages:
        return job
    known = {name for planned in job.cells for name in planned.cell.identity.get("packages", {})}
    for name in packages:
        if name not in known:
            raise UsageError(
                f"--reuse {name}: no cell of this study depends on a package of that name. {did_you_mean(name, known)}"
            )
    if job.plan.search is not None:
        raise UsageError("--reuse: settings are tuned by results, which have to be of the same versions. Run it without --reuse.")
    others = under_other_versions(job, store)
    chosen: dict[str, Other] = {}
    for key, found in others.items():
        for other in found:
            if other.versions.keys() <= set(packages):
                chosen.setdefault(key, other)
    cells = [replace(p, cell=chosen[p.cell.key].cell) if p.cell.key in chosen else p for p in job.cells]
    return replace(job, cells=cells, reused=tuple(_told(job.cells, chosen)))


def _told(cells: Sequence[PlannedCell], chosen: Mapping[str, Other]) -> Iterator[str]:
    """What is reused, a sentence for each set of versions."""
    groups: dict[str, dict[str, int]] = {}
    for planned in cells:
        if planned.cell.key in chosen:
            names = groups.setdefault(in_words(chosen[planned.cell.key].versions), {})
            names[planned.variant] = names.get(planned.variant, 0) + 1
    for versions, names in groups.items():
        some = [f"{name} ({count})" for name, count in names.items()]
        more = f" and {len(some) - 5} more variants" if len(some) > 5 else ""
        count = sum(names.values())
        mixed = " What differs between variants may be a difference of versions." if count < len(cells) else ""
        yield (
            f"versions: {count} of {plural(len(cells), 'cell')} were trained with {versions} and taken by --reuse: "
            f"{', '.join(some[:5])}{more}.{mixed}"
        )


def in_words(versions: Mapping[str, tuple[str, str]]) -> str:
    """Such as `torch 2.10.0 (2.11.0 now)`."""
    return ", ".join(f"{name} {then} ({now} now)" for name, (then, now) in versions.items())


def stored_otherwise(job: Job, store: Store) -> list[tuple[int, Mapping[str, tuple[str, str]]]]:
    """How many of the cells to train are stored under which other versions, each cell once, with those most like the present."""
    groups: dict[str, tuple[int, Mapping[str, tuple[str, str]]]] = {}
    for others in under_other_versions(job, store).values():
        versions = others[0].versions
        count, _ = groups.get(text := in_words(versions), (0, versions))
        groups[text] = count + 1, versions
    return list(groups.values())
