"""What the README shows works as it stands there."""

import json
import re
from pathlib import Path

import torch

import ablate
from ablate.params import signature

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found.group(1)


def test_the_study_runs(tmp_path):
    study = ablate.run(json.loads(block("json")), overrides=["seeds=1", "base.epochs=1"], store=tmp_path, device="cpu")
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["variant"].tolist()[0] == "optimizer=sgd,schedule=none"


def test_the_plugin_is_a_component_and_its_optimizer_steps():
    namespace: dict[str, object] = {}
    exec(block("python"), namespace)
    lion = namespace["lion"]
    assert list(signature(lion).parameters) == ["lr", "betas"]
    model = torch.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    optimizer = lion(model, lr=0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model.weight, before - 0.5)


def test_the_documents_that_it_names_are_there():
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (root / target.partition("#")[0]).exists(), target
