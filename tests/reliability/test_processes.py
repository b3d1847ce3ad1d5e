"""The promises of docs/reliability.md in their quick form; `python -m tests.soak` has the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONG = ("pauses", "resume", "runaways", "writers")


@pytest.mark.timeout(900)  # a minute at most where two processors have nothing else to do
@pytest.mark.parametrize("area", ["kills", *(pytest.param(area, marks=pytest.mark.slow) for area in LONG)])
def test_promises_about_processes(area):
    """In a process of its own, whose threads do not survive the forks of drivers."""
    command = [sys.executable, "-m", "tests.soak", area, "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    assert done.stdout.startswith(f"## {area}\n")
    assert " | kept |" in done.stdout
