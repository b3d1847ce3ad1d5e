"""What a short run of each variant shows before a study: whether a seed repeats, and what reaches the run."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate import devices
from ablate.contracts import Cell
from ablate.errors import describe
from ablate.plan import PlannedCell
from ablate.spec.trainer import Controls, Interrupted, trainer_of

from .job import Job

TIMES = ("seconds", "images_per_second")  # of a record: they differ between two runs of the same cell
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Probe:
    """What came of a variant's first record.

    Attributes:
        variant: Its name.
        same: Whether its numbers are those of the reference's first run (where there are blocks, of the reference of its block);
            for the reference itself, those of its second run. None where it failed, or the reference did.
        seed: The seed that it ran with.
        error: Why it failed; empty where it did not.
    """

    variant: str
    same: bool | None
    seed: int
    error: str = ""


def probe(job: Job, tell: Callable[[str], None]) -> Iterator[Probe]:
    """Runs the reference twice and each other variant once, with the first seed of the study, each until its first record.

    Nothing is stored. A program that writes its metrics at its end runs whole.

    Args:
        job: The study.
        tell: Called with the name of what runs next.
    """
    first: dict[str, PlannedCell] = {}
    for planned in job.cells:
        first.setdefault(planned.variant, planned)
    references = job.plan.references
    expected = {name: _first_record(job, first[name].cell, name, tell) for name in dict.fromkeys(references.values())}
    for name in [*expected, *(name for name in first if name not in expected)]:
        reference = references[name]
        found, why = _first_record(job, first[name].cell, name, tell)
        record, error = expected[reference]
        known = found is not None and record is not None
        seed = first[name].cell.seed
        yield Probe(name, found == record if known else None, seed, why or (error if name == reference else ""))


def _first_record(job: Job, cell: Cell, name: str, tell: Callable[[str], None]) -> tuple[Record | None, str]:
    """The numbers of a cell's first record, or why there are none."""
    tell(name)
    with tempfile.TemporaryDirectory(prefix="ablate-probe-") as folder:
        stop: list[bool] = []
        controls = Controls(Path(folder) / "state.safetensors", float("inf"), lambda: bool(stop))
        found: Record | None = None
        try:
            trainer = trainer_of(job.registry, cell.recipe)
            device = devices.first(job.device) if trainer.devices == 1 else devices.part(job.device, trainer.devices)
            for record in trainer.train(cell, job.environment, device, controls):
                if record is not None and found is None:
                    found = {key: value for key, value in record.items() if key not in TIMES}
                    stop.append(True)
        except Interrupted:
            pass  # as it was asked to
        except Exception as error:  # anybody's program
            return None, describe(error)
    return found, "" if found is not None else "it gave no record"


def in_words(found: Probe, reference: Probe) -> str:
    """What came of a variant, beside what came of its reference."""
    if found is reference:
        return _repeats(found)
    if found.error:
        return "failed as the reference did" if found.error == reference.error else f"failed: {found.error}"
    if found.same is None:
        return "ran; the reference did not"
    return (
        "the reference's numbers: the change did not reach the run up to here"
        if found.same
        else "other numbers: it reaches the run"
    )


def _repeats(reference: Probe) -> str:
    if reference.error:
        return f"failed: {reference.error}"
    if reference.same:
        return "the same numbers twice: the same seed is the same run"
    nothing = ' Some programs take 0 for no seed: "seeds": [1, 2, 3] has none.' if reference.seed == 0 else ""
    return f"other numbers the second time: seed {reference.seed} does not fix all that is random.{nothing}"
