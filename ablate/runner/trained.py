"""Finished cells by name, and the models that were trained in them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ablate.contracts import Cell
from ablate.errors import EnvironmentProblem, UsageError, did_you_mean
from ablate.registry import default
from ablate.registry.sources import version_of
from ablate.spec.inputs import with_paths
from ablate.spec.recipe import components
from ablate.spec.trainer import trainer_of
from ablate.store import Store
from ablate.store.portable import KEY

if TYPE_CHECKING:
    from ablate.engine.restoring import Restored

NOT_KEPT = (
    "They were not kept, had to make room, or stayed with the machine that trained, as a remote has none: "
    "`ablate run SPEC --keep weights --retrain` trains again for them."
)


def cell_of(store: Store, study: str, variant: str, seed: int | None) -> Cell:
    """The finished cell of a variant and a seed.

    Args:
        store: Where it is.
        study: Name of the study.
        variant: Name of the variant.
        seed: Its seed; the first one with kept weights where None.

    Raises:
        UsageError: There is no such study, variant or seed, or the cell is not finished, or has no weights.
    """
    cells = store.study(study).cells
    own = cells[cells["variant"] == variant]
    if own.empty:
        raise UsageError(f"study {study!r} has no variant {variant!r}. {did_you_mean(variant, set(cells['variant']))}".strip())
    done = own[own["status"] == "done"]
    kept = store.kept.digests(done["key"])
    if seed is not None:
        own = own[own["seed"] == seed]
        if own.empty:
            there = ", ".join(str(number) for number in cells.loc[cells["variant"] == variant, "seed"][:8])
            raise UsageError(f"variant {variant!r} of study {study!r} has no seed {seed}. There is: {there}.")
    for row in own.itertuples():
        if row.key in kept:
            return _cell(store, str(row.key))
    first = own.iloc[0]
    which = f"variant {variant!r}" + (f", seed {seed}," if seed is not None else "")
    if (own["status"] != "done").all():
        raise UsageError(f"{which} of study {study!r} is not trained to its end ({first['status']}). Run the study.")
    found = _cell(store, str(own.loc[own["status"] == "done", "key"].iloc[0]))
    if not trainer_of(default(), found.recipe).keeps:
        raise UsageError(f"study {study!r} is of the trainer {found.recipe['use']!r}, which does not show ablate its weights.")
    raise UsageError(f"{which} of study {study!r} has no weights in {store.directory}. {NOT_KEPT}")


def cells_of(store: Store, keys: Iterable[str]) -> list[Cell]:
    """Stored cells by their keys."""
    return [_cell(store, key) for key in keys]


def _cell(store: Store, key: str) -> Cell:
    """A stored cell; where its recipe names other cells' weights, it has the paths of those that are here."""
    row = store.cells(key)[0]

    def path_of(other: str) -> str | None:
        file = store.kept.file_of(other).absolute()
        return str(file) if KEY.fullmatch(other) and file.is_file() else None

    return Cell(key, with_paths(default(), row["recipe"], path_of), row["seed"], row["device"], row["identity"])


def restore(store: Store, cell: Cell, device: str, warn: Callable[[str], None]) -> "Restored":
    """The model of a cell, whose use is noted; says where the packages are others than those that trained it.

    Raises:
        EnvironmentProblem: The weights are damaged, or not those of the model that is installed now.
    """
    import torch

    from ablate.engine.build import PartError
    from ablate.engine.restoring import restored
    from ablate.engine.seeding import global_generators_kept

    for other in other_packages(cell):
        warn(f"cell {cell.key[:12]} was trained with {other}, and what its model tells may differ by that")
    try:
        with global_generators_kept():
            digest = store.kept.digests([cell.key])[cell.key]
            found = restored(default(), cell, store.kept.file_of(cell.key), digest, torch.device(device))
    except PartError as error:
        raise EnvironmentProblem(f"the model of cell {cell.key[:12]} cannot be built: {error}") from error
    if store.writable:
        store.kept.touch(cell.key)
    return found


def other_packages(cell: Cell) -> list[str]:
    """The packages that are another version now than when a cell was trained, but for edits of ablate's own source, in words."""
    used = {loaded.component.distribution for loaded, _ in components(default(), cell.recipe)}
    found = []
    for name, before in cell.identity.get("packages", {}).items():
        now = version_of(name)
        released = before.partition("+")[0] if name == "ablate-core" else before
        if released != (now.partition("+")[0] if name == "ablate-core" else now):
            found.append(f"{name} {before}, which is {now} now{'' if name in used else ' (required by others)'}")
    return found
