"""Text classification by transformers' Trainer, on this machine's files alone."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ablate.plugin import (
    Bound,
    Cell,
    Choices,
    Controls,
    Environment,
    Facts,
    FilePath,
    Fraction,
    Nested,
    NonNegative,
    Positive,
    PositiveInt,
    Problem,
    Record,
    Registry,
    Steps,
    Trainer,
)
from ablate.registry.sources import version_of
from ablate.spec.recipe import lower_is_better
from ablate.trainers import declared
from ablate.trainers.loops import as_steps, reached

from . import texts
from .recipe import Recipe, optimizers, schedulers

if TYPE_CHECKING:
    from ablate.plugin import Compare

NUMERICS = ("numpy", "torch", "torchmetrics")  # beside what this package requires itself
F1 = {"use": "torchmetrics", "name": "multiclass_f1_score", "arguments": {"average": "macro"}}


def _models() -> list[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    return sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)


def hf_trainer(
    registry: Registry,
    /,
    *,
    train: FilePath,
    test: FilePath,
    text: str = "text",
    label: str = "label",
    model: Annotated[str, Choices(_models)] | None = None,
    config: dict[str, Any] = {},  # noqa: B006  never changed
    pretrained: str | None = None,
    tokenizer: Literal["bpe", "word"] | None = None,
    vocabulary: PositiveInt | None = None,
    lowercase: bool | None = None,
    tokenizer_folder: str | None = None,
    max_length: PositiveInt = 128,
    freeze: Literal["nothing", "embeddings", "body"] = "nothing",
    metrics: Annotated[dict[str, dict[str, Any]], Nested("metric", many=True)] = {  # noqa: B006
        "accuracy": {"use": "accuracy"},
        "loss": {"use": "loss"},
        "f1": F1,
    },
    epochs: PositiveInt = 3,
    batch_size: PositiveInt = 16,
    optimizer: Annotated[str, Choices(optimizers)] = "adamw_torch",
    learning_rate: Positive = 5e-5,
    weight_decay: NonNegative = 0.0,
    scheduler: Annotated[str, Choices(schedulers)] = "linear",
    scheduler_arguments: dict[str, Any] = {},  # noqa: B006
    warmup: Fraction = 0.0,
    label_smoothing: Fraction = 0.0,
    grad_clip: Annotated[float, Bound(above=0)] | None = 1.0,
    precision: Literal["float32", "bfloat16"] = "float32",
    threads: Annotated[int, Bound(minimum=1, maximum=1024)] = 1,
) -> Trainer:
    """Trains a model of transformers to classify texts, by its Trainer, and evaluates it after each epoch.

    Models are made from a configuration, or are in a folder on this machine; nothing is fetched.

    Args:
        train: Training texts with their labels: a .csv file with a header, or .jsonl with an object a line.
        test: Texts that are evaluated.
        text: Name of the column of texts.
        label: Name of the column of labels; each distinct one of the training texts is a class.
        model: Type of the model, such as bert; it has new weights.
        config: Fields of its configuration, such as hidden_size; the others are as transformers has them.
        pretrained: In place of `model`, a folder with a model's config.json and its weights as safetensors. Its
            content is in the key.
        tokenizer: What is made from the training texts: parts of words by byte-pair encoding, or whole words. bpe, unless a
            folder has a tokenizer.
        vocabulary: The most tokens that it has; 8000 unless given.
        lowercase: Whether it takes capital letters as small ones; it does unless this is false.
        tokenizer_folder: In place of these, a folder with a tokenizer; that of `pretrained` unless given. Its content is
            in the key.
        max_length: Tokens that a text is cut to.
        freeze: What is not trained: embeddings, or the whole model up to the new last layers.
        metrics: What is measured, each under a name of its own.
        epochs: Passes over the training texts.
        batch_size: Texts in a batch.
        optimizer: As transformers calls it, one of those that need no other package.
        learning_rate: The largest of the schedule.
        weight_decay: Not of biases and of the weights of normalisation.
        scheduler: As transformers calls it.
        scheduler_arguments: What the schedule has beside, as transformers' lr_scheduler_kwargs.
        warmup: Part of all steps in which the learning rate rises from 0.
        label_smoothing: What the label of a text gives to all classes, in training.
        grad_clip: Largest norm of the gradient of all weights together.
        precision: bfloat16 is mixed precision: weights stay float32.
        threads: Threads inside an operation; they change floating-point sums.
    """
    given = {name: value for name, value in locals().items() if name != "registry"}
    recipe = Recipe(**given)

    def train_cell(cell: Cell, environment: Environment, device: str, controls: Controls) -> Steps:
        from .loop import run

        return as_steps(lambda give: run(registry, recipe, cell, device, controls, give), controls)

    def preflight(environment: Environment, device: str, compare: "Compare | None", notices: list[Problem]) -> Iterator[Problem]:
        from .preflight import problems

        return problems(recipe, notices)

    return Trainer(
        metrics={name: lower_is_better(registry, metric) for name, metric in metrics.items()},
        train=train_cell,
        epochs=epochs,
        threads=threads,
        imports=("ablate_hf_trainer.loop",),
        data=[train, test, text, label],
        identity=lambda device: _identity(recipe),
        problems=recipe.problems,
        facts=lambda environment: Facts(list(texts.notices(texts.load(train, test, text, label)))),
        preflight=preflight,
        reached=reached,
    )


def _identity(recipe: Recipe) -> Record:
    """What is in folders counts, beside their names."""
    folders = {"pretrained": recipe.pretrained, "tokenizer": recipe.tokenizer_folder}
    files = {name: declared.digests([path])[path] for name, path in folders.items() if path is not None}
    return {"files": files, "packages": {name: version_of(name) for name in NUMERICS}}
