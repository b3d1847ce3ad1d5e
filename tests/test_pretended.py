"""What needs a GPU runs on a pretended one, in a process of its own: see `tests/pretended`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEVICES = "2"
FILES = sorted(path.name for path in (HERE / "pretended").glob("test_*.py"))


@pytest.mark.parametrize("file", [pytest.param(f, marks=pytest.mark.slow if f == "test_bench.py" else ()) for f in FILES])
def test_on_a_pretended_gpu(file):
    command = [sys.executable, "-m", "pytest", "-o", "addopts=--strict-markers -m 'not slow'", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PRETENDED_GPUS": DEVICES}
    done = subprocess.run(
        [*command, HERE / "pretended" / file], capture_output=True, text=True, env=environment, cwd=HERE.parent, check=False
    )
    if done.returncode or not re.search(r"^\d+ (passed|skipped)", done.stdout, re.MULTILINE):
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    if why := re.search(r"\d+ skipped", done.stdout):
        pytest.skip(f"{why[0]}: this torch is not one that the pretended GPU is known to work with")
