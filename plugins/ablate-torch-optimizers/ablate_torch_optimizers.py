"""The optimizers of pytorch-optimizer as one component of ablate."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pytorch_optimizer as library
import torch
from torch import Tensor, nn

from ablate.errors import describe
from ablate.plugin import Choices, Positive, trainable

_CLOSURE = "needs a closure that computes the loss"
_SECOND_ORDER = "needs gradients of gradients"
_CHANNELS_LAST = "takes no step on weights in channels-last memory, which the engine trains"
_GROUPS = "needs a rank for parameter groups that the user chooses"
_LR = "sets the learning rate itself, so that no scheduler has an effect"
_STATE = "keeps what is no tensor, number, string, list or dict in its state"
_MODES = "needs to be told when the model is evaluated"
_DISTRIBUTED = "needs a process group"
_BACKWARD = "makes its step within the backward pass"
LEFT_OUT = {
    "a2grad": "has no learning rate",
    "adafactor": _LR,
    "adahessian": _SECOND_ORDER,
    "adalomo": _BACKWARD,
    "adamp": _CHANNELS_LAST,
    "adamuon": _CHANNELS_LAST,
    "adashift": _STATE,
    "alig": _CLOSURE,
    "apollo": _GROUPS,
    "apollodqn": _LR,
    "asgd": _LR,
    "bsam": _CLOSURE,
    "conda": _STATE,
    "demo": _DISTRIBUTED,
    "distributedmuon": _DISTRIBUTED,
    "emofact": _CLOSURE,
    "emolynx": _CLOSURE,
    "emonavi": _CLOSURE,
    "fira": _GROUPS,
    "galore": _GROUPS,
    "kron": _STATE,
    "lomo": _BACKWARD,
    "lorarite": "is for the two factors of LoRA",
    "magma": "wraps another optimizer",
    "muonclip": "needs the logits of attention layers",
    "nero": _CHANNELS_LAST,
    "ranger21": _LR,
    "rose": _STATE,
    "scalableshampoo": _STATE,
    "schedulefreeadamw": _MODES,
    "schedulefreeradam": _MODES,
    "schedulefreesgd": _MODES,
    "sgdp": _CHANNELS_LAST,
    "sophiah": _SECOND_ORDER,
    "spectralsphere": "takes matrices only",
    "splus": _MODES,
    "swats": _LR,
}
BY_LAYER = {"adago", "muon", "normuon"}  # pytorch-optimizer chooses the layers that they orthogonalise
BY_MODEL = {"adammini"}  # they take the model in place of its parameters


def names() -> list[str]:
    """The optimizers that fit; torch's own, which pytorch-optimizer lists too, are components of the core."""
    found = library.get_supported_optimizers()
    return [name for name in found if name not in LEFT_OUT and not library.load_optimizer(name).__module__.startswith("torch.")]


def pytorch_optimizer(
    model: nn.Module,
    /,
    *,
    name: Annotated[str, Choices(names)],
    lr: Positive | None = None,
    arguments: dict[str, Any] = {},  # noqa: B006
) -> torch.optim.Optimizer:
    """An optimizer of pytorch-optimizer (Kim, 2021, https://github.com/kozistr/pytorch_optimizer), over the trained parameters.

    `adago`, `muon` and `normuon` take the weights of linear and convolutional layers whose names do not contain `head`; all
    other parameters get AdamW with `adamw_lr`.

    Args:
        name: Its name in pytorch-optimizer, such as `lion` or `soap`.
        lr: Learning rate, > 0; that of pytorch-optimizer unless given.
        arguments: What its class is given beside these, such as `betas` or `weight_decay`.

    Raises:
        ValueError: The class has no such argument, or does not work with its value.
    """
    settings = _settings(name, lr, arguments)
    _try(name, settings)
    optimizer = _make(model, name, settings)
    optimizer.register_step_pre_hook(_refuse_capture)
    optimizer.register_step_post_hook(lambda made, *_: _replace(made.state, _saved_layout))
    optimizer.register_load_state_dict_post_hook(lambda made: _replace(made.state, Tensor.clone))
    return optimizer


def _settings(name: str, lr: float | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the class is called with: its own learning rate where none is given, and tuples, which it expects, for lists.

    The classes take any further keyword and say nothing, so it is looked at here.
    """
    parameters = list(inspect.signature(library.load_optimizer(name)).parameters.values())[1:]  # without the model's
    known = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}
    default_lr = known.pop("lr")
    for argument in arguments:
        if argument == "lr":
            raise ValueError("the learning rate is `lr` beside `arguments`, not in it")
        if argument not in known:
            taken = ", ".join(sorted(known))
            raise ValueError(f"{name!r} has no argument {argument!r}. It takes: {taken}.")
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    if name in BY_LAYER | BY_MODEL:
        given.setdefault("weight_decay", known["weight_decay"])
    rate = default_lr if lr is None else lr
    return given if rate is None else {"lr": rate, **given}


def _make(model: nn.Module, name: str, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    if name not in BY_LAYER | BY_MODEL:
        made: torch.optim.Optimizer = library.load_optimizer(name)(trainable(model), **settings)
        return made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it recommends to choose the layers by hand
        return library.create_optimizer(model, name, **settings)


def _try(name: str, settings: Mapping[str, Any]) -> None:
    """Makes a step on a small model: much of what is wrong with an argument shows up only there.

    Raises:
        ValueError: It does not work.
    """
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(2, 2)).to(memory_format=torch.channels_last)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        try:
            _make(model, name, settings).step()
        except Exception as error:  # the library's classes may complain in any way
            raise ValueError(f"{name!r} does not work with {dict(settings)}: {describe(error)}") from error


def _refuse_capture(*_: Any) -> None:
    """Keeps steps eager: counters and learning rates are Python's numbers here, which a CUDA graph would repeat for ever."""
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("pytorch-optimizer keeps its counters and learning rates outside of the device")


def _replace(state: Any, change: Callable[[Tensor], Tensor]) -> None:
    """Replaces each tensor of a state by `change` of it.

    A step that goes on from a checkpoint has to give the same bits as one that was never interrupted. Sums and products of
    matrices give them only for the same strides and the same alignment. So after every step tensors have the strides that a
    checkpoint keeps, and after loading they get memory of their own, which is aligned; in a file they are not.
    """
    for key, value in state.items() if isinstance(state, dict) else enumerate(state):
        if isinstance(value, Tensor):
            state[key] = change(value)
        elif isinstance(value, (dict, list)):
            _replace(value, change)


def _saved_layout(tensor: Tensor) -> Tensor:
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return tensor if last else tensor.contiguous()
