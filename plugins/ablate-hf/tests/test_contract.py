"""A dataset of the library keeps what ablate asks of each."""

import numpy as np
import pytest
from PIL import Image

from ablate.contracts import Environment
from ablate.testing import DatasetContract


class TestFolder(DatasetContract):
    component = {"use": "hf", "path": "images"}

    @pytest.fixture
    def environment(self, tmp_path):
        draws = np.random.default_rng(0)
        for part, name in (("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(8):
                Image.fromarray(draws.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        self.component = {"use": "hf", "path": str(tmp_path / "images")}
        return Environment(tmp_path / "data", download=False)
