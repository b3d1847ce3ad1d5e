"""Commands that use what was trained."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import AsJson, DataDir, Device, StoreDir, app, as_text, print_json, print_text, warn


@app.command()
def predict(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of a stored study.", show_default=False)],
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="Name of one of its variants.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="IMAGES", help="Folder of images.", show_default=False)],
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the cell; the first one with kept weights unless given.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write here.")] = None,
    store: StoreDir = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Say the class of each image of a folder, by a trained model whose weights were kept, as CSV: path, class, probability."""
    from ablate import places
    from ablate.report.console import err, text
    from ablate.report.data import guarded
    from ablate.report.files import write
    from ablate.runner.predicting import COLUMNS, predicted
    from ablate.runner.trained import cell_of, restore
    from ablate.store import Store
    from ablate.writing import storable

    with Store(places.store_dir(store), create=False) as opened:
        cell = cell_of(opened, study, variant, seed)
        model = restore(opened, cell, places.device_of(device), warn)
    err.print(text(f"{variant}, seed {cell.seed}", "dim"), soft_wrap=True)
    if as_json:
        images = [dict(zip(COLUMNS, vars(told).values(), strict=True)) for told in predicted(model, folder, warn)]
        document = {"study": study, "variant": variant, "seed": cell.seed, "images": images}
        if output is None:
            print_json(document)
        else:
            write(output, as_text(document))
        return
    made = io.StringIO()
    rows = csv.writer(made, lineterminator="\n")
    rows.writerow(COLUMNS)
    for told in predicted(model, folder, warn):
        rows.writerow([guarded(told.path), guarded(told.class_name), f"{told.probability:.6f}"])
    content = storable(made.getvalue())
    if output is None:
        print_text(content)
    else:
        write(output, content)


@app.command()
def evaluate(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of a stored study.", show_default=False)],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", metavar="NAME", help='A metric, or as JSON {"use": NAME, …}; may be repeated. The recipe\'s unless given.'
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help='Dataset whose test images count, or as JSON {"use": NAME, …}; the images of the study unless given.',
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What the images are called in the columns; as the dataset unless given.")
    ] = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure finished cells by another metric, or on other images, with their kept weights. Nothing is trained."""
    from ablate import places
    from ablate.contracts import Environment
    from ablate.errors import UsageError
    from ablate.report.console import err, out, text
    from ablate.runner.evaluating import Asked
    from ablate.runner.evaluating import evaluate as measure
    from ablate.store import Store

    if not metric and dataset is None:
        raise UsageError("give --metric, --dataset, or both: without them, cells are measured as they were.")
    images = None if dataset is None else _component(dataset, "--dataset")
    of = name or ("" if images is None else str(images["use"]).rpartition(":")[2])
    metrics = [_component(given, "--metric") for given in metric or ()]
    asked = Asked({str(one["use"]).rpartition(":")[2]: one for one in metrics}, images, of)
    if len(asked.metrics) < len(metrics):
        raise UsageError("a metric is given twice: measure them one after the other, each with a --name.")
    environment = Environment(places.data_dir(data_dir))
    with Store(places.store_dir(store), create=False) as opened:
        columns = measure(
            opened,
            study,
            asked,
            environment,
            places.device_of(device),
            lambda line: err.print(text(line, "dim"), soft_wrap=True),
            warn,
        )
    if as_json:
        print_json({"study": study, "columns": columns})
        return
    out.print(text(f"{', '.join(columns)}: in the cells of {study}, and in its report"), soft_wrap=True)


def _component(given: str, option: str) -> dict[str, Any]:
    """A component from its name or its JSON.

    Raises:
        UsageError: The JSON is no component.
    """
    from ablate.errors import UsageError
    from ablate.spec.strict import parse

    if not given.lstrip().startswith("{"):
        return {"use": given}
    found = parse(given, option)
    if not isinstance(found.get("use"), str):
        raise UsageError(f'{option}: expected a component, such as {{"use": "…"}}.')
    return dict(found)
