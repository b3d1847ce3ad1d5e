"""Disks that are full, broken or read-only: what is stored is whole, the message helps, and the same command goes on."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import Row
from ._faults import KINDS, Faults

ROOT = Path(__file__).parent.parent.parent


def rows(quick: bool) -> Iterator[Row]:
    """Needs Linux and a C compiler."""
    with tempfile.TemporaryDirectory(prefix="ablate-disks-") as directory:
        yield from _parts(Path(directory), quick)
        yield from _runs(Path(directory), quick)


def _parts(directory: Path, quick: bool) -> Iterator[Row]:
    """Each thing that is written by itself, at every place."""
    for line in _start("tests.soak._victims", directory, *["--quick"] * quick):
        found = json.loads(line)
        yield Row(
            f"{found['name']}: old or new, never half",
            f"{len(KINDS)} kinds of failure at {'some' if quick else 'each'} of {found['places']} writes: {found['tried']}",
            f"{len(found['problems'])} problems{''.join(': ' + text for text in found['problems'][:3])}",
            not found["problems"],
        )


def _runs(directory: Path, quick: bool) -> Iterator[Row]:
    """A run as a whole, which has results, checkpoints, decoded images and reports to write."""
    for line in _start("tests.soak._runs", directory, *["--quick"] * quick):
        found = json.loads(line)
        codes = ", ".join(f"{count} ended with {code}" for code, count in sorted(found["codes"].items()))
        yield Row(
            f"`ablate run`, disk {found['name']}: nothing stored is lost, one error, the same command goes on to the same table",
            f"failures at {sum(found['codes'].values())} of {found['places']} writes, then mended",
            f"{codes}; {len(found['problems'])} problems{''.join(': ' + text for text in found['problems'][:3])}",
            not found["problems"],
        )


def _start(module: str, directory: Path, *arguments: str) -> Iterator[str]:
    """Runs a module on the failing disk; what it prints, line by line."""
    environment = Faults(directory).environment
    command = [sys.executable, "-m", module, str(directory), *arguments]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}")
