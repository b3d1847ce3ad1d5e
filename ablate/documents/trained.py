"""What kept models say, as documents."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import UsageError

Place = Path | str | None
Say = Callable[[str], None]


def prediction_record(
    study: str, variant: str, images: Path | str, seed: int | None, store: Place, device: str, warn: Say
) -> dict[str, Any]:
    """The class of each image of a folder, without a version.

    Raises:
        UsageError: There is no such cell, it is not finished, or its weights were not kept.
        EnvironmentProblem: The weights are damaged, or images cannot be read.
    """
    from ablate import places
    from ablate.runner.predicting import COLUMNS, predicted
    from ablate.runner.trained import cell_of, restore
    from ablate.store import Store

    with Store(places.store_dir(store), create=False) as opened:
        cell = cell_of(opened, study, variant, seed)
        model = restore(opened, cell, places.device_of(device), warn)
    told = [dict(zip(COLUMNS, vars(one).values(), strict=True)) for one in predicted(model, Path(images), warn)]
    return {"study": study, "variant": variant, "seed": cell.seed, "images": told}


def evaluation_record(
    study: str,
    metrics: Sequence[Mapping[str, Any]],
    dataset: Mapping[str, Any] | None,
    name: str | None,
    places_of: tuple[Place, Place],
    device: str,
    tell: Say,
    warn: Say,
) -> dict[str, Any]:
    """Measures finished cells, and names the columns that their study has for it, without a version.

    Args:
        study: Its name.
        metrics: Components; those of the recipe where there are none.
        dataset: The component whose test images count; the images of the study where None.
        name: What the images are called in the columns; as the dataset where None.
        places_of: Directories of the store and of datasets.
        device: Where the models run.
        tell: Is told how far it is.
        warn: Is told what is left out.

    Raises:
        UsageError: Nothing is asked for, no cell has weights, or a column of this name has something else.
        SpecError: A metric or the dataset is wrong.
        EnvironmentProblem: Data or weights are missing or damaged, or do not fit each other.
    """
    from ablate import places
    from ablate.contracts import Environment
    from ablate.runner.evaluating import Asked, evaluate
    from ablate.store import Store

    if not metrics and dataset is None:
        raise UsageError("give a metric, a dataset, or both: without them, cells are measured as they were.")
    of = name or ("" if dataset is None else _name_of(dataset))
    asked = Asked({_name_of(one): dict(one) for one in metrics}, None if dataset is None else dict(dataset), of)
    if len(asked.metrics) < len(metrics):
        raise UsageError("a metric is given twice: measure them one after the other, each with a name.")
    store, data_dir = places_of
    with Store(places.store_dir(store), create=False) as opened:
        environment = Environment(places.data_dir(data_dir))
        columns = evaluate(opened, study, asked, environment, places.device_of(device), tell, warn)
    return {"study": study, "columns": columns}


def component_of(given: str | Mapping[str, Any], of: str) -> Mapping[str, Any]:
    """A component from its name, its JSON, or what it is already.

    Args:
        given: One of these.
        of: What it was given as, for the message.

    Raises:
        UsageError: It is no component.
    """
    from ablate.spec.strict import parse

    if isinstance(given, str):
        given = dict(parse(given, of)) if given.lstrip().startswith("{") else {"use": given}
    if not isinstance(given.get("use"), str):
        raise UsageError(f'{of}: expected a component, such as {{"use": "…"}}.')
    return given


def _name_of(component: Mapping[str, Any]) -> str:
    return str(component["use"]).rpartition(":")[2]
