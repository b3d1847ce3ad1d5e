"""Many processes write to one store: none is refused, nothing is lost, no cell is given out twice."""

import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ablate.contracts import Cell, Result
from ablate.store import Store

from . import Row
from ._drivers import cells_of, document, heard, misfits, start, undisturbed

WRITES_OF_A_CELL = 4


def rows(quick: bool) -> Iterator[Row]:
    yield from _writers(*((8, 40) if quick else (32, 200)))
    yield from _drivers(2 if quick else 5)


def _writers(count: int, writes: int) -> Iterator[Row]:
    cells = count * writes // WRITES_OF_A_CELL
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as name:
        barrier, results = context.Barrier(count), context.Queue()
        processes = [context.Process(target=_write, args=(Path(name), i, count, cells, barrier, results)) for i in range(count)]
        for process in processes:
            process.start()
        told = [results.get(timeout=600) for _ in processes]
        for process in processes:
            process.join()
        with closing(sqlite3.connect(Path(name) / "store.sqlite")) as db:
            stored = db.execute("SELECT count(*), max(attempt) FROM cells WHERE status = 'done'").fetchone()
            epochs = db.execute("SELECT count(*) FROM epochs").fetchone()[0]
    claimed = sum(taken for taken, _, _ in told)
    errors = [error for _, _, error in told if error]
    opening, worst = max(waits[1] for _, waits, _ in told), max(max(waits[2:]) for _, waits, _ in told)
    yield Row(
        "many writers",
        f"{count} processes that open one new store at once, and share {cells} cells: {cells * WRITES_OF_A_CELL} writes",
        f"{len(errors)} errors {errors[:1] or ''}, {cells - stored[0] + 2 * cells - epochs} rows lost, {claimed - cells} cells "
        f"given out twice; worst wait {opening:.2f} s to open it, {worst:.2f} s to write",
        not errors and stored == (cells, 1) and epochs == 2 * cells and claimed == cells and max(opening, worst) < 10,
    )


def _write(folder: Path, index: int, count: int, cells: int, barrier: Any, results: Any) -> None:
    """Claims its cells and the next process's, and writes two epochs and a result of each; tells how many, and the worst wait."""
    taken, waits, error = 0, [0.0], ""
    records = [{"epoch": epoch, "train_loss": 1.0} for epoch in (1, 2)]
    barrier.wait()
    try:
        begun = time.monotonic()
        with Store(folder) as store:
            waits.append(time.monotonic() - begun)

            def timed(call: Any, *arguments: Any) -> Any:
                begun = time.monotonic()
                value = call(*arguments)
                waits.append(time.monotonic() - begun)
                return value

            for place in range(2 * cells // count):  # each cell is tried by two
                number = (place + index * cells // count) % cells
                cell = Cell(f"{number:064d}", {"epochs": 2}, number, "cpu", {})
                if timed(store.claim, cell, {}) == "claimed":
                    taken += 1
                    for record in records:
                        timed(store.record_epoch, cell.key, record)
                    assert timed(store.finish, cell.key, Result(records, {"accuracy": 0.5}, "w", 1.0, 1))
    except Exception as problem:
        error = repr(problem)
    results.put((taken, [*waits, 0.0, 0.0], error))


def _drivers(count: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, misfits(Path(name) / "site"):
        expected, _ = undisturbed()
        store = Path(name) / "store"
        runs = [start(document(), store) for _ in range(count)]
        codes = [run.wait(600) for run in runs]
        cells, locked = cells_of(store), runs[0].output.count("locked")
        repeated = int(cells["attempt"].sum()) - len(cells)
        kept = not any(codes) and not locked and not repeated and set(heard(store).values()) == {1}
        kept = kept and (store / "table.txt").read_text() == expected
    yield Row(
        "several `ablate run` on one store and one spec",
        f"{count} drivers, 6 cells",
        f"exit codes {sorted(set(codes))}, {locked} times 'locked', {repeated} cells repeated; the table is the undisturbed one",
        kept,
    )
