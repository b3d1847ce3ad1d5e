"""hf_trainer keeps what ablate asks of a trainer."""

from pathlib import Path

import made
import pytest

from ablate.testing import TrainerContract


class TestHfTrainer(TrainerContract):
    @pytest.fixture(autouse=True)
    def texts(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Two epochs of two steps, of a BERT with one layer."""
        folder: Path = tmp_path_factory.mktemp("texts")
        config = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        small = {"epochs": 2, "batch_size": 8, "config": config, "max_length": 14}
        self.component = {**made.recipe(folder, **small), **made.files(folder, 16, 8)}
