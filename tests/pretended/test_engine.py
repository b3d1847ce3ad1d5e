"""What the engine trains on a GPU: with graphs, beside other cells, on two devices, interrupted, and with how many waits."""

from collections import Counter

import pytest
import torch

from ablate.engine import turns
from ablate.spec.trainer import Interrupted

from .machine import GPU
from .trainings import EVERYTHING, GPU_0, cell_of, count_replays, trained, trained_in_turns

CPU, GPU_1 = torch.device("cpu"), torch.device("cuda:1")
CROP = 'base.train_transforms.crop={"use": "random_crop", "size": 16, "padding": 2}'
RECIPES = {
    "plain": (),
    "everything": EVERYTHING,
    "adam": ('base.optimizer={"use": "adam", "lr": 0.01}', 'base.scheduler={"use": "cosine"}'),
    "augmented": (CROP, "base.dataset.validation=0.2", 'base.select="accuracy"', 'base.eval_split="validation"'),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_with_graphs_is_that_of_the_cpu(name, tmp_path, monkeypatch):
    replays = count_replays(monkeypatch)
    ours, expected = trained(tmp_path, *RECIPES[name]), trained(tmp_path, *RECIPES[name], device=CPU)
    assert len(replays) >= 8, "of twelve to fifteen steps, all but the first three are replayed"
    assert not any("eager_because" in record for record in ours.epochs)
    assert ours.metrics == pytest.approx(expected.metrics, rel=1e-5)
    for record, other in zip(ours.epochs, expected.epochs, strict=True):
        assert record["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
    assert not GPU.races


def test_where_there_can_be_no_graph_the_training_is_eager_and_says_why(tmp_path, monkeypatch):
    replays = count_replays(monkeypatch)
    settings = ("base.accumulate=2",)
    ours, expected = trained(tmp_path, *settings), trained(tmp_path, *settings, device=CPU)
    assert not replays
    assert ours.metrics == pytest.approx(expected.metrics, rel=1e-5)
    assert {record["eager_because"] for record in ours.epochs} == {"gradients are accumulated"}


def test_cells_that_take_turns_on_two_devices_are_what_each_is_alone(tmp_path):
    recipes = [(EVERYTHING, 0), (EVERYTHING, 1), ((), 0), (RECIPES["adam"], 0)]
    alone = [trained(tmp_path, *recipe, seed=seed).weights_sha256 for recipe, seed in recipes]
    assert len(set(alone)) == len(recipes)
    cells = [cell_of(tmp_path, *recipe, seed=seed) for recipe, seed in recipes]
    at_once = trained_in_turns(tmp_path, cells, [GPU_0, GPU_0, GPU_0, GPU_1])
    assert [result.weights_sha256 for result in at_once] == alone
    assert not GPU.races


def test_cells_that_share_one_state_of_the_generator_race_for_the_seeds_of_their_replays(tmp_path, monkeypatch):
    """What a turn's own state is for: the device reads the seed of a replay from memory that the state has."""
    monkeypatch.setattr(torch.cuda.default_generators[0], "graphsafe_set_state", lambda state: None)
    cells = [cell_of(tmp_path, *EVERYTHING, seed=seed) for seed in (0, 1)]
    trained_in_turns(tmp_path, cells, [GPU_0, GPU_0])
    assert any("seed" in what for what, _ in GPU.races)


def test_a_stream_that_does_not_wait_for_the_images_races_with_them(tmp_path, monkeypatch):
    """And is seen on the pretended device: it computes one thing after another, so that no number would tell."""
    monkeypatch.setattr(torch.cuda.Stream, "wait_stream", lambda stream, other: None)
    data = torch.zeros(3, device=GPU_0).add_(1)
    with turns.on_gpu("float32", GPU_0)():
        data + 1
    assert GPU.races


@pytest.mark.parametrize("batch", [2, 7])
def test_a_training_that_is_interrupted_and_goes_on_is_the_same(batch, tmp_path):
    """Before there is a graph, and after."""
    whole = trained(tmp_path / "whole", *EVERYTHING)
    left = Counter(batch=batch)

    def stop():
        left["batch"] -= 1
        return left["batch"] == 0

    with pytest.raises(Interrupted):
        trained(tmp_path, *EVERYTHING, should_stop=stop)
    again = trained(tmp_path, *EVERYTHING)
    assert again.metrics == pytest.approx(whole.metrics, rel=1e-5)
    assert [record["epoch"] for record in again.epochs] == [1, 2, 3]
    assert not GPU.races


def waits_by_place(folder, epochs):
    GPU.forget()
    trained(folder, *EVERYTHING, f"base.epochs={epochs}", "base.eval_every=100")
    return {place: count for (kind, place), count in GPU.waits.items() if "graphs.py" not in place}


def test_a_batch_does_not_wait_for_the_device(tmp_path):
    """Five more epochs of five batches wait for their losses, and once for the order of their images."""
    trained(tmp_path, *EVERYTHING)  # what is done once a process
    few, many = waits_by_place(tmp_path / "few", 2), waits_by_place(tmp_path / "many", 7)
    more = {place: many[place] - few.get(place, 0) for place in many if many[place] != few.get(place, 0)}
    assert set(more.values()) == {5}, f"something waits in every batch, or in some: {more}"
    assert len(more) <= 3
