"""Components in components, of every kind: built with what their kind is given, in the key, and refused where they cannot be."""

import itertools

import pytest
import torch

from ablate import registry
from ablate.contracts import DataInfo
from ablate.engine.build import parts
from ablate.registry import KINDS, NESTED, BrokenComponent, build
from ablate.runner.job import Options, prepare
from ablate.spec import identity

HOLDER = '''
"""A component of every kind that holds others, and says what each was given."""
from typing import Annotated, Any

import torch
from torch import nn

from ablate.components.datasets import digits
from ablate.components.losses import cross_entropy
from ablate.components.metrics import accuracy
from ablate.components.models import net
from ablate.components.optimizers import sgd
from ablate.components.schedulers import constant
from ablate.registry.params import FolderPath, Nested

HELD = []


def note(kind, inner, others):
    HELD.append((kind, inner, others))


def dataset(environment, /, *, inner: Annotated[Any, Nested("dataset")] = None, limit: int = 160):
    """A dataset."""
    note("dataset", inner, {})
    return digits(environment, size=16, limit=limit)


def model(
    info,
    /,
    *,
    inner: Annotated[Any, Nested("model")] = None,
    others: Annotated[dict, Nested("model", many=True)] = {},
    metric: Annotated[Any, Nested("metric")] = None,
):
    """A model."""
    note("model", inner, others | ({"metric": metric} if metric else {}))
    return net(info)


def initializer(model, generator, /, *, inner: Annotated[Any, Nested("initializer")] = None):
    """An initializer."""
    with torch.no_grad():
        next(model.parameters()).fill_(1.0 if inner is None else 2.0)
    note("initializer", inner, {})


def optimizer(model, /, *, inner: Annotated[Any, Nested("optimizer")] = None) -> torch.optim.Optimizer:
    """An optimizer."""
    note("optimizer", inner, {})
    return inner or sgd(model, lr=0.05)


def scheduler(horizon, /, *, inner: Annotated[Any, Nested("scheduler")] = None):
    """A schedule."""
    note("scheduler", inner, {})
    return inner or constant(horizon)


def transform(*, inner: Annotated[Any, Nested("transform")] = None):
    """A transform."""
    note("transform", inner, {})
    return inner or (lambda images, generator: images)


class Distilled(nn.Module):
    def __init__(self, teacher):
        super().__init__()
        self.teacher = teacher

    def forward(self, logits, labels):
        return cross_entropy()(logits, labels)


def loss(*, teacher: Annotated[Any, Nested("model")] = None, inner: Annotated[Any, Nested("loss")] = None):
    """A loss."""
    note("loss", inner, {"teacher": teacher} if teacher else {})
    return Distilled(teacher)


def metric(classes, /, *, inner: Annotated[Any, Nested("metric")] = None):
    """A metric."""
    note("metric", inner, {"classes": classes})
    return inner or accuracy(classes)


def step(training, /, *, inner: Annotated[Any, Nested("step")] = None, model: Annotated[Any, Nested("model")] = None):
    """A step."""
    note("step", inner, {"model": model} if model else {})
    return inner or training.plain


def sampler(samples, /, *, inner: Annotated[Any, Nested("sampler")] = None):
    """A sampler."""
    note("sampler", inner, {})
    return inner or (lambda epoch, generator: torch.randperm(len(samples.labels), generator=generator))


def design(factors, /, *, inner: Annotated[Any, Nested("design")] = None):
    """A design."""
    return inner or [{factor.name: factor.base for factor in factors}]


def tuner(space, /, *, inner: Annotated[Any, Nested("tuner")] = None):
    """A tuner."""
    return inner or (lambda trials: None)


def executor(workers, /, *, inner: Annotated[Any, Nested("executor")] = None):
    """An executor."""
    return inner or workers


def source(asked, /, *, inner: Annotated[Any, Nested("source")] = None):
    """A source."""
    return inner


def unknown(*, inner: Annotated[Any, Nested("optimiser")] = None):
    """A loss."""


def in_a_folder(info, /, *, path: FolderPath):
    """A model."""
'''


@pytest.fixture
def holders(tmp_path, monkeypatch):
    """An installed plugin; with `requires` it changes its version, and `misfits` adds components that cannot be."""
    site = tmp_path / "site"
    info = site / "holders-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "holders.py").write_text(HOLDER)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: holders\nVersion: 1.0\n")
    lines = [f"[{KINDS[kind]}]\nholder = holders:{kind}\n" for kind in KINDS]
    text = "".join(lines).replace("[ablate.losses]\n", "[ablate.losses]\nunknown = holders:unknown\n")
    text = text.replace("[ablate.models]\n", "[ablate.models]\nfolder = holders:in_a_folder\n")
    wrong = [(outer, inner) for outer, inner in itertools.product(KINDS, KINDS) if inner not in NESTED[outer]]
    for outer, inner in wrong:
        (site / f"wrong_{outer}_{inner}.py").write_text(
            f"from typing import Annotated, Any\nfrom ablate.registry.params import Nested\n"
            f'def factory(*, inner: Annotated[Any, Nested("{inner}")] = None):\n    """Cannot be."""\n'
        )
        group = f"[{KINDS[outer]}]\n"
        text = text.replace(group, f"{group}wrong_{inner} = wrong_{outer}_{inner}:factory\n")
    (info / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(__import__("sys").modules, "holders", raising=False)
    registry.default.cache_clear()
    import holders

    yield holders
    registry.default.cache_clear()


@pytest.fixture
def nested(spec):
    """A study in which a component of every kind of a recipe holds one of its own kind."""
    del spec["factors"]
    holding = {"use": "holder", "inner": {"use": "holder"}}
    spec["base"] |= {
        "dataset": holding,
        "model": holding | {"others": {"b": {"use": "net"}, "a": {"use": "holder"}}, "metric": {"use": "accuracy"}},
        "initializer": holding,
        "optimizer": holding,
        "scheduler": holding,
        "loss": holding | {"teacher": {"use": "net"}},
        "metrics": {"m": holding},
        "step": holding | {"model": {"use": "net"}},
        "sampler": holding,
    }
    spec["base"]["train_transforms"]["held"] = holding
    return spec | {"seeds": 1, "compare": {"metric": "m", "goal": "maximize"}}


def planned(spec, tmp_path):
    return prepare(spec, (), Options(tmp_path / "s", tmp_path / "data", 1, "cpu"))


def test_a_component_of_every_kind_holds_one_of_its_kind(holders, nested, tmp_path):
    from ablate.executors import Settings, order
    from ablate.executors.training import messages

    job = planned(nested, tmp_path)
    cell = job.cells[0].cell
    holders.HELD.clear()
    settings = Settings(1, 1, "cpu", job.environment, tmp_path / "checkpoints")
    *_, done = messages(order(cell, settings), lambda: False)
    assert done["event"] == "done", done
    held = {kind: inner for kind, inner, _ in holders.HELD if inner is not None}
    assert sorted(held) == sorted(
        ("dataset", "model", "optimizer", "scheduler", "transform", "loss", "metric", "step", "sampler")
    )
    assert isinstance(held["model"], torch.nn.Module)
    assert isinstance(held["optimizer"], torch.optim.Optimizer)
    assert held["scheduler"](0) == 1.0
    others = next(others for kind, _, others in holders.HELD if kind == "model" and others)
    assert list(others) == ["b", "a", "metric"]
    assert callable(others["metric"])
    assert isinstance(next(others["model"] for kind, _, others in holders.HELD if kind == "step" and others), torch.nn.Module)
    teacher = next(others["teacher"] for kind, _, others in holders.HELD if kind == "loss" and others)
    assert isinstance(teacher, torch.nn.Module)
    assert next(others["classes"] for kind, _, others in holders.HELD if kind == "metric") == 10


def test_designs_tuners_and_executors_hold_their_kind(holders):
    for kind, given in (("design", []), ("tuner", {}), ("executor", 3)):
        made = build(registry.default(), kind, {"use": "holder", "inner": {"use": "holder", "inner": None}}, given)
        assert made is not None
    assert build(registry.default(), "executor", {"use": "holder", "inner": {"use": "holder", "inner": None}}, 3) == 3


def test_an_initializer_in_another_comes_first(holders, nested, tmp_path):
    recipe = planned(nested, tmp_path).cells[0].cell.recipe
    made = parts(registry.default(), recipe, DataInfo(1, 16, 16, 10), 160, 0, torch.device("cpu"))
    assert next(made.model.parameters()).unique().tolist() == [1.0], "the outer one, which found that the inner one gave nothing"
    assert [kind for kind, _, _ in holders.HELD if kind == "initializer"][-2:] == ["initializer"] * 2


def test_a_nested_model_draws_from_the_seed_wherever_it_is(holders, nested, tmp_path):
    recipe = planned(nested, tmp_path).cells[0].cell.recipe
    weights = {}
    for name, seed, noise in (("one", 1, 5), ("same", 1, 6), ("other", 2, 5)):
        torch.manual_seed(noise)
        made = parts(registry.default(), recipe, DataInfo(1, 16, 16, 10), 160, seed, torch.device("cpu"))
        weights[name] = torch.cat([parameter.flatten() for parameter in made.loss.teacher.parameters()])
    assert torch.equal(weights["one"], weights["same"])
    assert not torch.equal(weights["one"], weights["other"])


def test_the_packages_parameters_and_order_of_nested_components_count(holders, spec, tmp_path, monkeypatch):
    del spec["factors"]
    spec |= {"seeds": 1}

    def key(model):
        registry.default.cache_clear()
        return planned(spec | {"base": spec["base"] | {"model": model}}, tmp_path).cells[0].cell

    def holding(**others):
        return {"use": "holder", "others": others}

    plain = key(holding(a={"use": "net"}, b={"use": "holder"}))
    assert plain.identity["packages"]["holders"] == "1.0"
    assert key(holding(a={"use": "net", "dropout": 0.5}, b={"use": "holder"})).key != plain.key
    assert key(holding(b={"use": "holder"}, a={"use": "net"})).key != plain.key, "they are built in another order"
    assert key(holding(a={"use": "net"}, b={"use": "holder"})).key == plain.key
    info = tmp_path / "site" / "holders-1.0.dist-info" / "METADATA"
    info.write_text(info.read_text().replace("1.0", "1.1"))
    assert key(holding(a={"use": "net"}, b={"use": "holder"})).key != plain.key


def test_the_content_of_a_nested_dataset_counts(holders, spec, environment, tmp_path):
    def fingerprint(inner):
        dataset = {"use": "holder", "limit": 160, "inner": inner}
        return identity.data_fingerprint(registry.default(), dataset, environment)

    def held(limit):
        return {"use": "digits", "size": 16, "channels": 1, "validation": 0, "limit": limit}

    assert len({fingerprint(None), fingerprint(held(20)), fingerprint(held(30))}) == 3


@pytest.mark.parametrize(
    ("outer", "inner"), [pair for pair in itertools.product(KINDS, KINDS) if pair[1] not in NESTED[pair[0]]], ids="-".join
)
def test_what_cannot_be_nested_is_refused_where_the_signature_is_read(holders, outer, inner):
    words = (
        f"parameter 'inner' is a nested {inner!r}: where a {outer} is built, there is not what a {inner} is given. "
        f"A {outer} can hold: {', '.join(NESTED[outer])}"
    )
    with pytest.raises(BrokenComponent) as caught:
        registry.default().load(outer, f"wrong_{inner}")
    assert words in str(caught.value)


def test_what_a_component_can_hold_can_hold_no_more_than_that():
    """Else it would be refused nowhere, and missing what it is given when it is built."""
    for outer, held in NESTED.items():
        for inner in held:
            assert set(NESTED[inner]) <= set(held), (outer, inner)


def test_a_kind_that_there_is_not_and_a_folder_outside_a_dataset_are_refused(holders):
    with pytest.raises(BrokenComponent, match="is a nested 'optimiser': there is no such kind. A loss can hold: "):
        registry.default().load("loss", "unknown")
    with pytest.raises(BrokenComponent, match="parameter 'path' is a folder, whose content only the fingerprint of a dataset"):
        registry.default().load("model", "folder")
