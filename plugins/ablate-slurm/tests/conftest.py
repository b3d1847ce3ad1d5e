"""Components that misbehave, and a Slurm of a few lines that runs its jobs on this machine."""

import copy
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from ablate import registry

MISFITS = '''
"""A model that misbehaves once it is trained."""
import os, signal, time
from torch import nn
from ablate.components.models import net


class Misfit(nn.Module):
    def __init__(self, model, how):
        super().__init__()
        self.model, self.how, self.calls = model, how, 0

    def forward(self, images):
        self.calls += 1
        if self.calls > 3 and self.training:  # after the trial before the training
            print("about to", self.how, flush=True)
            if self.how == "raise":
                raise RuntimeError("no luck today")
            if self.how == "hang":
                time.sleep(600)
            if self.how == "slow":
                with open(os.environ["MISFIT_PIDS"], "a") as file:
                    file.write(f"{os.getpid()}\\n")
                time.sleep(0.2)
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return self.model(images)


def misfit(info, /, *, how: str = "fine") -> nn.Module:
    """A network that misbehaves.

    Args:
        how: In which way.
    """
    return Misfit(net(info), how)
'''
# sbatch starts the script for each task of an array; srun runs the command; sacct tells what files say.
SLURM = {
    "sbatch": """
        job=$(($(cat $FAKE/count 2>/dev/null || echo 0) + 1)); echo $job > $FAKE/count; cp "$1" $FAKE/script-$job
        last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
        for task in $(seq 0 ${last:-0}); do
            export SLURM_JOB_ID=$job SLURM_PROCID=0
            name=$job
            if [ -n "$last" ]; then
                export SLURM_JOB_ID=$job$task SLURM_ARRAY_JOB_ID=$job SLURM_ARRAY_TASK_ID=$task
                name=${job}_$task
            fi
            echo RUNNING > $FAKE/state-$name
            if [ -e $FAKE/break-next ]; then rm $FAKE/break-next; echo NODE_FAIL > $FAKE/state-$name; continue; fi
            (FAKE_NAME=$name bash "$1"; echo COMPLETED > $FAKE/state-$name) > /dev/null 2>&1 &
        done
        echo Submitted batch job $job
    """,
    "srun": """
        while [[ "$1" == --* ]]; do
            case "$1" in
                --output) out="$2"; shift;;
                --error) err="$2"; shift;;
            esac
            shift
        done
        for name in out err; do
            path="${!name}"; path="${path//%A_%a/$FAKE_NAME}"; path="${path//%j/$FAKE_NAME}"; printf -v $name %s "${path//%t/0}"
        done
        exec "$@" > "$out" 2> "$err"
    """,
    "sacct": """
        echo "JobID|State|NodeList"
        for file in $FAKE/state-*; do echo "${file#$FAKE/state-}|$(cat $file)|here"; done
    """,
    "scancel": "echo $1 >> $FAKE/cancelled",
}
SPEC = {
    "name": "tiny",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": {"crop": None, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "misfit"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 2,
    },
    "seeds": 1,
}


@pytest.fixture
def study():
    """A study of one variant a way to misbehave, beside one that does not."""

    def study(*ways, epochs=2, **more):
        spec = copy.deepcopy(SPEC) | more
        spec["base"]["epochs"] = epochs
        spec["factors"] = {"way": {way: {"model": {"how": way}} for way in ways}}
        return spec

    return study


@pytest.fixture(scope="session", autouse=True)
def pids(tmp_path_factory):
    """Installs the misfits for this process and those that it starts; the file that slow cells write their process into."""
    site = tmp_path_factory.mktemp("site")
    info = site / "misfits-1.0.dist-info"
    info.mkdir()
    (site / "misfits.py").write_text(MISFITS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misfits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ablate.models]\nmisfit = misfits:misfit\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("MISFIT_PIDS", str(site / "pids"))
        registry.default.cache_clear()
        yield site / "pids"
    registry.default.cache_clear()


@pytest.fixture
def local(monkeypatch):
    """Jobs are submitit's local ones."""
    monkeypatch.setenv("ABLATE_SLURM_CLUSTER", "local")


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """The Slurm of a few lines; its directory, where a file `break-next` makes the next job lose its node."""
    folder = tmp_path / "fake-slurm"
    folder.mkdir()
    for name, text in SLURM.items():
        path = folder / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture(scope="session")
def table():
    """What every cell of a store gave, bit for bit."""

    def table(store: Path) -> dict[str, str]:
        with sqlite3.connect(store / "store.sqlite") as db:
            return dict(db.execute("SELECT key, weights_sha256 || metrics FROM cells WHERE status = 'done'").fetchall())

    return table
