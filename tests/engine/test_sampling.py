"""A sampler decides which images an epoch sees; what follows from their number follows it."""

import json

import pytest
import torch
from test_train import AUGMENTED, CPU, cell_of, interrupted, run

from ablate.engine.preflight import preflight
from ablate.errors import checked
from ablate.registry import default

pytestmark = pytest.mark.usefixtures("own")


def sampler(name, **parameters):
    return f"base.sampler={json.dumps({'use': name, **parameters})}"


LOOKING = 'base.step={"use": "looking"}'


def test_all_images_shuffled_is_what_no_sampler_gives(spec, environment, tmp_path):
    without = run(cell_of(spec, environment, *AUGMENTED), environment, tmp_path / "without")
    own = run(cell_of(spec, environment, *AUGMENTED, sampler("shuffled")), environment, tmp_path / "own")
    assert own.weights_sha256 == without.weights_sha256
    assert "sampler" not in cell_of(spec, environment).recipe


def test_an_epoch_has_what_the_sampler_says(spec, environment, tmp_path, own):
    cell = cell_of(spec, environment, LOOKING, sampler("every_other", offset=1), "base.epochs=3", "base.batch_size=16")
    result = run(cell, environment, tmp_path)
    for epoch in range(3):
        indices = torch.cat([batch.indices for batch in own.SEEN if batch.epoch == epoch])
        assert len(indices) == 80 - epoch
        assert (indices % 2 == 1).all()
        assert len(indices.unique()) == len(indices)
    losses = [record["train_loss"] for record in result.epochs]
    assert all(1 < loss < 2.5 for loss in losses), "the mean over the images that were seen"


def test_more_images_than_there_are(spec, environment, tmp_path, own):
    run(cell_of(spec, environment, LOOKING, sampler("many"), "base.epochs=1"), environment, tmp_path)
    assert sum(len(batch.indices) for batch in own.SEEN) == 320


@pytest.mark.parametrize("every", [1, 4])
def test_it_goes_on_bit_for_bit(spec, environment, tmp_path, every):
    cell = cell_of(spec, environment, *AUGMENTED, sampler("every_other"), 'base.scheduler={"use": "cosine", "per": "step"}')
    whole = run(cell, environment, tmp_path / "whole")
    assert interrupted(cell, environment, tmp_path / "parts", every)[0].weights_sha256 == whole.weights_sha256


def test_the_schedule_passes_in_epochs_of_any_length(spec, environment, tmp_path):
    """Six steps in the first epoch, and five in the others: the last one of each is at its end or near it."""
    more = ("base.epochs=3", "base.batch_size=16", "base.dataset.limit=161", 'base.scheduler={"use": "linear", "per": "step"}')
    rates = {}
    for name in ("every_other", "shuffled"):
        result = run(cell_of(spec, environment, *more, sampler(name)), environment, tmp_path / name)
        rates[name] = [record["lr"] for record in result.epochs]
    assert rates["every_other"] == pytest.approx(rates["shuffled"], abs=0.006)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("beyond", "gave images from 1 to 160 for epoch 1; there are 160"),
        ("nothing", "gave no images for epoch 0"),
        ("listed", "gave a list for epoch 0"),
    ],
)
def test_what_cannot_be_trained_on_is_known_before(spec, environment, name, says):
    (problem,) = preflight(default(), cell_of(spec, environment, sampler(name)).recipe, environment, CPU)
    assert problem.path == "sampler"
    assert says in problem.message


def test_sizes_are_judged_by_what_an_epoch_has(spec, environment):
    recipe = cell_of(spec, environment, sampler("every_other"), "base.batch_size=100").recipe
    notices, found = checked(preflight(default(), recipe, environment, CPU))
    assert found == []
    assert any("100 is more than the 80 training images" in notice.message for notice in notices)
