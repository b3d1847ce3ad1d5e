"""Operations that sum in another order each time are refused where a recipe asks for it, and nowhere else."""

import os

import pytest
import torch

from ablate.engine.deterministic import WORKSPACE, only_deterministic
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls, trainer_of


def settings():
    return torch.are_deterministic_algorithms_enabled(), os.environ.get(WORKSPACE)


@pytest.mark.parametrize("given", [None, ":16:8"])
def test_it_is_a_setting_of_the_process_that_is_put_back(monkeypatch, given):
    monkeypatch.setenv(WORKSPACE, given) if given else monkeypatch.delenv(WORKSPACE, raising=False)
    with only_deterministic(True):
        assert settings() == (True, given or ":4096:8")
        with pytest.raises(RuntimeError, match="put_ does not have a deterministic implementation"):
            torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)
    assert settings() == (False, given)
    with only_deterministic(False):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)


def cell_of(spec, environment, **fields):
    document = {key: value for key, value in spec.items() if key != "factors"}
    plan = make_plan(load({**document, "base": {**document["base"], **fields}}, []), default())
    return make_cells(plan, default(), environment, "cpu")[0].cell


def result(cell, environment, folder):
    steps = trainer_of(default(), cell.recipe).train(cell, environment, "cpu", Controls(folder / cell.key))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_a_deterministic_cell_is_another_one_with_the_same_bits_on_a_cpu(spec, environment, tmp_path):
    plain, asked = cell_of(spec, environment), cell_of(spec, environment, deterministic=True)
    assert cell_of(spec, environment, deterministic=False, devices=1) == plain, "defaults are not in the key"
    assert asked.key != plain.key
    assert result(asked, environment, tmp_path).weights_sha256 == result(plain, environment, tmp_path).weights_sha256
    trainer = trainer_of(default(), asked.recipe)
    told = [str(remark) for remark in trainer.remarks(trainer.facts(environment), "cpu")]
    assert told == ["deterministic: on a CPU the same cell has the same bits without it, and this is another cell"]


def test_what_has_no_deterministic_form_is_refused_before_the_training(spec, environment, monkeypatch):
    def net(info, /):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10), Puts())

    class Puts(torch.nn.Module):
        def forward(self, logits):
            torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2), accumulate=False)
            return logits

    monkeypatch.setattr("ablate.components.models.net", net)
    default.cache_clear()
    try:
        for asked in (False, True):
            trainer = trainer_of(default(), cell_of(spec, environment, deterministic=asked).recipe)
            found = [str(problem) for problem in trainer.preflight(environment, "cpu", None, [])]
            assert bool(found) == asked
        assert "put_ does not have a deterministic implementation" in found[0]
    finally:
        default.cache_clear()
