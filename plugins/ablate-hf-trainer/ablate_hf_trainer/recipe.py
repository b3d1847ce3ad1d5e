"""The fields of a recipe, and what is wrong with them as such."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import describe
from ablate.plugin import Problem, did_you_mean

OPTIMIZERS = ("adamw_torch", "adafactor", "sgd", "adagrad", "rmsprop")
WATCHING = ("reduce_lr_on_plateau", "greedy")  # they follow what is evaluated, which are the test texts
FROM_TEXTS = ("vocab_size", "num_labels", "id2label", "label2id", "problem_type", "pad_token_id")
NOT_ARCHITECTURE = ("model_type", "architectures", "transformers_version", "_name_or_path", "dtype", "torch_dtype", "auto_map")


def optimizers() -> list[str]:
    return list(OPTIMIZERS)


def schedulers() -> list[str]:
    from transformers import SchedulerType

    return sorted(kind.value for kind in SchedulerType if kind.value not in WATCHING)


@dataclass(frozen=True)
class Recipe:
    """The fields of a recipe; attributes as the parameters of `hf_trainer`."""

    train: str
    test: str
    text: str
    label: str
    model: str | None
    config: Mapping[str, Any]
    pretrained: str | None
    tokenizer: str | None
    vocabulary: int | None
    lowercase: bool | None
    tokenizer_folder: str | None
    max_length: int
    freeze: str
    metrics: Mapping[str, Any]
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    scheduler: str
    scheduler_arguments: Mapping[str, Any]
    warmup: float
    label_smoothing: float
    grad_clip: float | None
    precision: str
    threads: int

    @property
    def ready_tokenizer(self) -> str | None:
        """The folder that the tokenizer is in; None where it is made from the training texts."""
        return self.tokenizer_folder or self.pretrained

    def problems(self) -> Iterator[Problem]:
        for field in ("train", "test"):
            path = getattr(self, field)
            if Path(path).suffix not in (".csv", ".jsonl"):
                yield Problem(field, f"found {path!r}, expected a .csv or .jsonl file")
        yield from self._folder_problems()
        if (self.model is None) == (self.pretrained is None):
            message = "a recipe has a `model` with new weights, or the folder of one that is `pretrained`, and not both"
            yield Problem("model", message, 'Give one of them, and null for the other, such as "model": "bert".')
        else:
            yield from self._config_problems()
        if self.ready_tokenizer is not None:
            for field in ("tokenizer", "vocabulary", "lowercase"):
                if getattr(self, field) is not None:
                    yield Problem(field, f"has no effect: the tokenizer is that of {self.ready_tokenizer}", "Remove it.")
        if self.scheduler == "constant" and self.warmup:
            yield Problem("warmup", "the schedule 'constant' has none", 'Use "scheduler": "constant_with_warmup".')
        if self.scheduler == "constant_with_warmup" and not self.warmup:
            yield Problem("scheduler", "without `warmup` it is 'constant'", 'Give "warmup", or use "scheduler": "constant".')

    def _folder_problems(self) -> Iterator[Problem]:
        for field in ("pretrained", "tokenizer_folder"):
            path = getattr(self, field)
            if path is not None and not Path(path).expanduser().is_dir():
                where = Path(path).expanduser().absolute()
                yield Problem(
                    field, f"there is no folder {path!r}", f"It was looked for at {where}; nothing is fetched from a hub."
                )

    def _config_problems(self) -> Iterator[Problem]:
        """Fields that the configuration of this model does not have: transformers would take them without a word."""
        from .model import made_config

        if self.pretrained is not None and not Path(self.pretrained).expanduser().is_dir():
            return
        try:
            bare = made_config(self, {})
        except Exception as error:  # whatever a file in a folder makes of it
            yield Problem("model" if self.pretrained is None else "pretrained", describe(error))
            return
        known = {*bare.to_dict(), *bare.attribute_map} - {*FROM_TEXTS, *NOT_ARCHITECTURE}
        for name in self.config:
            if name in FROM_TEXTS:
                yield Problem(f"config.{name}", "comes from the training texts and the tokenizer", "Remove it.")
            elif name not in known:
                message = f"the configuration of {bare.model_type} has no field {name!r}"
                yield Problem(f"config.{name}", message, did_you_mean(name, known))
        if not set(self.config) <= known:
            return
        try:
            made_config(self, self.config)
        except Exception as error:
            yield Problem("config", " ".join(describe(error).split()))
