"""Makes the store of this version that is kept: `python tests/stores/make.py`. It is made once, before a version is released."""

import json
import sys
import tempfile
from itertools import count
from pathlib import Path

from linear import install

from ablate.contracts import Cell, Result
from ablate.executors import Message, Settings, order
from ablate.executors.training import messages
from ablate.runner.job import Options, prepare, save
from ablate.store import Store
from ablate.store.database import VERSION

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

            def told(cell: Cell, batches: float) -> list[Message]:
                """What becomes of a cell that is asked to stop after so many batches."""
                seen = count(1)
                settings = Settings(1, 1, "cpu", job.environment, store.checkpoints, 60.0, None)
                return [m for m in messages(order(cell, settings), lambda: next(seen) > batches) if m is not None]

            for cell in (done, interrupted):
                assert store.claim(cell, {"python": "3.11"}) == "claimed"
            assert store.finish(done.key, Result.from_json(told(done, float("inf"))[-1]["result"]))
            for message in told(interrupted, 7):
                if message["event"] == "epoch":
                    store.record_epoch(interrupted.key, message["record"])
            assert message["event"] == "interrupted"
            store.fail(interrupted.key, "interrupted", None, None)
            cells = json.loads(store.study("kept").cells[["variant", "status", "accuracy"]].to_json(orient="records"))
    (place / "drivers").rmdir()
    (place / "cells.json").write_text(json.dumps(cells, indent=2) + "\n")


main()
