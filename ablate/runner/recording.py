"""The listener that writes to the store what becomes of cells."""

import shutil
from collections.abc import Callable
from typing import Any

from ablate.contracts import Result
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.report.tables import plural
from ablate.spec.trainer import Controls
from ablate.store import Store
from ablate.store.keeping import Keep


class StoreWriter:
    """The listener that writes results to the store, and removes weights for which there is no room any more."""

    def __init__(self, store: Store, keep: Keep | None, warn: Callable[[str], None]):
        self._store, self._keep, self._warn = store, keep, warn
        self._gone: list[tuple[int, int]] = []  # cells that lost their weights, and the bytes of these

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        self._store.record_epoch(cell.key, record)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None, log: str | None) -> None:
        if result is None:
            self._store.fail(cell.key, status, error, log)
            return
        try:
            stored = self._store.finish(cell.key, result)
        except (TypeError, ValueError) as problem:  # such as NaN, from an executor that is not ours
            self._store.fail(cell.key, "failed", f"its result cannot be stored: {problem}", log)
            return
        if result.kept_sha256 is not None:
            self._look_at_weights(cell, result, stored)
        if stored or result.kept_sha256 is not None:
            forget(self._store, cell.key)

    def _look_at_weights(self, cell: CellInfo, result: Result, stored: bool) -> None:
        """Says where weights were not kept, and makes room for those that were."""
        kept = self._store.kept
        named = f"{cell.variants[0]}, seed {cell.seed}"
        if stored and cell.key not in kept.digests([cell.key]):
            self._warn(f"{named}: its weights are not kept: they were written where this machine does not see them")
        if not stored and not kept.add_again(cell.key, result):
            self._warn(
                f"{named}: trained again, it has other weights than those of its stored result, or they were written where this "
                "machine does not see them: they are not kept, and the result stays as it is"
            )
        if self._keep:
            self._gone.append(kept.make_room(self._keep.gigabytes))

    @hookimpl
    def study_end(self) -> None:
        """Says what had to go, once a run."""
        cells, size = (sum(gone) for gone in zip((0, 0), *self._gone, strict=True))
        if self._keep and cells:
            self._warn(
                f"the kept weights have room of {self._keep.gigabytes:g} GB: those of {plural(cells, 'cell')} "
                f"({size / 1e9:.3g} GB) were removed, of cells that no study has first, then those used longest ago. "
                "--keep weights:GB gives more room"
            )


def forget(store: Store, key: str) -> None:
    """Removes what a training has saved to go on."""
    state = Controls(store.state_of(key))
    state.checkpoint.unlink(missing_ok=True)
    if state.folder.is_dir():
        shutil.rmtree(state.folder)
