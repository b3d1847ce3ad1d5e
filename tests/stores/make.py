"""Makes the store of this version that is kept: `python tests/stores/make.py`. It is made once, before a version is released."""

import json
import sys
import tempfile
from itertools import count
from pathlib import Path

import torch
from linear import install

from ablate.database import VERSION
from ablate.driver import Options, prepare, save
from ablate.engine.train import Controls, Interrupted, train
from ablate.store import Store

SPEC = {
    "name": "kept",
    "question": "Does a larger learning rate help?",
    "base": {
        "dataset": {"use": "digits", "limit": 40},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "kept_linear"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 8,
        "epochs": 3,
    },
    "factors": {"lr": {"large": {"optimizer": {"lr": 0.2}}}},
    "seeds": 1,
    "published": {"source": "a paper", "accuracy": {"base": 0.5}},
}


def main() -> None:
    """One cell is done, and the other was interrupted in its second epoch."""
    place = Path(__file__).parent / f"v{VERSION}"
    with tempfile.TemporaryDirectory() as site:
        sys.path.insert(0, str(install(Path(site) / "site")))
        job = prepare(SPEC, (), Options(data_dir=site, device="cpu"))
        done, interrupted = (planned.cell for planned in job.cells)
        with Store(place) as store:
            save(job, store)

            def controls(key: str, batches: float) -> Controls:
                seen = count(1)
                return Controls(
                    store.checkpoints / f"{key}.safetensors",
                    on_epoch=lambda record: store.record_epoch(key, record),
                    should_stop=lambda: next(seen) > batches,
                )

            for cell in (done, interrupted):
                assert store.claim(cell, {"python": "3.11"}) == "claimed"
            endless = controls(done.key, float("inf"))
            assert store.finish(done.key, train(job.registry, done, job.environment, torch.device("cpu"), endless))
            try:
                train(job.registry, interrupted, job.environment, torch.device("cpu"), controls(interrupted.key, 7))
            except Interrupted:
                store.fail(interrupted.key, "interrupted", None, None)
            cells = json.loads(store.study("kept").cells[["variant", "status", "accuracy"]].to_json(orient="records"))
    (place / "drivers").rmdir()
    (place / "cells.json").write_text(json.dumps(cells, indent=2) + "\n")


main()
