"""What the README shows works as it stands there."""

import json
import re
from pathlib import Path

import pytest
import torch

import ablate
from ablate.registry.params import signature

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def block(language: str, holding: str = "") -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holding in text]
    assert found
    return found[0]


def test_the_study_runs(tmp_path, in_this_process):
    study = ablate.run(json.loads(block("json")), overrides=["seeds=1", "base.epochs=1"], store=tmp_path, device="cpu")
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["variant"].tolist()[0] == "optimizer=sgd,schedule=none"


def test_the_plugin_is_a_component_and_its_optimizer_steps():
    namespace: dict[str, object] = {}
    exec(block("python", "class Lion"), namespace)
    lion = namespace["lion"]
    assert list(signature(lion).parameters) == ["lr", "betas"]
    model = torch.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    optimizer = lion(model, lr=0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model.weight, before - 0.5)


def test_the_function_is_trained_and_its_runs_are_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.py").write_text(block("python", "def main"))
    spec = json.loads(block("json", "digits.py:main"))
    study = ablate.run(spec, overrides=["seeds=2"], store=tmp_path / "store", device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    study.cells.to_csv("cells.csv", index=False)
    judged = ablate.judge("cells.csv", metric="accuracy")
    assert judged.effects()["difference"].tolist() == pytest.approx(study.effects()["difference"].tolist(), rel=1e-12)


def test_the_documents_that_it_names_are_there():
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (root / target.partition("#")[0]).exists(), target
