"""Trainings of a cell in this process, as the contract does not try them: what is learnt, and other recipes interrupted."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made
import pytest
import torch

from ablate.contracts import Cell, Environment, Result
from ablate.registry import default
from ablate.spec.trainer import Controls, trainer_of
from ablate.testing.sittings import in_sittings, numbers
from ablate.testing.sittings import trained as trained_by


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)


def whole_recipe(folder: Path, **more: Any) -> dict[str, Any]:
    defaults = {name: p.default for name, p in default().load("trainer", "hf_trainer").signature.parameters.items()}
    found = {**defaults, **made.recipe(folder, **more)}
    found["metrics"] = {"accuracy": {"use": "accuracy"}, "loss": {"use": "loss"}}
    return found


def trained(
    recipe: dict[str, Any], folder: Path, seed: int = 0, stop: Callable[[], bool] = lambda: False, often: float = 60.0
) -> Result:
    controls = Controls(folder / "cell.safetensors", checkpoint_seconds=often, should_stop=stop)
    return trained_by(trainer_of(default(), recipe), Cell("k" * 64, recipe, seed, "cpu", {}), Environment(folder), controls)


def interrupted(recipe: dict[str, Any], folder: Path, every: int) -> tuple[Result, int]:
    """The result of a training whose sittings end at so many questions whether they are to stop, and their number."""
    return in_sittings(lambda stop: trained(recipe, folder, stop=stop), every)


def test_a_training_learns(tmp_path: Path):
    result = trained(whole_recipe(tmp_path, epochs=8), tmp_path)
    assert [record["epoch"] for record in result.epochs] == list(range(1, 9))
    assert result.epochs[-1]["train_loss"] < result.epochs[0]["train_loss"] / 2
    assert result.metrics["accuracy"] > 0.9
    assert result.evaluated_images == 40
    assert result.epochs[0]["lr"] == pytest.approx(0.003 * (1 - 5 / 48))  # of the sixth of 48 steps


RECIPES = [
    {},
    {"scheduler": "cosine", "warmup": 0.2, "label_smoothing": 0.1, "optimizer": "adafactor"},
    {"model": "distilbert", "config": {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64}, "freeze": "body"},
    {"precision": "bfloat16", "grad_clip": None},
]


@pytest.mark.parametrize("every", [4, 6])  # in the middle of an epoch of six steps, and at its end
@pytest.mark.parametrize("more", RECIPES, ids=json.dumps)
def test_interrupted_equals_whole(more: dict[str, Any], every: int, tmp_path: Path):
    recipe = whole_recipe(tmp_path, **more)
    whole = trained(recipe, tmp_path / "whole")
    parts, sittings = interrupted(recipe, tmp_path / "parts", every)
    assert sittings > 2
    assert numbers(parts) == numbers(whole)


def test_a_killed_training_goes_on_from_what_was_whole(tmp_path: Path):
    recipe = whole_recipe(tmp_path, epochs=2)
    whole = trained(recipe, tmp_path / "whole")
    trainer = trainer_of(default(), recipe)
    controls = Controls(tmp_path / "killed" / "cell.safetensors", checkpoint_seconds=0.0)
    steps = trainer.train(Cell("k" * 64, recipe, 0, "cpu", {}), Environment(tmp_path), "cpu", controls)
    for _ in range(5):
        next(steps)
    steps.close()
    assert trainer.reached(controls, "k" * 64) == (0, 4)
    half = controls.folder / "checkpoint-5"  # which was being written
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert numbers(trained(recipe, tmp_path / "killed")) == numbers(whole)


def test_what_is_frozen_stays_and_drops_nothing(tmp_path: Path):
    from ablate_hf_trainer.model import made_model, made_tokenizer
    from ablate_hf_trainer.recipe import Recipe

    fields = {name: value for name, value in whole_recipe(tmp_path, freeze="body").items() if name != "use"}
    recipe = Recipe(**fields)
    tokenizer = made_tokenizer(recipe, ["a b c"])
    model = made_model(recipe, tokenizer, ["x", "y"]).train()
    assert not model.base_model.training
    assert model.dropout.training
    assert {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"classifier"}
    inputs = torch.tensor([[2, 5, 3]])
    assert torch.equal(model.base_model(inputs).pooler_output, model.base_model(inputs).pooler_output)


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_a_tokenizer_is_the_same_each_time(kind: str, tmp_path: Path):
    from ablate_hf_trainer.model import made_tokenizer
    from ablate_hf_trainer.recipe import Recipe

    fields = {name: value for name, value in whole_recipe(tmp_path, tokenizer=kind, vocabulary=300).items() if name != "use"}
    texts = [row["text"] for row in made.rows(200, 3)]
    first, again = (made_tokenizer(Recipe(**fields), texts) for _ in range(2))
    assert first.get_vocab() == again.get_vocab()
    assert first("The lovely film")["input_ids"] == first("the LOVELY film")["input_ids"]
    assert first.convert_ids_to_tokens(first("dull")["input_ids"])[0] == "[CLS]"


def test_a_folder_with_a_model_is_trained_on_and_its_content_is_in_the_key(tmp_path: Path):
    from ablate_hf_trainer.model import made_model, made_tokenizer
    from ablate_hf_trainer.recipe import Recipe
    from transformers import AutoModelForSequenceClassification

    first = whole_recipe(tmp_path)
    recipe = Recipe(**{name: value for name, value in first.items() if name != "use"})
    tokenizer = made_tokenizer(recipe, [row["text"] for row in made.rows(96, 1)])
    folder = tmp_path / "model"
    made_model(recipe, tokenizer, ["x", "y"]).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    second = {**first, "model": None, "config": {}, "pretrained": str(folder), "tokenizer": None, "epochs": 1}
    assert list(trainer_of(default(), second).problems()) == []
    weights = AutoModelForSequenceClassification.from_pretrained(folder).bert.embeddings.word_embeddings.weight
    body = {**second, "freeze": "embeddings"}
    assert trained(body, tmp_path / "run").parameters == trained(second, tmp_path / "all").parameters - weights.numel()
    before = trainer_of(default(), second).identity("cpu")
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("gelu", "relu"))
    assert trainer_of(default(), second).identity("cpu") != before
