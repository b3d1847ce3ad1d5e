"""Training against a loop written by hand, and the same cell again in every way that it can be run."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from ablate.engine import data
from ablate.engine.data import CHUNK
from ablate.engine.pipeline import Pipeline
from ablate.engine.preflight import preflight
from ablate.engine.seeding import derive, generator
from ablate.engine.train import train
from ablate.engine.weights import weights_digest
from ablate.errors import EnvironmentProblem
from ablate.plan import make_cells, make_plan
from ablate.registry import build, default
from ablate.spec import load
from ablate.spec.trainer import Controls, Interrupted
from ablate.testing.sittings import in_sittings

CPU = torch.device("cpu")


def cell_of(spec, environment, *overrides):
    plan = make_plan(load({key: value for key, value in spec.items() if key != "factors"}, overrides), default())
    return make_cells(plan, default(), environment, "cpu")[-1].cell


def run(cell, environment, folder, **controls):
    return train(default(), cell, environment, CPU, Controls(folder / "state.safetensors", **controls))


def interrupted(cell, environment, folder, every):
    """The result of a cell that is stopped after every so many batches, and the number of its sittings."""
    return in_sittings(lambda stop: run(cell, environment, folder, should_stop=stop), every)


def by_hand(spec, environment, seed, accumulate=1, clip=None, decay=None, autocast=False):
    """The same training written as a script would: no chunks, no records, and torch's own parts."""
    torch.set_num_threads(1)
    recipe = spec["base"]
    loaded = build(default(), "dataset", recipe["dataset"], environment).load()
    images = (torch.from_numpy(loaded.train.images).float() / 255 - 0.5) / 0.5
    labels = torch.from_numpy(loaded.train.labels)
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "model"))
        from ablate.components.models import net
        from ablate.contracts import DataInfo

        model = net(DataInfo(1, 16, 16, 10), batch_norm=recipe["model"].get("batch_norm", False))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        average = copy.deepcopy(model)
        steps = 0
        model.train()
        for epoch in range(recipe["epochs"]):
            batches = torch.randperm(len(labels), generator=generator(seed, "order", epoch)).split(recipe["batch_size"])
            for index, batch in enumerate(batches):
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
                group = index // accumulate
                members = min(accumulate, len(batches) - group * accumulate)
                (loss / members).backward()
                if index % accumulate == members - 1:
                    if clip:
                        nn.utils.clip_grad_norm_(model.parameters(), clip)
                    optimizer.step()
                    optimizer.zero_grad()
                    steps += 1
                    with torch.no_grad():
                        for own, new in zip(average.parameters(), model.parameters(), strict=True):
                            own.copy_(new if steps == 1 or decay is None else decay * own + (1 - decay) * new)
    test = (torch.from_numpy(loaded.test.images).float() / 255 - 0.5) / 0.5
    evaluated = (average if decay else model).eval()
    return model, (evaluated(test).argmax(1) == torch.from_numpy(loaded.test.labels)).double().mean().item()


@pytest.mark.parametrize(
    ("overrides", "settings"),
    [
        ([], {}),
        (["base.accumulate=3"], {"accumulate": 3}),
        (["base.grad_clip=0.5"], {"clip": 0.5}),
        (["base.ema=0.8"], {"decay": 0.8}),
        (['base.precision="bfloat16"'], {"autocast": True}),
    ],
    ids=["plain", "accumulate", "grad_clip", "ema", "bfloat16"],
)
def test_the_engine_trains_like_a_script(spec, environment, tmp_path, overrides, settings):
    result = run(cell_of(spec, environment, "seeds=[3]", *overrides), environment, tmp_path)
    model, accuracy = by_hand(spec, environment, 3, **settings)
    assert result.metrics["accuracy"] == pytest.approx(accuracy, abs=0.013)  # two images: sums have another order
    assert result.parameters == sum(parameter.numel() for parameter in model.parameters())
    if settings == {}:
        assert result.metrics["accuracy"] == accuracy
        assert (accuracy * result.evaluated_images).is_integer()


AUGMENTED = [
    'base.train_transforms={"crop": {"use": "random_crop", "size": 16, "padding": 2}, "a": {"use": "random_apply", "transforms":'
    ' {"t": {"use": "trivial_augment"}}}, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}, "m": {"use": "mixup"}}',
    'base.model={"use": "net", "batch_norm": true, "dropout": 0.2}',
    "base.ema=0.9",
    "base.accumulate=2",
    "base.epochs=3",
]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "nadam", "radam", "adagrad"])
def test_a_cell_interrupted_anywhere_has_the_same_result(spec, environment, tmp_path, optimizer):
    """Stopped after every third batch, with everything that has a state: dropout, EMA, accumulation, augmentation, mixing."""
    settings = '"momentum": 0.9, ' if optimizer == "sgd" else ""
    cell = cell_of(spec, environment, *AUGMENTED, f'base.optimizer={{"use": "{optimizer}", {settings}"lr": 0.01}}', "seeds=[5]")
    whole = run(cell, environment, tmp_path / "whole")
    result, sittings = interrupted(cell, environment, tmp_path / "parts", every=3)
    assert sittings == 6
    assert result.weights_sha256 == whole.weights_sha256
    timings = {"seconds", "images_per_second"}
    assert [{k: v for k, v in r.items() if k not in timings} for r in result.epochs] == [
        {k: v for k, v in r.items() if k not in timings} for r in whole.epochs
    ]


def test_the_result_depends_on_no_global_state(spec, environment, tmp_path):
    cell = cell_of(spec, environment, *AUGMENTED)
    torch.manual_seed(1)
    one = run(cell, environment, tmp_path / "a")
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    other = run(cell, environment, tmp_path / "b")
    assert one.weights_sha256 == other.weights_sha256
    assert torch.equal(torch.random.get_rng_state(), state)


def test_seeds_differ(spec, environment, tmp_path):
    digests = {
        run(cell_of(spec, environment, f"seeds=[{seed}]"), environment, tmp_path / str(seed)).weights_sha256 for seed in range(3)
    }
    assert len(digests) == 3


def test_evaluation_comes_as_often_as_asked_for_and_at_the_end(spec, environment, tmp_path):
    result = run(cell_of(spec, environment, "base.epochs=5", "base.eval_every=2"), environment, tmp_path)
    assert [record["epoch"] for record in result.epochs if "accuracy" in record] == [2, 4, 5]


SELECTING = (
    'base.select="loss"',
    'base.eval_split="validation"',
    "base.dataset.validation=0.3",
    "base.epochs=6",
    "base.optimizer.lr=0.3",
)


def test_the_selected_epoch_is_tested_once_and_survives_an_interruption(spec, environment, tmp_path):
    """A rate that is too high makes a middle epoch the best one on the validation images."""
    cell = cell_of(spec, environment, *SELECTING)
    whole = run(cell, environment, tmp_path)
    losses = [record["loss"] for record in whole.epochs]
    chosen = [record["epoch"] for record in whole.epochs if record.get("selected")]
    assert chosen == [losses.index(min(losses)) + 1]
    until = cell_of(spec, environment, *SELECTING, f"base.epochs={chosen[0]}", "base.select=null", 'base.eval_split="test"')
    tested = run(until, environment, tmp_path / "until")
    assert tested.metrics == whole.metrics, "its weights, on the test images"
    assert tested.evaluated_images == whole.evaluated_images
    assert whole.metrics != {name: whole.epochs[chosen[0] - 1][name] for name in whole.metrics}
    left = iter(range(5 * chosen[0] + 3))
    with pytest.raises(Interrupted):
        run(cell, environment, tmp_path / "parts", should_stop=lambda: next(left, None) is None)
    again = run(cell, environment, tmp_path / "parts")
    assert (again.metrics, again.weights_sha256) == (whole.metrics, whole.weights_sha256)
    assert [record.get("selected") for record in again.epochs] == [record.get("selected") for record in whole.epochs]


def test_a_training_that_diverges_has_no_value_and_says_why(spec, environment, tmp_path):
    """argmax makes the first class of NaN, so that an accuracy of its share would look like a result."""
    cell = cell_of(spec, environment, "base.optimizer.lr=1e30", "base.epochs=3", "base.eval_every=2")
    result = run(cell, environment, tmp_path)
    assert result.metrics == {"accuracy": None, "loss": None}
    images = len(data.load(default(), cell.recipe, cell.seed, environment, CPU).test.labels)
    logits = f"the logits of {images} of {images} evaluated images are not finite"
    assert [record["diverged"] for record in result.epochs] == ["the training loss is not finite", logits, logits]


def exploding(horizon, /, **_):
    return lambda step: 1.0 if step < 2 * horizon.steps_per_epoch else 1e30


def test_a_training_that_diverges_after_its_best_epoch_tells_that_one(spec, environment, tmp_path, monkeypatch):
    """The rate explodes in the third epoch; the selected weights are from before."""
    loaded = default().load("scheduler", "constant")
    monkeypatch.setitem(default().loaded, ("scheduler", "ablate-core:constant"), replace(loaded, imported=exploding))
    result = run(cell_of(spec, environment, *SELECTING, "base.epochs=4"), environment, tmp_path)
    assert [record["loss"] is None for record in result.epochs] == [False, False, True, True]
    assert [record["epoch"] for record in result.epochs if record.get("selected")] in ([1], [2])
    assert result.metrics["accuracy"] is not None


def test_without_an_epoch_to_select_there_is_no_value(spec, environment, tmp_path):
    result = run(cell_of(spec, environment, *SELECTING, "base.optimizer.lr=1e30"), environment, tmp_path)
    assert result.metrics == {"accuracy": None, "loss": None}
    assert result.epochs[-1]["missing"]["accuracy"] == "no epoch has a value of loss to be selected by"


def test_the_learning_rate_follows_the_schedule(spec, environment, tmp_path):
    schedule = 'base.scheduler={"use": "step", "step_size": 1, "gamma": 0.5}'
    result = run(cell_of(spec, environment, schedule, "base.epochs=3"), environment, tmp_path)
    assert [record["lr"] for record in result.epochs] == pytest.approx([0.05, 0.025, 0.0125])


def test_chunks_do_not_change_which_images_a_batch_has(spec, environment):
    assert CHUNK // 32 * 32 == CHUNK, "a chunk is whole batches"
    recipe = cell_of(spec, environment).recipe
    assert len(data.load(default(), recipe, 0, environment, CPU).train.labels) == 160


def test_what_is_always_the_same_is_done_once(spec, environment, tmp_path, monkeypatch):
    """The first transforms without draws are applied once a process; weights and metrics are those of every epoch anew."""
    grown = {"use": "resize", "size": 18}
    names = ("resize", "flip", "normalize")
    chain = dict(
        zip(names, (grown, {"use": "random_horizontal_flip"}, spec["base"]["eval_transforms"]["normalize"]), strict=True)
    )
    spec["base"] |= {"train_transforms": chain, "eval_transforms": {"resize": grown, "normalize": chain["normalize"]}}
    cell = cell_of(spec, environment)
    calls = []
    real = Pipeline.exactly
    monkeypatch.setattr(Pipeline, "exactly", lambda self, images: calls.append(len(images)) or real(self, images))
    once = run(cell, environment, tmp_path / "once")
    again = run(cell, environment, tmp_path / "again")
    assert calls == [160, 160], "training and test images, in the first of two trainings"
    monkeypatch.setattr(Pipeline, "prefix", lambda self, images: [])
    always = run(cell, environment, tmp_path / "always")
    assert once.weights_sha256 == again.weights_sha256 == always.weights_sha256
    assert once.metrics == always.metrics


def test_a_checkpoint_of_another_cell_is_refused(spec, environment, tmp_path):
    with pytest.raises(Interrupted):
        run(cell_of(spec, environment, "seeds=[1]"), environment, tmp_path, should_stop=lambda: True)
    with pytest.raises(EnvironmentProblem, match=r"is a checkpoint of cell .* Delete it"):
        run(cell_of(spec, environment, "seeds=[2]"), environment, tmp_path)


def test_a_damaged_checkpoint_is_refused(spec, environment, tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"\x80\x04nonsense")
    with pytest.raises(EnvironmentProblem, match=r"the checkpoint cannot be read: .* Delete it"):
        run(cell_of(spec, environment), environment, tmp_path)


def test_a_checkpoint_that_cannot_be_written_says_so(spec, environment, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match=r"the checkpoint cannot be written: .* Make room"):
        run(cell_of(spec, environment), environment, tmp_path / "file", checkpoint_seconds=0.0)


def test_the_digest_sees_one_bit():
    model = nn.Linear(2, 2)
    before = weights_digest({"model": model})
    with torch.no_grad():
        model.weight[0, 0] = torch.nextafter(model.weight[0, 0], torch.tensor(9.0))
    assert weights_digest({"model": model}) != before


@pytest.mark.parametrize(
    ("overrides", "path", "message"),
    [
        (['base.train_transforms={"n": {"use": "normalize", "mean": [0.5], "std": [0.5]}, "a": {"use": "auto_augment"}}'],
         "train_transforms.a", "put it before normalize"),
        (['base.train_transforms={"p": {"use": "pad", "padding": 1}}'], "train_transforms.p", "add `normalize`"),
        (["base.train_transforms={}"], "train_transforms", "add `normalize`"),
        (['base.eval_transforms={"c": {"use": "random_crop", "size": 99}}'], "eval_transforms.c", "smaller than the crop"),
        (["base.dataset.size=8"], "model", "8×8 are too small"),
        (['base.eval_split="validation"'], "dataset", "holds out no images"),
        (['base.optimizer={"use": "sgd", "nesterov": true}'], "optimizer", "Nesterov"),
        (['base.scheduler={"use": "constant", "warmup_epochs": 9}'], "scheduler", "leaves nothing of 2 epochs"),
        (["base.model.batch_norm=true", "base.dataset.limit=161"], "batch_size", "more than 1 value per channel"),
        (['base.train_transforms.normalize={"use": "normalize", "mean": [0.5, 0.5, 0.5], "std": [1]}'],
         "train_transforms.normalize", "mean has 3 numbers, and the images have 1 channel"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_known_before_the_training(spec, environment, overrides, path, message):
    found = list(preflight(default(), cell_of(spec, environment, *overrides).recipe, environment, CPU))
    assert [problem.path for problem in found] == [path]
    assert message in found[0].message
    assert ("an image goes through the model alone" in found[0].hint) is (path == "batch_size")


RESNET = 'base.model={"use": "torchvision", "arch": "resnet18"}'
RGB = 'base.train_transforms.normalize={"use": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5]}'


@pytest.mark.parametrize(
    ("overrides", "path", "hint"),
    [
        ([RESNET], "model", 'The images have 1 channel, and with 3 it works. Give the dataset "channels": 3.'),
        ([RGB], "train_transforms.normalize", 'with 3 it works. Give the dataset "channels": 3.'),
        ([RGB.replace("0.5, 0.5, 0.5", "0.5, 0.5")], "train_transforms.normalize", ""),
        ([RESNET, "base.dataset.channels=3", 'base.eval_transforms.grey={"use": "grayscale"}'], "model", ""),
        (["base.dataset.size=8"], "model", ""),
        (
            [RESNET, "base.dataset.channels=3", "base.dataset.limit=161"],
            "batch_size",
            "With this batch_size an image goes through",
        ),
    ],
)
def test_the_other_number_of_channels_is_offered_where_it_helps(spec, environment, overrides, path, hint):
    found = list(preflight(default(), cell_of(spec, environment, *overrides).recipe, environment, CPU))
    assert [problem.path for problem in found] == [path]
    assert hint in found[0].hint
    assert bool(hint) == bool(found[0].hint)


def test_where_the_dataset_has_no_channels_a_transform_is_offered(spec, environment, monkeypatch):
    registry = default()
    recipe = cell_of(spec, environment, RESNET).recipe
    loaded = registry.load("dataset", "digits")
    fixed = replace(loaded.signature, parameters={k: v for k, v in loaded.signature.parameters.items() if k != "channels"})
    monkeypatch.setitem(registry.loaded, ("dataset", "ablate-core:digits"), replace(loaded, signature=fixed))
    recipe = recipe | {"dataset": {k: v for k, v in recipe["dataset"].items() if k != "channels"}}
    (problem,) = preflight(registry, recipe, environment, CPU)
    assert 'Put {"use": "grayscale", "channels": 3} first into the transforms' in problem.hint
    grey = {"grey": {"use": "ablate-core:grayscale", "channels": 3}}
    remedied = recipe | {field: grey | recipe[field] for field in ("train_transforms", "eval_transforms")}
    assert list(preflight(registry, remedied, environment, CPU)) == []


def test_a_model_whose_output_does_not_fit_is_found(spec, environment, monkeypatch):
    recipe = cell_of(spec, environment).recipe
    registry = default()
    loaded = registry.load("model", "net")
    broken = replace(loaded, imported=lambda info, /, **_: nn.Sequential(nn.Flatten(), nn.Linear(256, 3)))
    monkeypatch.setitem(registry.loaded, ("model", "ablate-core:net"), broken)
    found = list(preflight(registry, recipe, environment, CPU))
    assert "[2, 3] for 2 images of 10 classes; expected [2, 10]" in found[0].message
