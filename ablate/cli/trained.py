"""Commands that use what was trained."""

import csv
import io
from pathlib import Path
from typing import Annotated

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
    from ablate.documents.trained import prediction_record
    from ablate.report.console import err, say
    from ablate.report.data import guarded
    from ablate.report.files import write
    from ablate.runner.predicting import COLUMNS
    from ablate.writing import storable

    document = prediction_record(study, variant, folder, seed, store, device, warn)
    say(err, f"{variant}, seed {document['seed']}", "dim")
    if as_json:
        content = as_text(document)
    else:
        made = io.StringIO()
        rows = csv.writer(made, lineterminator="\n")
        rows.writerow(COLUMNS)
        for told in document["images"]:
            rows.writerow([guarded(told["path"]), guarded(told["class"]), f"{told['probability']:.6f}"])
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
    from ablate.documents.trained import component_of, evaluation_record
    from ablate.report.console import err, out, say, text, wide
    from ablate.report.content import evaluated
    from ablate.report.terminal import table_view
    from ablate.store import Store

    told = evaluation_record(
        study,
        [component_of(given, "--metric") for given in metric or ()],
        None if dataset is None else component_of(dataset, "--dataset"),
        name,
        (store, data_dir),
        device,
        lambda line: say(err, line, "dim"),
        warn,
    )
    if as_json:
        print_json(told)
        return
    with Store(places.store_dir(store), create=False) as opened:
        found = evaluated(opened.study(study), told["columns"])
    for section in [found] if found else []:
        console = wide(out)
        console.print(table_view(section.tables[0], console.width), *(text(note, "dim") for note in section.notes))
