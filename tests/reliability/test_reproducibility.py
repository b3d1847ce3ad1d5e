"""The promises of `tests/soak/reproducibility.py` in their quick form, and that a broken one is seen."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak import reproducibility


@pytest.mark.slow
def test_promises_about_reproducibility():
    command = [sys.executable, "-m", "tests.soak", "reproducibility", "--quick"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| kept |") == 1


def test_one_bit_that_differs_is_seen():
    same, other = {"a": "1", "b": "2"}, {"a": "1", "b": "3"}
    assert reproducibility.promise_of("", "", same, dict(same)).kept
    assert not reproducibility.promise_of("", "", same, other).kept
    assert not reproducibility.promise_of("", "", same, {"a": "1"}).kept
    assert not reproducibility.promise_of("", "", same, same | other | {"c": "4"}).kept
    assert not reproducibility.promise_of("", "", same, dict(same), happened=False).kept
