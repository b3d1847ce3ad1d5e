"""Somebody's own LightningModule and LightningDataModule, trained by Lightning's Trainer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ablate.plugin import Bound, Cell, Controls, Environment, PositiveInt, Problem, Record, Registry, Steps, Trainer
from ablate.registry.sources import version_of
from ablate.trainers import declared
from ablate.trainers.code import Target, identity
from ablate.trainers.declared import Goals
from ablate.trainers.loops import as_steps, reached

from .recipe import PARTS, Recipe

if TYPE_CHECKING:
    from ablate.plugin import Compare

NUMERICS = ("numpy", "torch")  # beside what this package requires itself


def lightning(
    registry: Registry,
    /,
    *,
    module: str,
    data_module: str,
    settings: dict[str, dict[str, Any]] = {},  # noqa: B006  never changed
    metrics: Goals,
    code: list[str] = [],  # noqa: B006
    data: list[str] = [],  # noqa: B006
    lock: str | None = None,
    max_epochs: PositiveInt = 10,
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "64-true"] = "32-true",
    gradient_clip_val: Annotated[float, Bound(above=0)] | None = None,
    gradient_clip_algorithm: Literal["norm", "value"] = "norm",
    accumulate_grad_batches: PositiveInt = 1,
    threads: Annotated[int, Bound(minimum=1, maximum=1024)] = 1,
) -> Trainer:
    """Trains a LightningModule on a LightningDataModule, and takes what it logs as metrics, after each epoch.

    Args:
        module: The LightningModule, as train.py:Model, with the path of a file, or as package.module:Model.
        data_module: The LightningDataModule, in the same way.
        settings: Keyword arguments of both, as {"module": {…}, "data_module": {…}}: what the study may vary, with the values of
            the base, whose names and types every level keeps.
        metrics: Names that the module logs, each with what is better: maximize or minimize.
        code: Files and folders that both import from beside their own files. Their content is in the key, and so are the
            versions of the packages that they import.
        data: Files and folders that the data module reads. Their content is in the key.
        lock: A file with the versions of what they need, such as a lock file. Its content is in the key.
        max_epochs: Epochs of training, all of which are done.
        precision: As Lightning calls it.
        gradient_clip_val: Where gradients are cut.
        gradient_clip_algorithm: By the norm of the gradient of all weights together, or each value.
        accumulate_grad_batches: Batches whose gradients are added up for one optimizer step.
        threads: Threads inside an operation; they change floating-point sums.
    """
    given = {name: value for name, value in locals().items() if name in Recipe.__dataclass_fields__}
    recipe = Recipe(**given)
    targets = [Target.of(module), Target.of(data_module)]
    read = {"code": code, "data": data, "lock": [lock] if lock else []}

    def problems() -> Iterator[Problem]:
        yield from declared.metric_problems(metrics)
        for field, target in zip(PARTS, targets, strict=True):
            yield from target.problems(field, "a class, as train.py:Model or package.module:Model")
        for name in settings.keys() - set(PARTS):
            yield Problem(f"settings.{name}", f"expected the settings of {' or '.join(PARTS)}")
        for field, paths in read.items():
            yield from declared.paths_problems(field, paths)
        if gradient_clip_val is None and gradient_clip_algorithm != "norm":
            yield Problem("gradient_clip_algorithm", "has no effect without `gradient_clip_val`", "Give it, or remove this.")

    def train(cell: Cell, environment: Environment, device: str, controls: Controls) -> Steps:
        from .loop import run

        return as_steps(lambda give: run(recipe, cell, device, controls, give), controls)

    def preflight(environment: Environment, device: str, compare: "Compare | None", notices: list[Problem]) -> Iterator[Problem]:
        from .preflight import problems as found

        return found(recipe)

    def depends_on(device: str) -> Record:
        own = identity(targets, code, [*data, *read["lock"]])
        return {**own, "packages": own["packages"] | {name: version_of(name) for name in NUMERICS}}

    return Trainer(
        metrics=declared.lower_is_better(metrics),
        train=train,
        epochs=max_epochs,
        threads=threads,
        imports=("ablate_lightning.loop",),
        settings=settings,
        identity=depends_on,
        problems=problems,
        preflight=preflight,
        reached=reached,
    )
