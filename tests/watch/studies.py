"""Stores with studies that are under way, for the tests of the page."""

from pathlib import Path

from ablate.contracts import Cell, Result
from ablate.store import Store
from ablate.study import Compare, VariantInfo

RECIPE = {"dataset": {"use": "digits"}, "epochs": 3}


def key(variant: int, seed: int) -> str:
    return f"{variant:032x}{seed:032x}"


def begin(store: Store, names: tuple[str, ...] = ("base", "x"), seeds: int = 3, name: str = "s") -> None:
    """Plans a study."""
    infos = [VariantInfo(variant, {}, (f"model.size: 1 → {index}",) * (index > 0)) for index, variant in enumerate(names)]
    plan = {"question": "?", "compare": vars(Compare("accuracy", "last", names[0])), "metrics": ["accuracy"], "published": {}}
    members = [(variant, seed, key(index, seed)) for seed in range(seeds) for index, variant in enumerate(names)]
    store.save_study(name, {"name": name}, plan | {"variants": [vars(info) for info in infos]}, members)


def claim(store: Store, variant: int, seed: int) -> str:
    cell = Cell(key(variant, seed), RECIPE, seed, "cpu", {})
    assert store.claim(cell, {"cpu": "a cpu"}) == "claimed"
    return cell.key


def record(epoch: int, accuracy: float) -> dict[str, float]:
    return {"epoch": epoch, "train_loss": 1 / epoch, "lr": 0.1, "seconds": 1.0, "accuracy": accuracy}


def finish(store: Store, variant: int, seed: int, accuracy: float, predictions: str | None = None) -> None:
    """Trains a cell."""
    told = [record(epoch, accuracy * epoch / 3) for epoch in (1, 2, 3)]
    result = Result(told, {"accuracy": accuracy}, "0" * 64, 10.0, 7, predictions=predictions)
    assert store.finish(claim(store, variant, seed), result)


def finished(folder: Path, seeds: int = 3) -> Path:
    """A store with a study that is at its end."""
    with Store(folder) as store:
        begin(store, seeds=seeds)
        for variant in (0, 1):
            for seed in range(seeds):
                finish(store, variant, seed, 0.5 + 0.1 * variant + 0.01 * seed)
    return folder
