"""The executor keeps what ablate asks of each, with submitit's local jobs."""

import pytest

from ablate.testing import ExecutorContract


@pytest.mark.usefixtures("local")
class TestSlurm(ExecutorContract):
    component = {"use": "slurm"}
