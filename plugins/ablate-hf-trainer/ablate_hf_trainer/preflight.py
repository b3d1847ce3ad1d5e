"""A recipe tried with its longest texts before anything is trained."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import get_scheduler
from transformers.utils import logging

from ablate.errors import describe
from ablate.plugin import AblateError, Problem
from ablate.trainers.loops import drawing

from . import texts
from .loop import collated, examples
from .model import made_model, made_tokenizer

if TYPE_CHECKING:
    from .recipe import Recipe

FEW = 2  # texts that a recipe is tried with


def problems(recipe: "Recipe", notices: list[Problem]) -> Iterator[Problem]:
    """The first thing that cannot work; what works and is probably not meant is appended to the notices.

    Raises:
        EnvironmentProblem: The texts cannot be read.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    data = texts.load(recipe.train, recipe.test, recipe.text, recipe.label)
    whole = recipe.pretrained and "pretrained"
    field = (recipe.tokenizer_folder and "tokenizer_folder") or whole or "tokenizer"
    try:
        with drawing(0):
            tokenizer = made_tokenizer(recipe, data.train.texts)
            tokens = [len(found) for found in tokenizer(list(data.train.texts), verbose=False)["input_ids"]]
            notices += _size_notes(recipe, tokens)
            field = whole or ("config" if recipe.config else "model")
            model = made_model(recipe, tokenizer, data.classes)
            room = getattr(model.config, "max_position_embeddings", None)
            if room is not None and recipe.max_length > room:
                message = f"{recipe.max_length:,} tokens, and the model has positions for {room:,} (max_position_embeddings)"
                yield Problem("max_length", message, "Cut texts to less, or give the model more positions.")
                return
            longest = sorted(range(len(tokens)), key=lambda index: -tokens[index])[:FEW]
            part = texts.Part([data.train.texts[i] for i in longest], [data.train.labels[i] for i in longest])
            model(**collated(tokenizer, examples(recipe, tokenizer, part))).loss.backward()
            field = "scheduler_arguments" if recipe.scheduler_arguments else "scheduler"
            _try_schedule(recipe, -(-len(tokens) // recipe.batch_size) * recipe.epochs)
    except AblateError:
        raise
    except Exception as error:  # what a library says of a recipe that it cannot make
        yield Problem(field, " ".join(describe(error).split()))


def _size_notes(recipe: "Recipe", tokens: Sequence[int]) -> Iterator[Problem]:
    if cut := sum(count > recipe.max_length for count in tokens):
        longest = max(tokens)
        yield Problem("max_length", f"{cut:,} of {len(tokens):,} training texts are cut; the longest has {longest:,} tokens")
    if recipe.batch_size > len(tokens):
        message = f"{recipe.batch_size:,} is more than the {len(tokens):,} training texts: an epoch is one batch of them all"
        yield Problem("batch_size", message)


def _try_schedule(recipe: "Recipe", steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros((), requires_grad=True)], lr=recipe.learning_rate)
    more = dict(recipe.scheduler_arguments)
    schedule = get_scheduler(recipe.scheduler, optimizer, int(steps * recipe.warmup), steps, scheduler_specific_kwargs=more)
    optimizer.step()
    schedule.step()
