"""What a result must have before it is stored as a cell's: the trace of a training of this cell."""

from collections.abc import Iterable

from ablate.contracts import Cell, Result
from ablate.predictions import decoded, unpacked
from ablate.registry import default
from ablate.spec.trainer import trainer_of


def unbelievable(cell: Cell, result: Result) -> str | None:
    """Why a result is not one of this cell, or None. Of an executor's own results only their form can be told."""
    trainer = trainer_of(default(), cell.recipe)
    names = set(trainer.metrics)
    if set(result.metrics) != names:
        return f"it has the metrics {_listed(result.metrics)}, and the recipe has {_listed(names)}"
    if result.predictions is not None:
        try:
            said = len(unpacked(decoded(result.predictions)))
        except ValueError as error:
            return str(error)
        if said != result.evaluated_images:
            return f"it has predictions of {said} images, and was evaluated on {result.evaluated_images}"
    if "executor" in cell.identity:
        return None
    if result.trained is None:
        return (
            "nothing says that ablate trained it. An executor hands on what ablate.executors.training tells; one whose results "
            "are its own says so with the attribute own_results = True of its factory, and they are kept apart"
        )
    if result.trained != cell.identity:
        other = [name for name in cell.identity | result.trained if cell.identity.get(name) != result.trained.get(name)]
        return f"it was trained with another {_listed(other)} than the study was planned with"
    epochs = [record.get("epoch") for record in result.epochs]
    if trainer.epochs is not None and epochs != list(range(1, trainer.epochs + 1)):
        return f"it has records of the epochs {epochs}, and the recipe has {trainer.epochs} epochs"
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
