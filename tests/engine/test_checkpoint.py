"""What is saved comes back bit by bit, in its layout, whatever was left by others."""

import pytest
import torch

from ablate.engine import checkpoint

CPU = torch.device("cpu")
KEY = "k" * 64
TENSORS = {
    "contiguous": torch.arange(24.0).reshape(2, 3, 4),
    "transposed": torch.arange(12.0).reshape(3, 4).t(),
    "channels_last": torch.arange(120.0).reshape(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "channels_last_3d": torch.arange(240.0).reshape(2, 3, 2, 4, 5).contiguous(memory_format=torch.channels_last_3d),
    "one channel": torch.arange(40.0).reshape(2, 1, 4, 5).contiguous(memory_format=torch.channels_last),
    "scalar": torch.tensor(0.1, dtype=torch.float64),
    "nothing": torch.empty(0, 3),
    "bits": torch.tensor([float("nan"), -0.0, float("inf"), 5e-324], dtype=torch.float64),
    "bfloat16": torch.tensor([1.1, -2.2]).bfloat16(),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_keeps_its_bits_and_its_layout(tmp_path, name):
    tensor = TENSORS[name]
    checkpoint.save(tmp_path / "s", KEY, {"t": tensor})
    loaded = checkpoint.load(tmp_path / "s", KEY, CPU)["t"]
    assert (loaded.dtype, loaded.shape, loaded.stride()) == (tensor.dtype, tensor.shape, tensor.stride())
    assert torch.equal(loaded.reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def test_the_layout_of_a_gradient_changes_its_norm():
    """Why the layout is kept: clipping a restored gradient would have other bits."""
    gradient = torch.randn(301, 203, generator=torch.Generator().manual_seed(0)).t()
    assert torch.linalg.vector_norm(gradient) != torch.linalg.vector_norm(gradient.contiguous())


def test_overlapping_memory_comes_back_contiguous(tmp_path):
    checkpoint.save(tmp_path / "s", KEY, {"t": torch.ones(1, 3).expand(4, 3)})
    assert checkpoint.load(tmp_path / "s", KEY, CPU)["t"].is_contiguous()


def test_what_killed_processes_left_is_removed(tmp_path):
    """Half a file beside the last good one, of this cell; that of another cell may be about to get its name."""
    checkpoint.save(tmp_path / "s", KEY, {"step": 7})
    (tmp_path / ".s.123").write_bytes(b"half")
    (tmp_path / ".other.123").write_bytes(b"half")
    assert checkpoint.load(tmp_path / "s", KEY, CPU) == {"step": 7}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.123", "s"]


def test_how_far_a_state_is_can_be_told_without_loading_it(tmp_path):
    state = {"model": {"w": torch.ones(2)}, "progress": {"epoch": 3, "batch": 7, "loss": torch.zeros(())}}
    checkpoint.save(tmp_path / "s", KEY, state)
    assert checkpoint.reached(tmp_path / "s", KEY) == (3, 7)
    assert checkpoint.reached(tmp_path / "s", "o" * 64) is None
    assert checkpoint.reached(tmp_path / "nothing", KEY) is None
    (tmp_path / "s").write_bytes(b"damaged")
    assert checkpoint.reached(tmp_path / "s", KEY) is None
