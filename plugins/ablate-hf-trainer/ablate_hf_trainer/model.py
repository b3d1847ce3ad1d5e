"""The model and the tokenizer: made new, or out of folders on this machine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any
from unittest import mock

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from .recipe import Recipe

VOCABULARY = 8000
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


@contextmanager
def offline() -> Iterator[None]:
    """Nothing is fetched, whatever a folder names."""
    with mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", True):
        yield


def made_config(recipe: "Recipe", fields: Mapping[str, Any]) -> "PretrainedConfig":
    """The configuration with these fields."""
    if recipe.pretrained is None:
        return AutoConfig.for_model(recipe.model, **fields)
    folder = str(Path(recipe.pretrained).expanduser())
    with offline():
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **fields)


def made_tokenizer(recipe: "Recipe", texts: Sequence[str]) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder, or one that is made from the training texts."""
    if recipe.ready_tokenizer is None:
        return _trained(recipe, texts)
    folder = str(Path(recipe.ready_tokenizer).expanduser())
    with offline():
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if found.pad_token is None:
        raise ValueError(f"the tokenizer of {recipe.ready_tokenizer} has no token to fill texts up with (pad_token)")
    return found


def _trained(recipe: "Recipe", texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """Not by WordPiece: its trainer numbers parts of words in the order of a hash table, which is another one each time."""
    kind, special = recipe.tokenizer or "bpe", list(SPECIAL.values())
    size, unknown = recipe.vocabulary or VOCABULARY, SPECIAL["unk_token"]
    more: dict[str, Any] = {"vocab_size": size, "special_tokens": special, "show_progress": False}
    if kind == "bpe":
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **more)
    else:
        made = Tokenizer(models.WordLevel(unk_token=unknown))
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordLevelTrainer(**more)
    if recipe.lowercase is not False:
        made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.train_from_iterator(texts, trainer)
    first, last = SPECIAL["cls_token"], SPECIAL["sep_token"]
    ends = [(token, made.token_to_id(token)) for token in (first, last)]
    made.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)


def made_model(recipe: "Recipe", tokenizer: "PreTrainedTokenizerBase", classes: Sequence[str]) -> "PreTrainedModel":
    """The model for these classes; what is new in it is drawn from torch's global generator."""
    config = made_config(recipe, recipe.config)
    config.num_labels = len(classes)
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: number for number, name in enumerate(classes)}
    config.pad_token_id = tokenizer.pad_token_id
    if recipe.pretrained is None:
        config.vocab_size = len(tokenizer)
        model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    else:
        with offline():
            model = AutoModelForSequenceClassification.from_pretrained(
                str(Path(recipe.pretrained).expanduser()),
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=False,
                dtype="float32",
            )
        if len(tokenizer) > (size := model.get_input_embeddings().weight.shape[0]):
            raise ValueError(f"the tokenizer has {len(tokenizer):,} tokens, and the model has embeddings of {size:,}")
    _freeze(model, recipe.freeze)
    return model


def _freeze(model: "PreTrainedModel", what: str) -> None:
    if what == "embeddings":
        for parameter in model.get_input_embeddings().parameters():
            parameter.requires_grad_(False)
    elif what == "body":
        body = model.base_model
        if body is model:
            raise ValueError("this model has no last layers apart from its body, so `freeze` cannot tell them apart")
        body.requires_grad_(False)
        body.train = MethodType(_stay_in_evaluation, body)  # so that it drops nothing either
        body.eval()


def _stay_in_evaluation(module: nn.Module, mode: bool = True) -> nn.Module:
    return nn.Module.train(module, mode=False)
