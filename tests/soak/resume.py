"""A training that is interrupted after any of its steps goes on with the bits that it would have had."""

import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ablate.contracts import Result
from ablate.engine import checkpoint
from ablate.engine.train import train
from ablate.runner.job import Options, prepare
from ablate.spec.trainer import Controls, Interrupted

from . import Row
from ._drivers import NORMALIZE

STEPS = 50
CPU = torch.device("cpu")
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "nadam", "radam", "adagrad")
EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"ema": 0.9},
    "accumulation, clipped": {"accumulate": 3, "grad_clip": 0.5},
    "mixup": {"train_transforms": {"crop": {"use": "random_crop", "size": 16, "padding": 2}, **NORMALIZE, "m": {"use": "mixup"}}},
}
SINGLE = tuple(EXTRAS)
EXTRAS["all of it"] = {key: value for extra in EXTRAS.values() for key, value in extra.items()}
TIMES = ("seconds", "train_seconds", "images_per_second")


def rows(quick: bool) -> Iterator[Row]:
    names = (
        [("adam", "all of it")]
        if quick
        else [*((name, "all of it") for name in OPTIMIZERS), *(("adam", name) for name in SINGLE)]
    )
    steps = range(1, STEPS, 11) if quick else range(1, STEPS)
    with ProcessPoolExecutor(1 if quick else 2, mp_context=multiprocessing.get_context("fork")) as pool:
        different = [place for places in pool.map(partial(_differences, steps=steps), names) for place in places]
    yield Row(
        "resume is exact in the middle of an epoch",
        f"{len(names)} trainings of {STEPS} steps in 5 epochs ({len({name for name, _ in names})} optimizers; average, "
        f"accumulation, clipping, mixup), each interrupted after {f'{len(steps)} of its steps' if quick else 'every step'}",
        f"{len(different)} of {len(names) * len(steps)} with another bit in weights, optimizer or metrics {different[:5] or ''}",
        not different,
    )


def _differences(name: tuple[str, str], steps: range) -> list[str]:
    """The steps after which an interruption changes something."""
    optimizer, extra = name
    with tempfile.TemporaryDirectory() as folder:
        whole = _trained(optimizer, extra, Path(folder) / "whole", [STEPS])
        return [
            f"{optimizer} {extra} {step}"
            for step in steps
            if _trained(optimizer, extra, Path(folder) / str(step), [step, STEPS]) != whole
        ]


def _trained(optimizer: str, extra: str, folder: Path, stops: list[int]) -> Any:
    """The state before the last epoch ends, and the result, without times, of a training that is stopped after these steps."""
    base = {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": NORMALIZE,
        "eval_transforms": NORMALIZE,
        "model": {"use": "net", "dropout": 0.2, "batch_norm": True},
        "optimizer": {"use": optimizer, "lr": 0.01} | ({"momentum": 0.9} if optimizer in ("sgd", "rmsprop") else {}),
        "batch_size": 16,
        "epochs": 5,
    }
    spec = {"name": "resumed", "base": base | EXTRAS[extra], "seeds": 1}
    job = prepare(spec, (), Options(folder, folder, device="cpu", download=False))
    cell, file, done = job.cells[0].cell, folder / "state.safetensors", 0

    def train_to(stop: int | None) -> Result | None:
        nonlocal done

        def should_stop() -> bool:
            nonlocal done
            done += 1
            return done == stop

        try:
            return train(job.registry, cell, job.environment, CPU, Controls(file, 3600, should_stop=should_stop))
        except Interrupted:
            return None

    for stop in stops:
        assert train_to(stop) is None
    state = checkpoint.load(file, cell.key, CPU)
    result = train_to(None)
    assert result is not None
    return _plain(state), _plain(result.to_json())


def _plain(value: Any) -> Any:
    """Something that is equal where all bits are, without times."""
    if isinstance(value, torch.Tensor):
        bits = value.contiguous().view(-1).view(torch.uint8) if value.ndim else value.reshape(1).view(torch.uint8)
        return str(value.dtype), value.stride(), bits.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
