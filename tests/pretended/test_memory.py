"""What a GPU's memory is taken for, and by whom."""

import gc

import pytest
import torch

from ablate.engine import checkpoint, data, prepared
from ablate.engine.pipeline import Pipeline
from ablate.executors import worker
from ablate.runner.job import Options, prepare, try_recipes

from .machine import GPU
from .tensors import Pretended
from .trainings import EVERYTHING, GPU_0, trained


def images_on_a_gpu(count):
    """Tensors of at least so many images on the device that something still holds."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is Pretended and one.ndim == 4 and len(one) >= count]


def test_images_are_transformed_so_many_bytes_at_a_time(tmp_path, monkeypatch):
    """At 224×224, four thousand images are 2.5 GB, and their copies as many again."""
    monkeypatch.setattr(prepared, "GPU_CHUNK", 64 * 4 * 16 * 16)  # 64 images of digits, two batches
    sizes, on_chunk = [], Pipeline.on_chunk

    def spied(pipeline, images, *more):
        sizes.append(len(images))
        return on_chunk(pipeline, images, *more)

    monkeypatch.setattr(Pipeline, "on_chunk", spied)
    trained(tmp_path, "base.epochs=1")
    assert max(sizes) == 64


def test_the_driver_has_no_images_on_the_gpu_after_it_has_tried_the_recipes(spec, tmp_path):
    """A worker has them there, too."""
    data.dataset_on.cache_clear()  # of trainings in this process
    assert not images_on_a_gpu(20)
    job = prepare(spec, (), Options(tmp_path / "store", tmp_path / "data", 1, "cuda"))
    assert try_recipes(job, {planned.cell.key for planned in job.cells}) is not None
    assert not images_on_a_gpu(20)
    kept = torch.zeros(20, 1, 16, 16, device=GPU_0)
    assert images_on_a_gpu(20) == [kept]


def test_a_training_on_a_cpu_asks_for_no_gpu(tmp_path, monkeypatch):
    """To ask for the state of a GPU's generator takes memory of it: of every GPU in every worker."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    for name in ("get_rng_state", "set_rng_state", "manual_seed_all", "_lazy_init", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: pytest.fail(f"it called torch.cuda.{name}"))
    trained(tmp_path, *EVERYTHING, device=torch.device("cpu"))


def test_a_checkpoint_is_made_in_the_hosts_memory(tmp_path, monkeypatch):
    """A copy of everything on the device may be what there is no room for."""
    made = []
    save = torch.Tensor.clone

    def spied(tensor, **named):
        made.append(tensor.device.type)
        return save(tensor, **named)

    state = {"weights": torch.zeros(3, 4, 5, 6, device=GPU_0).to(memory_format=torch.channels_last)}
    monkeypatch.setattr(torch.Tensor, "clone", spied)
    checkpoint.save(tmp_path / "state", "key", state)
    assert "cuda" not in made
    monkeypatch.undo()
    loaded = checkpoint.load(tmp_path / "state", "key", GPU_0)["weights"]
    assert loaded.device == GPU_0
    assert loaded.stride() == state["weights"].stride()
    assert loaded.cpu().sum() == 0


def test_there_is_room_for_another_cell_by_what_cells_have_now(monkeypatch):
    """What one had that has ended says nothing of those that are left."""
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 7 << 30)
    GPU.total, GPU.reserved = 8 << 30, 1 << 30
    assert worker.has_room({"device": "cuda"}, 1)
    GPU.reserved = 3 << 30
    assert not worker.has_room({"device": "cuda"}, 1)
    assert worker.has_room({"device": "cuda"}, 2)
