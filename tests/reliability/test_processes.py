"""The promises of docs/reliability.md in their quick form; `python -m tests.soak` has the long one."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AREAS = ("kills", "pauses", "resume", "runaways", "writers")


@pytest.mark.timeout(1500)  # three minutes where two processors have nothing else to do
def test_promises_about_processes():
    """In a process of its own, whose threads do not survive the forks of drivers."""
    command = [sys.executable, "-m", "tests.soak", *AREAS, "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    assert all(" | kept |" in told for told in done.stdout.split("## ")[1:])
    assert done.stdout.count("## ") == len(AREAS)
