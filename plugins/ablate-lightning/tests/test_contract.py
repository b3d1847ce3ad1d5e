"""lightning keeps what ablate asks of a trainer."""

import shutil
from pathlib import Path

import pytest

from ablate.testing import TrainerContract


class TestLightning(TrainerContract):
    component = {
        "use": "lightning",
        "module": "rings.py:Net",
        "data_module": "rings.py:Rings",
        "settings": {"data_module": {"count": 32, "noise": 0.1}},
        "metrics": {"val_accuracy": "maximize", "val_loss": "minimize"},
        "max_epochs": 2,
    }

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copy(Path(__file__).parent / "rings.py", tmp_path)
        monkeypatch.chdir(tmp_path)
