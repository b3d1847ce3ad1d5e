"""A Slurm of a few lines that runs its jobs on this machine."""

import os

import pytest

from ablate.testing import misfits

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


@pytest.fixture(scope="session", autouse=True)
def pids(tmp_path_factory):
    """The file that slow cells write their process into."""
    with misfits.installed(tmp_path_factory.mktemp("site")) as file:
        yield file


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
