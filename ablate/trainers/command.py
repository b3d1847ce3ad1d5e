"""Any program, in any language, as the trainer of a study."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ablate.contracts import Cell, Environment
from ablate.devices import CPU, VISIBLE, visible
from ablate.errors import EnvironmentProblem, Problem
from ablate.registry import Registry
from ablate.registry.params import Absent, Bound, PositiveInt
from ablate.spec.trainer import Controls, Interrupted, Record, Steps, Trainer

from . import declared, places
from .declared import STATE, Goals, Ledger
from .ending import end
from .output import Output, reader_of

WORK = "work"  # in a cell's folder, where the program starts
FAILED = ".failed"  # in the folder of one that failed, which the next run does not go on with
OWN_FOLDER = "ABLATE_FOLDER"  # a variable with that folder, by which all that came of the program is known
LINES = "metrics.jsonl"  # what a program appends its records to, unless the spec says otherwise
INTERRUPTED = 75  # the exit code of a program that was asked to end and has saved its state: EX_TEMPFAIL of sysexits.h
POLL_SECONDS = 0.1
GRACE_SECONDS = 45  # that a program has to save its state


def command(
    registry: Registry,
    /,
    *,
    argv: list[str],
    metrics: Goals,
    settings: dict[str, Any] = {},  # noqa: B006  never changed
    records: str | None = None,
    pattern: str | None = None,
    ignore: list[str] = [],  # noqa: B006
    env: dict[str, str] = {},  # noqa: B006
    code: list[str] = [],  # noqa: B006
    data: list[str] = [],  # noqa: B006
    lock: str | None = None,
    epochs: PositiveInt | None = None,
    resumes: bool = False,
    threads: Annotated[int, Bound(minimum=1, maximum=1024)] = 1,
    devices: Annotated[int, Bound(minimum=1, maximum=1024), Absent()] = 1,
) -> Trainer:
    """Runs a program for each cell, and takes its metrics from a file that it writes or from what it prints.

    The program runs in a folder of its own, which is removed when its result is stored. It is started without a shell. SIGTERM
    asks it to end: one that saves its state in its folder and exits with 75 is started again there by the next run.

    Args:
        argv: The command line, an item each. Places are filled: {seed}; {here}, the folder that ablate is started in; {python},
            the Python that runs ablate; {folder}, the cell's own; {records}, the file for metrics; {config}, a JSON file with
            seed and settings; {devices}, how many the cell has; {name}, a setting; {args}, all other settings as --name value;
            {hydra}, as name=value.
        metrics: What is measured, each with what is better: maximize or minimize.
        settings: What the study may vary, with the values of the base, whose names and types every level keeps.
        records: The file in the cell's folder that metrics are in: .jsonl, a JSON object a line as they come; .json or .csv,
            written at the end. metrics.jsonl unless given.
        pattern: In place of a file, a regular expression that is looked for in each line that the program prints; its named
            groups are the metrics.
        ignore: Names that records may have beside the metrics.
        env: Environment variables, in which places are filled, too.
        code: Files and folders that the program is made of, beside the files that argv names by {here}. Their content is in the
            key.
        data: Files and folders that it reads. Their content is in the key, and each is there by its name in the folder that the
            program starts in, and in the one above.
        lock: A file with the versions of what the program needs, such as a lock file. Its content is in the key.
        epochs: How many records a run gives, where that is known before.
        resumes: Whether the program goes on from what it finds in its folder after it was killed, too.
        threads: Threads that it may use on each device, by OMP_NUM_THREADS; it says how many cells run at once.
        devices: Devices that a cell has, such as processes of torchrun: GPUs by CUDA_VISIBLE_DEVICES, or cores.
    """
    program = _Program(argv, settings, env, metrics, records, pattern, ignore, data, epochs, resumes, threads, devices)
    files = [*_named(argv), *code, *data, *([lock] if lock else [])]

    def problems() -> Iterator[Problem]:
        yield from declared.metric_problems(metrics)
        yield from places.problems(argv, env, settings)
        yield from _argv_problems(argv)
        yield from _source_problems(metrics, records, pattern)
        for field, given in (("argv", _named(argv)), ("code", code), ("data", data), ("lock", [lock] if lock else [])):
            yield from declared.paths_problems(field, given)
        if len({Path(path).name for path in data} - {WORK, ""}) < len(data):
            yield Problem(
                "data", "two of them have one name, and each is linked by its name", "Name the folder that they are in."
            )

    return Trainer(
        metrics=declared.lower_is_better(metrics),
        train=program.train,
        epochs=epochs,
        threads=threads,
        devices=devices,
        settings=settings,
        identity=lambda device: {"files": declared.digests(files)},
        problems=problems,
        reached=program.reached,
    )


def _named(argv: Sequence[str]) -> list[str]:
    """The files that a command line names by `{here}`; folders are for `code` and `data` to name."""
    paths = [text.removeprefix("{here}/") for text in argv if text.startswith("{here}/") and not places.names(text)[1:]]
    return [path for path in paths if not Path(path).is_dir()]


def _argv_problems(argv: Sequence[str]) -> Iterator[Problem]:
    if not argv:
        yield Problem("argv", "is empty", 'Give the command line, such as ["{python}", "{here}/train.py", "{args}"].')
        return
    for text in argv:
        if not places.names(text) and Path(text).is_file() and not Path(text).is_absolute():
            message = f"{text!r} is a file here, and the program runs in a folder of its own"
            yield Problem("argv", message, f'Write "{{here}}/{text}", and its content is in the key as well.')
    if not places.names(argv[0]) and shutil.which(argv[0]) is None:
        yield Problem("argv", f"there is no program {argv[0]!r}", 'Give its path, or "{python}" for the Python that runs ablate.')


def _source_problems(metrics: Goals, records: str | None, pattern: str | None) -> Iterator[Problem]:
    if records is not None and pattern is not None:
        yield Problem("pattern", "metrics come from the file that `records` names", "Remove one of them.")
    if records is not None:
        path = Path(records)
        if path.is_absolute() or ".." in path.parts or path.suffix not in (".jsonl", ".json", ".csv"):
            yield Problem("records", f"found {records!r}, expected a .jsonl, .json or .csv file in the cell's folder")
    if pattern is not None:
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            yield Problem("pattern", f"is no regular expression: {error}")
            return
        if lacking := [name for name in metrics if name not in groups]:
            yield Problem("pattern", f"has no group for {', '.join(lacking)}", rf"Write it as (?P<{lacking[0]}>[0-9.eE+-]+).")


@dataclass(frozen=True)
class _Program:
    """A recipe's program; attributes as the parameters of `command`."""

    argv: Sequence[str]
    settings: Mapping[str, Any]
    env: Mapping[str, str]
    metrics: Goals
    records: str | None
    pattern: str | None
    ignore: Sequence[str]
    data: Sequence[str]
    epochs: int | None
    resumes: bool
    threads: int
    devices: int

    def train(self, cell: Cell, environment: Environment, device: str, controls: Controls) -> Steps:
        folder = controls.folder
        before = self._state(folder)
        if before is None and folder.exists():
            shutil.rmtree(folder)
        self._prepare(folder)
        (folder / STATE).unlink(missing_ok=True)  # if it is killed now, what it leaves may be half written
        began = time.monotonic() - (before or {}).get("seconds", 0.0)
        ledger = Ledger(self.metrics, self.ignore, self.epochs)
        ledger.numbered = self.resumes
        output = Output(folder / ".output")
        reader = reader_of(self._records(folder), self.pattern, output)
        process = self._start(cell, device, folder, output)
        try:
            asked: float | None = None
            while process.poll() is None:
                yield from (ledger.add(*found) for found in reader.new())
                if asked is None and controls.should_stop():
                    asked = time.monotonic()
                    process.terminate()
                elif asked is not None and time.monotonic() - asked > GRACE_SECONDS:
                    process.kill()
                time.sleep(POLL_SECONDS)
                yield None
            if asked is not None and process.returncode != 0:
                self._interrupted(folder, process.returncode, time.monotonic() - began)
                raise Interrupted
            if process.returncode != 0:
                raise EnvironmentProblem(f"the program {_ended(process.returncode)}")
            for found in reader.rest():
                yield ledger.add(*found)
            return ledger.result(time.monotonic() - began)
        except EnvironmentProblem as error:
            (folder / FAILED).touch()
            raise EnvironmentProblem(f"{str(error).rstrip('.')}. {output.tail()}") from None
        finally:
            end(process, f"{OWN_FOLDER}={folder / WORK}")

    def _prepare(self, folder: Path) -> None:
        """Makes the folder that the program starts in, with links to its data there and above: programs look for it in both."""
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        for path in map(Path, self.data):
            for link in (folder / WORK / path.name, folder / path.name):
                if not link.is_symlink():
                    link.symlink_to(path.expanduser().absolute())

    def _records(self, folder: Path) -> Path:
        return folder / WORK / (self.records or LINES)

    def _state(self, folder: Path) -> Record | None:
        """What an earlier sitting left for this one to go on with; None where it begins anew."""
        if (folder / FAILED).is_file() or not (self.resumes or (folder / STATE).is_file()):
            return None
        with suppress(OSError, ValueError):
            state: Record = json.loads((folder / STATE).read_text())
            return state
        return {} if folder.is_dir() else None

    def _interrupted(self, folder: Path, code: int, seconds: float) -> None:
        if code == INTERRUPTED or self.resumes:
            (folder / STATE).write_text(json.dumps({"seconds": seconds}))

    def _start(self, cell: Cell, device: str, folder: Path, output: Output) -> "subprocess.Popen[bytes]":
        config, records = folder / ".config.json", self._records(folder)
        config.write_text(json.dumps({"seed": cell.seed, "settings": self.settings}, indent=2))
        own = {
            "seed": str(cell.seed),
            "python": sys.executable,
            "here": str(Path.cwd()),
            "folder": str(folder / WORK),
            "records": str(records),
            "config": str(config),
            **({} if "devices" in self.settings else {"devices": str(self.devices)}),
        }
        values = places.filled(self.settings, own)
        variables = {
            **_outer_environment(),
            **_devices(device),
            "OMP_NUM_THREADS": str(self.threads),
            "ABLATE_SEED": own["seed"],
            "ABLATE_RECORDS": own["records"],
            **{name: places.fill(text, values) for name, text in self.env.items()},
            OWN_FOLDER: own["folder"],
        }
        items = places.items(self.argv, self.settings, own)
        try:
            with output.path.open("ab") as printed:  # behind what an earlier sitting printed
                return subprocess.Popen(  # noqa: S603  the spec's own command, without a shell
                    items,
                    cwd=folder / WORK,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    start_new_session=True,
                )
        except OSError as error:
            raise EnvironmentProblem(f"{items[0]}: cannot be started: {error}") from error

    def reached(self, controls: Controls, key: str) -> tuple[int, int] | None:
        state = self._state(controls.folder)
        if state is None or not controls.folder.is_dir():
            return None
        with suppress(OSError):
            return len(self._records(controls.folder).read_bytes().splitlines()), 0
        return 0, 0


def _outer_environment() -> dict[str, str]:
    """The user's environment: workers have a PYTHONPATH of their own, which is wrong for other Pythons."""
    given = dict(os.environ)
    given.pop("PYTHONPATH", None)
    if (outer := given.pop("ABLATE_OUTER_PYTHONPATH", "")) != "":
        given["PYTHONPATH"] = outer
    return given


def _devices(device: str) -> dict[str, str]:
    """Which GPUs the program sees: none on a CPU, and the cell's own where they are named; else those of this process."""
    if device == CPU:
        return {VISIBLE: ""}
    return {VISIBLE: visible(device)} if ":" in device else {}


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    if code == INTERRUPTED:
        return f"ended with exit code {INTERRUPTED}, which says that it was interrupted, and nobody asked it to end"
    return f"ended with exit code {code}"
