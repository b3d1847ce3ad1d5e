"""The components through the registry, as a spec uses them."""

import pytest
import torch

import ablate
from ablate.contracts import DataInfo
from ablate.errors import SpecError
from ablate.registry import build, default

DIGITS = {
    "name": "timm-test",
    "base": {
        "dataset": {"use": "digits", "size": 32, "channels": 3, "limit": 64},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "timm", "arch": "resnet18"},
        "optimizer": {"use": "timm", "name": "lamb", "lr": 0.002},
        "epochs": 1,
    },
    "seeds": 1,
}


def test_a_study_with_timm_runs(tmp_path):
    study = ablate.run(DIGITS, store=tmp_path, device="cpu")
    assert study.cells["status"].tolist() == ["done"]


def test_resnet18_is_timms_with_the_datas_classes():
    model = build(default(), "model", {"use": "timm", "arch": "resnet18"}, DataInfo(1, 32, 32, 7))
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


def test_a_frozen_backbone_leaves_the_last_layer():
    spec = {"use": "timm", "arch": "resnet18", "freeze_backbone": True}
    model = build(default(), "model", spec, DataInfo(3, 32, 32, 7))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]


def test_a_misspelt_arch_gets_close_matches(tmp_path):
    with pytest.raises(SpecError, match="resnet18"):
        ablate.run(DIGITS, overrides=['base.model.arch="resnet81"'], store=tmp_path, device="cpu")


def test_layers_have_the_rates_that_timm_scales_them_to():
    model = build(default(), "model", {"use": "timm", "arch": "resnet18"}, DataInfo(3, 32, 32, 7))
    spec = {"use": "timm", "name": "adamw", "lr": 0.1, "arguments": {"layer_decay": 0.5}}
    groups = build(default(), "optimizer", spec, model).param_groups
    assert [group["lr"] for group in groups] == [pytest.approx(0.1 * group["lr_scale"]) for group in groups]
    assert groups[0]["lr"] == 0.1
    assert len({group["lr"] for group in groups}) > 5


def test_only_recipes_with_rates_by_layer_have_another_key():
    said = default().load("optimizer", "timm")
    for arguments, number in (({}, 1), ({"layer_decay": 0.5}, 2)):
        assert said.says("semantics", {"arguments": arguments}) == number
