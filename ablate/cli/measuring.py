"""The command that measures this machine."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ablate.errors import EnvironmentProblem, UsageError

from .common import AsJson, DataDir, Device, app, print_json


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="PART", help="All of them unless given, but `gpu`.", show_default=False),
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", metavar="JSON", help="The images of the studies.")] = '{"use": "cifar10"}',
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often everything is measured; medians are shown.")] = 3,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="As little as possible, on embedded digits: to see that it works.")
    ] = False,
    specs: Annotated[
        list[Path] | None,
        typer.Option("--spec", metavar="SPEC", help="A study for the parts `specs` and `gpu`; may be repeated."),
    ] = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write all figures as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure this machine: studies against scripts and a hand-written loop, transforms, fixed costs. Takes a while.

    Transforms, plans and the ceiling are measured on the CPU, whatever the device. The part `gpu` has in less than nine minutes
    what only a GPU can show.
    """
    from ablate import places
    from ablate.bench import LEFT_OUT, PARTS
    from ablate.bench.run import measure
    from ablate.errors import did_you_mean
    from ablate.report.console import err, out, table, wide
    from ablate.report.files import write
    from ablate.spec.strict import parse

    for name in names or ():
        if name not in PARTS:
            raise UsageError(f"the benchmark has no part {name!r}. {did_you_mean(name, PARTS)}")
    if not specs and "specs" in (names or ()):
        raise UsageError(
            "the part 'specs' measures the studies that --spec names. Give at least one, such as --spec specs/q2.json."
        )
    chosen = names or [name for name in PARTS if name not in LEFT_OUT or (specs and name == "specs")]
    images, target = parse(dataset, "--dataset"), places.device_of(device)
    if "gpu" in chosen and target == "cpu":
        import torch

        if not torch.cuda.is_available():
            raise EnvironmentProblem("the part 'gpu' measures a GPU, and torch finds none on this machine.")
        target = places.device_of("cuda")
    figures = []
    for name, part in measure(chosen, images, places.data_dir(data_dir), target, specs or (), repeats, smallest):
        err.print(f"{name}: done", soft_wrap=True)
        figures += part
    if output is not None:
        write(output, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        print_json({"figures": figures})
        return
    rows = [[f["figure"], _measured(f), f["goal"], _agreement(f)] for f in figures]
    wide(out).print(table(["figure", "measured", "goal", "results"], rows))


def _measured(figure: dict[str, Any]) -> str:
    return f"not measured: {figure['why']}" if figure["value"] is None else f"{figure['value']:.3g} {figure['unit']}".strip()


def _agreement(figure: dict[str, Any]) -> str:
    return {True: "agree", False: "DISAGREE", None: ""}[figure.get("results_agree")]
