"""The trainer that ablate brings: images, one network, one loss, one optimizer step a batch."""

import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ablate.contracts import Cell, Data, Environment
from ablate.devices import CPU, named, part
from ablate.engine.sizes import size_notes
from ablate.errors import AblateError, Problem, checked, describe, did_you_mean
from ablate.plain import one_line
from ablate.registry import Registry, build
from ablate.registry.params import Absent, Bound, Nested, PositiveInt
from ablate.registry.sources import version_of
from ablate.spec.identity import data_fingerprint
from ablate.spec.recipe import Recipe, lower_is_better
from ablate.spec.trainer import Controls, Facts, Pace, Record, Steps, Trainer, Tunable

if TYPE_CHECKING:
    from ablate.study import Compare

# counts up, for each device, with a change of the engine that changes what a cell gives
SEMANTICS = {"cpu": 2, "cuda": 4, "mps": 1, "xpu": 1}
IMPORTS = ("torch._dynamo", "ablate.engine.train")  # of which the first optimizer would import the first
BFLOAT16 = ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16", "sve_bf16")  # instructions, as torch calls them
NUMERICS = ("torch", "torchvision", "torchmetrics", "numpy")
# fields that a recipe has only with other values
ABSENT = {"step": None, "sampler": None, "split": None, "devices": 1, "deterministic": False}
Components = dict[str, dict[str, Any]]


def image_classification(
    registry: Registry,
    /,
    *,
    dataset: Annotated[dict[str, Any], Nested("dataset")],
    train_transforms: Annotated[Components, Nested("transform", many=True)] = {},  # noqa: B006  never changed
    eval_transforms: Annotated[Components, Nested("transform", many=True)] = {},  # noqa: B006
    model: Annotated[dict[str, Any], Nested("model")],
    initializer: Annotated[dict[str, Any], Nested("initializer")] = {"use": "default"},  # noqa: B006
    optimizer: Annotated[dict[str, Any], Nested("optimizer")],
    scheduler: Annotated[dict[str, Any], Nested("scheduler")] = {"use": "constant"},  # noqa: B006
    loss: Annotated[dict[str, Any], Nested("loss")] = {"use": "cross_entropy"},  # noqa: B006
    metrics: Annotated[Components, Nested("metric", many=True)] = {  # noqa: B006
        "accuracy": {"use": "accuracy"},
        "loss": {"use": "loss"},
    },
    step: Annotated[dict[str, Any], Nested("step"), Absent()] | None = None,
    sampler: Annotated[dict[str, Any], Nested("sampler"), Absent()] | None = None,
    batch_size: PositiveInt = 64,
    epochs: PositiveInt = 12,
    precision: Literal["float32", "tf32", "bfloat16"] = "float32",
    grad_clip: Annotated[float, Bound(above=0)] | None = None,
    ema: Annotated[float, Bound(above=0, below=1)] | None = None,
    accumulate: PositiveInt = 1,
    eval_every: PositiveInt = 1,
    eval_split: Literal["test", "validation"] = "test",
    split: Annotated[Literal["by_seed"], Bound(words='"by_seed", or nothing for the parts that the dataset has'), Absent()]
    | None = None,
    select: str | None = None,
    threads: Annotated[int, Bound(minimum=1, maximum=1024)] = 1,
    devices: Annotated[int, Bound(minimum=1, maximum=1024), Absent()] = 1,
    deterministic: Annotated[bool, Absent()] = False,
) -> Trainer:
    """Trains a network on images, and evaluates it after each epoch.

    Args:
        dataset: The images.
        train_transforms: What training images go through, in this order, each under a name of its own; null keeps a place in the
            order.
        eval_transforms: What images that are evaluated go through.
        model: The network.
        initializer: First weights.
        optimizer: The optimizer.
        scheduler: Learning-rate schedule.
        loss: What is minimised.
        metrics: What is measured, each under a name of its own.
        step: How a batch is trained; forward, backward and one update unless given.
        sampler: Which images an epoch trains on, in which order; all of them, shuffled, unless given.
        batch_size: Images in a batch.
        epochs: Passes over the training images.
        precision: float32 on every device; tf32 is TensorFloat-32 in products and convolutions, on a GPU; bfloat16 is mixed
            precision: weights stay float32.
        grad_clip: Largest norm of the gradient of all weights together.
        ema: Decay of the moving average of the weights that is evaluated in place of them.
        accumulate: Batches whose gradients are averaged for one optimizer step.
        eval_every: Epochs between two evaluations; the last is always evaluated.
        eval_split: Which images are evaluated.
        split: by_seed: every seed shares out all images to training, validation and test anew, as many of each class as the
            dataset's own parts have. Those count unless given.
        select: Metric that selects the epoch on the validation images; its weights are then tested once. The last epoch counts
            unless given.
        threads: Threads inside an operation; they change floating-point sums.
        devices: Devices that share each batch, on one machine: a process each, which sum their gradients.
        deterministic: Whether operations that do not sum in the same order each time are refused, which GPUs have.
    """
    given = {name: value for name, value in locals().items() if name != "registry"}
    recipe: Recipe = {name: value for name, value in given.items() if name not in ABSENT or value != ABSENT[name]}
    stops = step is not None and bool(registry.load("step", step["use"]).says("stops", step))

    def extendable(cell: Cell, environment: Environment, device: str, before: int) -> Iterable[Problem]:
        import torch

        from ablate.engine.extending import problems

        return problems(registry, cell, environment, torch.device(device), before)

    def preflight(environment: Environment, device: str, compare: "Compare | None", notices: list[Problem]) -> Iterable[Problem]:
        import torch

        from ablate.engine.deterministic import only_deterministic
        from ablate.engine.preflight import preflight

        with only_deterministic(deterministic):
            said, found = checked(preflight(registry, recipe, environment, torch.device(device), compare))
        notices.extend(said)
        return found

    def not_told_at(epoch: int) -> str:
        if stops:
            return "its step may have ended the training before"
        evaluated = epoch <= epochs and (epoch % eval_every == 0 or epoch == epochs)
        return "" if evaluated else f"it has {epochs} epochs and eval_every {eval_every}"

    return Trainer(
        metrics={name: lower_is_better(registry, metric) for name, metric in metrics.items()},
        train=partial(_train, registry, devices),
        epochs=None if stops else epochs,
        threads=threads,
        devices=devices,
        imports=IMPORTS,
        shares=devices == 1,
        keeps=True,
        selects=select,
        data=dataset,
        fingerprint=lambda environment: data_fingerprint(registry, dataset, environment),
        identity=_identity,
        problems=lambda: [*_selection_problems(registry, recipe), *_step_problems(recipe), *_devices_problems(recipe)],
        device_problems=lambda device: _device_problems(precision, devices, device),
        not_told_at=not_told_at,
        facts=lambda environment: _facts(registry, dataset, environment),
        remarks=lambda facts, device: [*size_notes(recipe, _in_an_epoch(recipe, facts)), *_device_notes(recipe, device)],
        preflight=preflight,
        tunable=_tunable(recipe),
        extendable=extendable if devices == 1 else None,
        pace=partial(_pace, registry, devices),
        fetch=lambda environment: fetched(registry, dataset, environment),
        reached=_reached,
    )


def _train(registry: Registry, devices: int, cell: Cell, environment: Environment, device: str, controls: Controls) -> Steps:
    import torch

    from ablate.engine.seeding import global_generators_kept
    from ablate.engine.train import training

    names = _each(device, devices)
    with global_generators_kept():
        if devices == 1:
            return (yield from training(registry, cell, environment, torch.device(names[0]), controls))
        from ablate.engine.ranks import first

        with first(cell, environment, names, controls) as ranks:
            return (yield from training(registry, cell, environment, ranks.device, controls, ranks))


def _pace(
    registry: Registry, devices: int, cell: Cell, environment: Environment, device: str, seconds: float
) -> Generator[None, None, Pace]:
    import torch

    from ablate.engine.pace import pace
    from ablate.engine.seeding import global_generators_kept

    begun, names = time.monotonic(), _each(device, devices)
    with global_generators_kept():
        if devices == 1:
            return (yield from pace(registry, cell, environment, torch.device(names[0]), seconds))
        from ablate.engine.ranks import first

        with tempfile.TemporaryDirectory(prefix="ablate-pace-") as folder:
            controls = Controls(Path(folder) / "state.safetensors", float("inf"))
            with first(cell, environment, names, controls) as ranks:
                before = time.monotonic() - begun
                return (yield from pace(registry, cell, environment, ranks.device, seconds, ranks, before))


def _each(device: str, devices: int) -> tuple[str, ...]:
    """The devices of a cell, one by one."""
    return tuple(named(part(device, devices))) if device != CPU else (CPU,) * devices


def _identity(device: str) -> Record:
    return {"engine": SEMANTICS[device], "packages": {name: version_of(name) for name in NUMERICS}}


def _selection_problems(registry: Registry, recipe: Recipe) -> Iterator[Problem]:
    """What an epoch cannot be selected by.

    Selecting on the images that the result is told for would make it look better than it is.
    """
    selecting = recipe["select"]
    if selecting is None:
        return
    if recipe["eval_split"] != "validation":
        hint = 'Add "eval_split": "validation", and give the dataset a `validation` part, such as 0.1.'
        yield Problem("select", "the epoch is selected on the test images, which are to be looked at once", hint)
    if selecting not in recipe["metrics"]:
        yield Problem("select", f"there is no metric {selecting!r}", did_you_mean(selecting, recipe["metrics"]))
    elif lower_is_better(registry, recipe["metrics"][selecting]) is None:
        message = f"nothing says whether {selecting!r} is better when it is larger or when it is smaller"
        yield Problem("select", message, "Select by a metric that says it, such as accuracy or loss.")


def _step_problems(recipe: Recipe) -> Iterator[Problem]:
    """What a step of the recipe's own does itself, and the recipe cannot ask for beside it."""
    if recipe.get("step") and recipe["accumulate"] != 1:
        yield Problem("accumulate", "the recipe's own step makes the updates", "Remove it, or accumulate in the step.")


def _devices_problems(recipe: Recipe) -> Iterator[Problem]:
    """What cannot be shared out to several devices."""
    count = recipe.get("devices", 1)
    if count > 1 and recipe.get("step"):
        yield Problem("devices", "the recipe's own step trains on whole batches", "Remove it, or train on one device.")
    if count > recipe["batch_size"]:
        message = f"{count} devices share batches of {recipe['batch_size']} images"
        yield Problem("devices", message, "Give fewer devices, or larger batches: `batch_size` is that of all devices together.")


def _device_problems(precision: str, devices: int, device: str) -> Iterator[Problem]:
    if devices > 1 and device not in ("cpu", "cuda"):
        yield Problem("devices", f"one cell on several devices is not there for {device}", "Train it on one.")
    if precision == "tf32" and device != "cuda":
        this = "this is a CPU" if device == "cpu" else f"{device} is not known to"
        yield Problem("precision", f"tf32 is a form of numbers that GPUs have, and {this}", 'Use "float32", or a GPU.')


def _device_notes(recipe: Recipe, device: str) -> Iterator[Problem]:
    """What a CPU does not do, or does by way of float32."""
    if recipe.get("deterministic") and device == "cpu":
        yield Problem("deterministic", "on a CPU the same cell has the same bits without it, and this is another cell")
    if recipe["precision"] != "bfloat16" or device != "cpu":
        return
    import torch

    told: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
    if told and not any(told.get(name) for name in BFLOAT16):
        yield Problem("precision", "bfloat16 is slower than float32 on this CPU, which has no instructions for it")


def _facts(registry: Registry, dataset: Mapping[str, Any], environment: Environment) -> Facts:
    """What the dataset has to say, and its number of training images as far as that is known before it is loaded."""
    handle = build(registry, "dataset", dataset, environment)
    images = handle.training_images() if hasattr(handle, "training_images") else None
    if not hasattr(handle, "notices"):
        return Facts((), images)
    try:
        return Facts([one_line(str(notice)) for notice in handle.notices()], images)
    except AblateError:
        raise
    except Exception as error:  # anybody's code, and the data itself is well
        return Facts([f"dataset {dataset['use']!r}: its notices cannot be had: {one_line(describe(error))}"], images)


def _in_an_epoch(recipe: Recipe, facts: Facts) -> int | None:
    """Images that an epoch trains on, as far as that is known before."""
    return None if recipe.get("sampler") else facts.images


def _tunable(recipe: Recipe) -> Tunable:
    """Settings are chosen on images that neither train nor tell the result."""
    judged = {**recipe, "eval_split": "validation", "select": None}  # the last epoch's weights are not replaced
    judges, lengths = ("dataset", "metrics", "eval_split", "split", "select"), ("epochs", "eval_every")
    return Tunable(judged, judges, lengths, tuple(_tuning_problems(recipe)))


def _tuning_problems(recipe: Recipe) -> Iterator[Problem]:
    """Why there are no such images."""
    if not recipe["dataset"].get("validation", True):
        message = "settings are tuned on validation images, and the dataset holds out none"
        yield Problem("base.dataset", message, 'Give the dataset a `validation` part, such as "validation": 0.1.')
    if recipe.get("split"):
        message = (
            "settings are tuned once for all seeds, on images that other seeds are told on where each has a split of its own"
        )
        yield Problem("base.split", message, "Remove it, or `tune`.")
    if recipe["eval_split"] == "validation" and recipe["select"] is None:
        message = "the results would be told on the images that chose the settings"
        hint = "Remove it, so that results are told on the test images, or add `select`."
        yield Problem("base.eval_split", message, hint)


def fetched(registry: Registry, dataset: Mapping[str, Any], environment: Environment) -> str:
    """Downloads and decodes a dataset, and says what it has."""
    from ablate.photographs import Photographs

    data = build(registry, "dataset", dataset, environment).load()
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = ", ".join(f"{len(part.labels):,} {name}" for name, part in parts.items() if part is not None)
    images = data.train.images
    shape = "any size" if isinstance(images, Photographs) else "×".join(str(side) for side in images.shape[1:])
    return f"{dataset['use'].rpartition(':')[2]}: {counts} images of {shape} {_outputs(data)}"


def _outputs(data: Data) -> str:
    count, kind = len(data.class_names), {"regression": "numbers each", "multilabel": "labels"}
    return f"with {count} {kind[data.targets]}" if data.targets in kind else f"in {count} classes"


def _reached(controls: Controls, key: str) -> tuple[int, int] | None:
    from ablate.engine import checkpoint

    return checkpoint.reached(controls.checkpoint, key)
