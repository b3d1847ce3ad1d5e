"""The model that tests of executors have misbehaves when it is trained, and not in the preflight, which is the driver's."""

import pytest
import torch

from ablate.engine.preflight import preflight
from ablate.engine.train import train
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls
from ablate.testing import misfits

CPU = torch.device("cpu")


@pytest.fixture
def pids(tmp_path):
    with misfits.installed(tmp_path) as file:
        yield file


def cell_of(how, environment):
    cells = make_cells(make_plan(load(misfits.study(how)), default()), default(), environment, "cpu")
    return next(planned.cell for planned in cells if planned.variant == f"way={how}")


def test_what_raises_does_so_in_training_alone(pids, environment, tmp_path):
    cell = cell_of("raise", environment)
    assert list(preflight(default(), cell.recipe, environment, CPU)) == []
    with pytest.raises(RuntimeError, match="no luck today"):
        train(default(), cell, environment, CPU, Controls(tmp_path / "state"))


def test_what_is_slow_names_its_process_at_every_step_of_the_training(pids, environment, tmp_path):
    cell = cell_of("slow", environment)
    assert list(preflight(default(), cell.recipe, environment, CPU)) == []
    assert not pids.exists()
    train(default(), cell, environment, CPU, Controls(tmp_path / "state"))
    assert len(pids.read_text().splitlines()) == 2 * 5, "two epochs of five batches"
