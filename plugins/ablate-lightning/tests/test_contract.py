"""lightning keeps what ablate asks of a trainer."""

import pytest

from ablate.testing import TrainerContract


@pytest.mark.usefixtures("folder")
class TestLightning(TrainerContract):
    component = {
        "use": "lightning",
        "module": "rings.py:Net",
        "data_module": "rings.py:Rings",
        "settings": {"data_module": {"count": 32, "noise": 0.1}},
        "metrics": {"val_accuracy": "maximize", "val_loss": "minimize"},
        "max_epochs": 2,
    }
