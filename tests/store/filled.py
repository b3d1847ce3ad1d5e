"""Stores with finished cells that nobody trained."""

import hashlib
from dataclasses import replace

import numpy as np

from ablate import predictions
from ablate.contracts import Result
from ablate.runner.job import Options, prepare
from ablate.runner.job import save as save_job
from tests.conftest import SPEC

WEIGHTS = bytes(range(256)) * 40


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
        evaluated_images=images, predictions=predictions.packed(said), kept_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    )  # fmt: skip


def fill(store, spec=SPEC, accuracies=(0.5, 0.6, 0.7), **more):
    """A study whose first cells are finished."""
    job = prepare(spec, (), Options(data_dir=store.directory, device="cpu"))
    save_job(job, store, print)
    for planned, accuracy in zip(job.cells, accuracies, strict=False):
        key = planned.cell.key
        assert store.claim(planned.cell, {"cpu": "c", "packages": {"torch": "2"}}) == "claimed"
        store.kept.directory.mkdir(exist_ok=True)
        store.kept.file_of(key).write_bytes(WEIGHTS)
        assert store.finish(key, replace(result_of(accuracy), **more))
        store.evaluations.add(key, {"top5_accuracy": ("k", 0.9, 4, {"metric": "top5_accuracy"})})
    return job
