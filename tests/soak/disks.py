"""Disks that are full, broken or read-only: what is stored is whole, the message helps, and the same command goes on."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import Row
from ._faults import KINDS, Faults

SIZES = (16, 100, 200, 300)  # KiB; all of it takes 500
ROOT = Path(__file__).parent.parent.parent


def rows(quick: bool) -> Iterator[Row]:
    """Needs Linux and a C compiler."""
    with tempfile.TemporaryDirectory(prefix="ablate-disks-") as directory:
        yield from _parts(Path(directory), quick)
        yield from _runs(Path(directory), quick)
        if not quick and os.geteuid() == 0:
            yield from _small_disks(Path(directory))


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


def _small_disks(directory: Path) -> Iterator[Row]:
    """Runs with worker processes on a file system of so many KiB, which then gets larger."""
    from ._runs import REMEDY, cells, table, write_spec

    spec, whole, disk = write_spec(directory), directory / "whole", directory / "small"
    assert _run(spec, whole).returncode == 0
    expected = {key: row[:2] for key, row in cells(whole / "store").items()}
    disk.mkdir()
    for size in SIZES:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], capture_output=True).returncode:
            return  # a container may not mount
        try:
            first = _run(spec, disk)
            errors = [line for line in first.stderr.splitlines() if line.startswith("error: ")]
            subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
            again = _run(spec, disk)
            right = first.returncode in (1, 3) and len(errors) == 1 and bool(REMEDY.search(first.stderr))
            same = {key: row[:2] for key, row in cells(disk / "store").items()} == expected and table(disk) == table(whole)
            yield Row(
                "`ablate run` on a small disk that gets larger: one error, then the same table",
                f"a file system of {size} KiB, then of 1 GiB",
                f"code {first.returncode}, then {again.returncode}; {errors}",
                right and again.returncode == 0 and same,
            )
        finally:
            subprocess.run(["umount", disk], check=True)


def _run(spec: Path, place: Path) -> subprocess.CompletedProcess[str]:
    words = ["--store", place / "store", "--data-dir", place / "data", "--device", "cpu", "--jobs", "1", "--set", "seeds=2"]
    return subprocess.run([sys.executable, "-m", "ablate", "run", spec, *words], capture_output=True, text=True, cwd=ROOT)


def _start(module: str, directory: Path, *arguments: str) -> Iterator[str]:
    """Runs a module on the failing disk; what it prints, line by line."""
    environment = Faults(directory).environment
    command = [sys.executable, "-m", module, str(directory), *arguments]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode:
        raise RuntimeError(f"{module} ended with {process.returncode}")
