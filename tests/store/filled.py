"""Stores with finished cells that nobody trained."""

from dataclasses import replace

import numpy as np
import torch

from ablate import predictions
from ablate.contracts import DataInfo, Horizon, Result
from ablate.engine import weights
from ablate.runner.job import Options, prepare
from ablate.runner.job import save as save_job
from tests.conftest import SPEC

IMAGES = DataInfo(1, 16, 16, 2)


def result_of(accuracy, images=4):
    """What a cell of the tiny study could have given, with predictions and weights."""
    said = predictions.Predictions(
        np.arange(images) % 2, np.zeros(images, int), np.full(images, 0.5), ("cat", "dog"), "of some images"
    )
    epochs = [
        {
            "epoch": number,
            "train_loss": 1.0,
            "lr": 0.1,
            "seconds": 1.0,
            "images_per_second": 9.0,
            "accuracy": accuracy,
            "loss": 1.0,
        }
        for number in (1, 2)
    ]
    return Result(
        epochs, {"accuracy": accuracy, "loss": None}, f"{round(accuracy * 1000):064x}", 1.0, 7,
        evaluated_images=images, predictions=predictions.packed(said),
    )  # fmt: skip


def keep(store, key):
    """Writes weights of a cell, and gives their digest."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(key[:8], 16))
        model = torch.nn.Linear(16, 2)
    return weights.save(store.kept.file_of(key), key, model, weights.Form(IMAGES, IMAGES, ("cat", "dog"), 2, Horizon(2, 5)))


def fill(store, spec=SPEC, accuracies=(0.5, 0.6, 0.7), **more):
    """A study whose first cells are finished."""
    job = prepare(spec, (), Options(data_dir=store.directory, device="cpu"))
    save_job(job, store, print)
    for planned, accuracy in zip(job.cells, accuracies, strict=False):
        key = planned.cell.key
        assert store.claim(planned.cell, {"cpu": "c", "packages": {"torch": "2"}}) == "claimed"
        assert store.finish(key, replace(result_of(accuracy), kept_sha256=keep(store, key), **more))
        store.evaluations.add(key, {"top5_accuracy": ("k", 0.9, 4, {"metric": "top5_accuracy"})})
    return job
