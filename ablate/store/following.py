"""What a study of a store has come to, as far as it can be told in a moment, for who looks again and again."""

import json
import math
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ablate import names
from ablate.contracts import TAKEN

from .access import Access
from .drivers import Drivers

LOG = 64_000  # last characters of a log that are told
MOST_LOGS = 20
STATES = ("done", "running", "interrupted", "failed", "missing")


@dataclass(frozen=True)
class Training:
    """A cell that is trained now.

    Attributes:
        variant: Its variant.
        seed: Its seed.
        started: When it was begun or resumed, in seconds since 1970.
        epoch: The last one that has ended; 0 before.
        epochs: How many there will be; None where only its trainer knows.
        latest: Metrics and training loss of that epoch, as far as they have a value.
    """

    variant: str
    seed: int
    started: float
    epoch: int
    epochs: int | None
    latest: Mapping[str, float]


@dataclass(frozen=True)
class Failed:
    """A cell that failed, with the end of its log."""

    key: str
    variant: str
    seed: int
    error: str
    log: str


@dataclass(frozen=True)
class Now:
    """How far a study is.

    Attributes:
        counts: Cells by their status, as `Study.cells` has it; those of a tuning too.
        training: The cells that are trained now, those first that were begun first.
        failed: Cells that failed, the last ones first, no more than `MOST_LOGS`.
        seconds_left: A guess: what the cells that are left take, each at the mean of the finished ones of its variant, or of all
            where none is, trained as many at once as now; None where nothing is trained or nothing has ended.
    """

    counts: Mapping[str, int]
    training: tuple[Training, ...]
    failed: tuple[Failed, ...]
    seconds_left: float | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def now(access: Access, drivers: Drivers, study: str) -> Now:
    """How far a study is. It is empty where the store has no such study.

    Args:
        access: The rows.
        drivers: Who trains cells now.
        study: Its name.
    """
    rows = access.read(
        """SELECT m.variant, m.seed, m.key, c.status, c.owner, c.started, c.finished, c.seconds
           FROM study_cells m LEFT JOIN cells c ON c.key = m.key WHERE m.study = ? ORDER BY m.position""",
        study,
    )
    states = [(row, drivers.status(row["status"], row["owner"])) for row in rows]
    counts = dict.fromkeys(STATES, 0)
    for _, state in states:
        counts[state] += 1
    training = [_training(access, row) for row, state in states if state == "running"]
    failed = sorted((row for row, state in states if state == "failed"), key=lambda row: -row["finished"])
    return Now(
        counts,
        tuple(sorted(training, key=lambda cell: cell.started)),
        tuple(_failed(access, row) for row in failed[:MOST_LOGS]),
        _left(states, training),
    )


def _training(access: Access, row: sqlite3.Row) -> Training:
    ended = access.read("SELECT epoch, record FROM epochs WHERE key = ? ORDER BY epoch DESC LIMIT 1", row["key"])
    recipe = json.loads(access.read("SELECT recipe FROM cells WHERE key = ?", row["key"])[0]["recipe"])
    epochs = recipe.get("epochs") if "use" not in recipe else None
    record = json.loads(ended[0]["record"]) if ended else {}
    names.checked([row["variant"], *record])
    numbers = {name: value for name, value in record.items() if type(value) in (int, float) and math.isfinite(value)}
    latest = {name: value for name, value in numbers.items() if name == "train_loss" or name not in TAKEN}
    return Training(row["variant"], row["seed"], row["started"], ended[0]["epoch"] if ended else 0, epochs, latest)


def _failed(access: Access, row: sqlite3.Row) -> Failed:
    found = access.read("SELECT error, substr(log, ?) AS log FROM cells WHERE key = ?", -LOG, row["key"])[0]
    return Failed(row["key"], row["variant"], row["seed"], found["error"] or "", found["log"] or "")


def _left(states: Sequence[tuple[sqlite3.Row, str]], training: Sequence[Training]) -> float | None:
    took: dict[str, list[float]] = {}
    for row, state in states:
        if state == "done":
            took.setdefault(row["variant"], []).append(row["seconds"])
    if not took or not training:
        return None
    like = {variant: fmean(seconds) for variant, seconds in took.items()}
    others, now = fmean(like.values()), time.time()

    def rest(cell: Training) -> float:
        whole = like.get(cell.variant, others)
        return whole * (1 - cell.epoch / cell.epochs) if cell.epochs else max(0.0, cell.started + whole - now)

    waiting = [like.get(row["variant"], others) for row, state in states if state in ("missing", "interrupted")]
    return (sum(map(rest, training)) + sum(waiting)) / len(training)
