"""A recipe's classes, imported and made before anything is trained."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as library

from ablate.errors import describe
from ablate.plugin import Problem, did_you_mean
from ablate.trainers.code import loaded
from ablate.trainers.loops import drawing

from .recipe import PARTS, Recipe

CLASSES = {"module": library.LightningModule, "data_module": library.LightningDataModule}


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Why the module or the data module cannot be made. Their data is left alone."""
    try:
        with loaded(*recipe.targets) as found, drawing(0):
            for part, made in zip(PARTS, found, strict=True):
                wrong = list(_class_problems(part, made)) or list(_setting_problems(part, made, recipe.of(part)))
                yield from wrong
                if not wrong:
                    yield from _made(part, made, recipe.of(part))
    except Exception as error:  # anybody's code
        yield Problem("module", f"cannot be imported: {describe(error)}")


def _class_problems(part: str, made: Any) -> Iterator[Problem]:
    expected = CLASSES[part]
    if not (inspect.isclass(made) and issubclass(made, expected)):
        bases = made.__mro__ if inspect.isclass(made) else ()
        old = any(base.__module__.startswith("pytorch_lightning") for base in bases)
        hint = "It is one of pytorch_lightning: import it from lightning, which is another package." if old else ""
        yield Problem(part, f"is no {expected.__name__} of lightning", hint)


def _setting_problems(part: str, made: Any, given: Mapping[str, Any]) -> Iterator[Problem]:
    """Names that the class does not have, and those that it needs."""
    parameters = inspect.signature(made).parameters
    named = {name: p for name, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in given.keys() - named.keys():
            message = f"{made.__name__} has no parameter {name!r}"
            yield Problem(f"settings.{part}.{name}", message, did_you_mean(name, named))
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in given:
            yield Problem(f"settings.{part}", f"{made.__name__} needs {name!r}", f'Give "{name}" in `settings.{part}`.')


def _made(part: str, made: Any, given: dict[str, Any]) -> Iterator[Problem]:
    try:
        made(**given)
    except Exception as error:  # anybody's code
        yield Problem(f"settings.{part}" if given else part, f"{made.__name__} cannot be made: {describe(error)}")
