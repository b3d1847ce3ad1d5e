"""Initializers, optimizers, schedules, losses, metrics and models against torch and torchmetrics."""

import copy
import inspect
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn, optim

from ablate.components import initializers, metrics, models, optimizers, schedulers
from ablate.components.losses import cross_entropy
from ablate.contracts import DataInfo, Horizon
from ablate.errors import EnvironmentProblem
from ablate.registry import build, default
from ablate.spec.recipe import lower_is_better

INFO = DataInfo(3, 32, 32, 10)
PAIRS = [
    (schedulers.constant, lambda o, h: optim.lr_scheduler.ConstantLR(o, factor=1)),
    (lambda h: schedulers.step(h, step_size=3, gamma=0.5), lambda o, h: optim.lr_scheduler.StepLR(o, 3, 0.5)),
    (
        lambda h: schedulers.multistep(h, milestones=[2, 7], gamma=0.2),
        lambda o, h: optim.lr_scheduler.MultiStepLR(o, [2, 7], 0.2),
    ),
    (lambda h: schedulers.exponential(h, gamma=0.9), lambda o, h: optim.lr_scheduler.ExponentialLR(o, 0.9)),
    (
        lambda h: schedulers.cosine(h, minimum=0.1),
        lambda o, h: optim.lr_scheduler.CosineAnnealingLR(o, h.epochs, eta_min=0.03),
    ),
    (lambda h: schedulers.linear(h, start=0.5, end=1), lambda o, h: optim.lr_scheduler.LinearLR(o, 0.5, 1.0, h.epochs)),
    (lambda h: schedulers.polynomial(h, power=2), lambda o, h: optim.lr_scheduler.PolynomialLR(o, h.epochs, 2)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_schedules_are_torchs(ours, theirs):
    horizon = Horizon(10, 4)
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler, factor = theirs(optimizer, horizon), ours(horizon)
    for epoch in range(10):
        for step in range(4):
            assert math.isclose(0.3 * factor(epoch * 4 + step), optimizer.param_groups[0]["lr"], rel_tol=1e-6, abs_tol=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_is_torchs(anneal):
    horizon = Horizon(5, 8)
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=40, cycle_momentum=False, anneal_strategy=anneal)
    factor = schedulers.one_cycle(horizon, anneal=anneal)
    for step in range(40):
        assert math.isclose(0.3 * factor(step), optimizer.param_groups[0]["lr"], rel_tol=1e-6, abs_tol=1e-9)
        optimizer.step()
        if step < 39:
            scheduler.step()


def test_a_warm_up_rises_and_then_the_schedule_begins():
    factor = schedulers.cosine(Horizon(10, 4), warmup_epochs=2, per="step")
    assert [factor(step) for step in range(8)] == [(step + 1) / 8 for step in range(8)]
    assert factor(8) == 1.0
    assert factor(24) == pytest.approx(0.5)


def test_a_warm_up_as_long_as_the_training_is_refused():
    with pytest.raises(ValueError, match="leaves nothing of 3 epochs"):
        schedulers.constant(Horizon(3, 4), warmup_epochs=3)


REFERENCES = {
    "kaiming_uniform": lambda w, g: nn.init.kaiming_uniform_(w, a=0, mode="fan_in", nonlinearity="relu", generator=g),
    "kaiming_normal": lambda w, g: nn.init.kaiming_normal_(w, a=0, mode="fan_in", nonlinearity="relu", generator=g),
    "xavier_uniform": lambda w, g: nn.init.xavier_uniform_(w, generator=g),
    "orthogonal": lambda w, g: nn.init.orthogonal_(w, generator=g),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_initializers_are_torchs_on_all_layers_and_leave_biases(name):
    model, expected = (models.net(INFO) for _ in range(2))
    expected.load_state_dict(model.state_dict())
    getattr(initializers, name)(model, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    for layer in expected:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            REFERENCES[name](layer.weight, generator)
    for (key, value), other in zip(model.state_dict().items(), expected.state_dict().values(), strict=True):
        assert torch.equal(value, other), key


def test_a_frozen_layer_keeps_its_weights():
    model = models.net(INFO)
    before = model.conv1.weight.detach().clone()
    model.conv1.weight.requires_grad_(False)
    initializers.kaiming_normal(model, torch.Generator().manual_seed(0))
    assert torch.equal(model.conv1.weight, before)
    assert len(optimizers.trainable(model)) == 9


CLASSES = {
    "sgd": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (optim.Adam, {"lr": 0.1, "weight_decay": 0.01}),
    "adamw": (optim.AdamW, {"lr": 0.1}),
    "rmsprop": (optim.RMSprop, {"lr": 0.1, "centered": True}),
    "nadam": (optim.NAdam, {"lr": 0.1}),
    "radam": (optim.RAdam, {"lr": 0.1}),
    "adagrad": (optim.Adagrad, {"lr": 0.1}),
}


@pytest.mark.parametrize("name", CLASSES)
def test_optimizers_are_torchs(name):
    cls, settings = CLASSES[name]
    ours, theirs = (nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    pair = (getattr(optimizers, name)(ours, **settings), cls(theirs.parameters(), **settings))
    for _ in range(5):
        for model, optimizer in zip((ours, theirs), pair, strict=True):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-6, rtol=1e-5)  # theirs is not fused


def test_net_is_the_network_of_the_tutorial():
    kinds = [type(layer).__name__ for layer in models.net(INFO)]
    conv = ["Conv2d", "ReLU", "MaxPool2d"]
    assert kinds == [*conv, *conv, "Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert sum(p.numel() for p in models.net(INFO).parameters()) == 62_006


def test_net_with_all_of_it_is_the_network_of_the_best_recipe():
    model = models.net(INFO, channels=(256, 256), batch_norm=True, dropout=0.1)
    conv = ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d", "Dropout"]
    assert [type(layer).__name__ for layer in model] == [
        *conv, *conv, "Flatten", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear", "ReLU", "Linear",
    ]  # fmt: skip
    assert model.fc1.in_features == 256 * 5 * 5
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_net_says_when_images_are_too_small():
    with pytest.raises(ValueError, match="8×8 are too small"):
        models.net(DataInfo(1, 8, 8, 10))


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1", "mobilenet_v3_small"])
def test_torchvisions_networks_have_a_last_layer_for_the_classes(arch):
    model = models.torchvision(DataInfo(3, 32, 32, 7), arch=arch, freeze_backbone=True).eval()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
    trained = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {models.last_layer(model)}


def test_networks_with_auxiliary_outputs_give_their_last_one(tmp_path):
    """Also from weights that have those of the auxiliary ones, as torchvision's do."""
    import torchvision

    whole = torchvision.models.googlenet(weights=None, num_classes=7, aux_logits=True, init_weights=False)
    save_file(whole.state_dict(), tmp_path / "weights.safetensors")
    model = models.torchvision(DataInfo(3, 32, 32, 7), arch="googlenet", weights_path=str(tmp_path / "weights.safetensors"))
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(model.eval()(images), whole.eval()(images))
    assert model.train()(images).shape == (2, 7)


def test_weights_of_other_classes_are_loaded_without_the_last_layer(tmp_path):
    import torchvision

    source = torchvision.models.resnet18(num_classes=1000)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = models.torchvision(INFO, arch="resnet18", weights_path=str(tmp_path / "w.safetensors"))
    assert torch.equal(model.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
    assert model.fc.out_features == 10


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("within", ["", "state_dict", "model"])
def test_what_torch_saved_of_weights_is_read(tmp_path, within, old):
    """As torchvision's own files are, and as scripts keep them among other things, with the names of DataParallel."""
    import torchvision

    source = torchvision.models.resnet18(num_classes=1000)
    state = source.state_dict()
    content = {within: {f"module.{name}": value for name, value in state.items()}, "epoch": 3} if within else state
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    model = models.torchvision(INFO, arch="resnet18", weights_path=str(tmp_path / "w.pth"))
    assert torch.equal(model.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
    assert torch.equal(model.bn1.running_mean, source.bn1.running_mean)
    assert model.fc.out_features == 10


class Marks:
    """An object whose reading leaves a mark."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before torch 1.6"])
def test_files_of_weights_run_no_code(tmp_path, old):
    torch.save({"w": torch.zeros(1), "x": Marks(tmp_path / "mark")}, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(EnvironmentProblem, match="cannot be read as weights alone: Weights only load failed"):
        models.torchvision(INFO, arch="resnet18", weights_path=str(tmp_path / "w.pth"))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it has no state_dict, but a mapping of "),
        ({"epoch": 3}, "it has no state_dict, but a mapping of epoch"),
        ([torch.zeros(1)], "it has no state_dict, but list"),
    ],
)
def test_files_without_weights_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(EnvironmentProblem, match=message):
        models.torchvision(INFO, arch="resnet18", weights_path=str(tmp_path / "w.pth"))


def test_weights_in_another_format_are_refused(tmp_path):
    for content in (b"", b"\x80\x04K\x01.", b"PK\3\4 and no more"):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(EnvironmentProblem, match="cannot be read as"):
            models.torchvision(INFO, arch="resnet18", weights_path=str(tmp_path / "w.pth"))


def test_any_model_starts_from_a_file_of_weights(tmp_path):
    source, model = (build(default(), "model", {"use": "net"}, DataInfo(3, 32, 32, classes)) for classes in (7, 10))
    torch.save(source.state_dict(), tmp_path / "w.pth")
    own = model.fc3.weight.clone()
    build(default(), "initializer", {"use": "weights", "path": str(tmp_path / "w.pth")}, model, torch.Generator())
    assert torch.equal(model.fc2.weight, source.fc2.weight)
    assert torch.equal(model.fc3.weight, own), "of other classes"


def test_layers_have_rates_of_their_own():
    import torchvision

    model = torchvision.models.resnet18(num_classes=5)
    inner = {"use": "adamw", "lr": 0.1, "weight_decay": 0.3}
    optimizer = build(default(), "optimizer", {"use": "layerwise", "optimizer": inner, "decay": 0.5}, model)
    names = {parameter: name for name, parameter in model.named_parameters()}
    rates = {names[parameter]: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    assert rates.keys() == dict(model.named_parameters()).keys()
    order = ["conv1", "bn1", *(f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)), "fc"]
    expected = {layer: 0.1 * 0.5 ** (10 - place) for place, layer in enumerate(order)}
    for name, rate in rates.items():
        (layer,) = [layer for layer in order if name.startswith(f"{layer}.")]
        assert rate == pytest.approx(expected[layer]), name
    assert optimizer.param_groups[0]["lr"] == 0.1, "the rate that records show is the optimizer's own"
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.3}


def test_a_step_of_a_layer_is_as_long_as_its_rate():
    """SGD by hand: the change of each parameter is its gradient times its layer's rate."""
    model = build(default(), "model", {"use": "net"}, INFO)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build(default(), "optimizer", {"use": "layerwise", "optimizer": {"use": "sgd", "lr": 0.1}, "decay": 0.5}, model)
    model(torch.randn(4, INFO.channels, INFO.height, INFO.width)).square().sum().backward()
    optimizer.step()
    for place, layer in enumerate(("conv1", "conv2", "fc1", "fc2", "fc3")):
        parameter = model.get_parameter(f"{layer}.weight")
        torch.testing.assert_close(parameter, before[f"{layer}.weight"] - 0.1 * 0.5 ** (4 - place) * parameter.grad)


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(EnvironmentProblem, match="do not fit the model"):
        models.torchvision(INFO, arch="resnet18", weights_path=str(tmp_path / "w.safetensors"))


FROZEN = {"use": "torchvision", "arch": "mobilenet_v3_small"}


def trained_a_step(freeze):
    """The network before and after a step of training, and a copy such as the moving average of weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(default(), "model", {**FROZEN, "freeze_backbone": freeze}, DataInfo(3, 32, 32, 10)).train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        average = copy.deepcopy(model).train()
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        images = torch.randn(4, 3, 32, 32)
        nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
        average(images)
        optimizer.step()
    return model, average, before


def changed(model, before):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_a_frozen_backbone_learns_nothing_in_training_mode():
    """Neither weights nor the statistics of batch normalisation, in the network and in a copy of it."""
    model, average, before = trained_a_step(True)
    assert changed(model, before) == {"classifier.3.weight", "classifier.3.bias"}
    assert changed(average, before) == set()
    working = {name for name, module in model.named_modules() if module.training}
    assert working == {"", "classifier", "classifier.1", "classifier.2", "classifier.3"}, "the head's own dropout goes on"


def test_a_backbone_whose_weights_alone_are_frozen_adapts_its_statistics():
    model, _, before = trained_a_step("weights")
    assert "features.0.1.running_mean" in changed(model, before)
    assert not changed(model, before) & {name for name, p in model.named_parameters() if not p.requires_grad}


@pytest.mark.parametrize(("freeze", "number"), [(False, None), ("weights", None), (True, 2)])
def test_only_cells_with_a_frozen_backbone_have_other_keys(freeze, number):
    spec = {**FROZEN, "freeze_backbone": freeze}
    semantics = default().load("model", "torchvision").says("semantics", spec)
    assert (None if semantics == 1 else semantics) == number


def test_every_offered_torchmetrics_metric_is_one_number_and_no_other_could_be():
    from torchmetrics.functional import classification

    needed = {"beta": 1.0, "min_recall": 0.5, "min_precision": 0.5, "min_specificity": 0.5, "min_sensitivity": 0.5}
    names = {name for name in classification.__all__ if name.startswith(("multiclass_", "multilabel_"))}
    later = {"multilabel_eer"}  # than the oldest torchmetrics that is supported
    assert names | later >= {name for name in metrics.NOT_ONE_NUMBER if name.startswith("multi")}
    logits, classes = torch.randn(30, 5, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 5
    for name in names:
        labels = classes if name.startswith("multiclass_") else nn.functional.one_hot(classes, 5).float()
        taken = inspect.signature(getattr(classification, name)).parameters
        arguments = {key: value for key, value in needed.items() if key in taken}
        metric = metrics.torchmetrics(5, name=name, arguments=arguments | ({"average": "macro"} if "average" in taken else {}))
        if name not in metrics.NOT_ONE_NUMBER:
            assert math.isfinite(metric(logits, labels)), name
            continue
        with pytest.raises(ValueError, match="and a metric is one number"):
            metric(logits, labels)


@pytest.mark.parametrize(
    ("name", "lower"),
    [
        ("multiclass_calibration_error", True),
        ("multiclass_hinge_loss", True),
        ("multiclass_hamming_distance", True),
        ("multiclass_f1_score", False),
        ("multiclass_auroc", False),
        ("multiclass_specificity", None),
        ("multilabel_f1_score", False),
        ("multilabel_average_precision", False),
        ("multilabel_ranking_loss", True),
        ("mean_absolute_error", True),
        ("mean_squared_error", True),
        ("r2_score", False),
        ("pearson_corrcoef", None),
    ],
)
def test_the_direction_of_a_torchmetrics_metric_is_what_torchmetrics_says(name, lower):
    assert lower_is_better(default(), {"use": "torchmetrics", "name": name, "arguments": {}}) is lower


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.top5_accuracy, metrics.loss])
@pytest.mark.parametrize("labels", [torch.rand(4, 4), torch.rand(4), torch.ones(4, 4, dtype=torch.int64)])
def test_labels_that_are_no_class_numbers_ask_for_other_metrics(metric, labels):
    with pytest.raises(ValueError, match=r"labels that are class numbers \[4\], .* Name metrics that fit them in `metrics`"):
        metric(4)(torch.randn(4, 4), labels)


def test_metrics_are_torchmetrics():
    from torchmetrics.functional.classification import multiclass_accuracy

    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(500, 10, generator=generator), torch.randint(10, (500,), generator=generator)
    assert metrics.accuracy(10)(logits, targets) == pytest.approx(
        multiclass_accuracy(logits, targets, 10, average="micro").item()
    )
    expected = multiclass_accuracy(logits, targets, 10, average="micro", top_k=5).item()
    assert metrics.top5_accuracy(10)(logits, targets) == pytest.approx(expected)
    assert metrics.loss(10)(logits, targets) == pytest.approx(nn.CrossEntropyLoss()(logits, targets).item())
    named = metrics.torchmetrics(10, name="multiclass_accuracy", arguments={"average": "micro"})
    assert named(logits, targets) == pytest.approx(metrics.accuracy(10)(logits, targets))


def test_every_metric_of_regression_is_one_number_of_one_number_an_image():
    from torchmetrics.functional import regression

    outputs, targets = torch.rand(2, 30, 1, generator=torch.Generator().manual_seed(0)) + 0.1
    needed = {"minkowski_distance": {"p": 3}, "critical_success_index": {"threshold": 0.5}}
    for name in set(regression.__all__) - metrics.NOT_ONE_NUMBER - {"cosine_similarity"}:
        found = metrics.torchmetrics(1, name=name, arguments=needed.get(name, {}))(outputs, targets)
        assert math.isfinite(found), name


def test_metrics_of_other_targets_are_those_of_scikit_learn():
    from sklearn.metrics import average_precision_score, f1_score, jaccard_score, mean_absolute_error, r2_score

    def of(name, count, *told):
        return metrics.torchmetrics(count, name=name)(*told)

    def arrays(*tensors):
        return [tensor.numpy() for tensor in tensors]

    draws = torch.Generator().manual_seed(0)
    outputs, targets = torch.randn(2, 200, 3, generator=draws)
    assert of("mean_absolute_error", 3, outputs, targets) == pytest.approx(mean_absolute_error(*arrays(targets, outputs)))
    assert of("r2_score", 3, outputs, targets) == pytest.approx(r2_score(*arrays(targets, outputs)), rel=1e-4)
    labels = (torch.rand(200, 3, generator=draws) < 0.3).float()
    assert of("multilabel_f1_score", 3, outputs, labels) == pytest.approx(f1_score(*arrays(labels, outputs > 0), average="macro"))
    expected = average_precision_score(*arrays(labels, outputs), average="macro")
    assert of("multilabel_average_precision", 3, outputs, labels) == pytest.approx(expected)
    logits, masks = torch.randn(20, 4, 6, 5, generator=draws), torch.randint(4, (20, 6, 5), generator=draws)
    said = logits.argmax(1)
    expected = jaccard_score(*arrays(masks.flatten(), said.flatten()), average="macro")
    assert of("multiclass_jaccard_index", 4, logits, masks) == pytest.approx(expected)
    counted = torch.rand(masks.shape, generator=draws) < 0.7
    expected = jaccard_score(*arrays(masks[counted], said[counted]), average="macro")
    assert of("multiclass_jaccard_index", 4, logits, torch.where(counted, masks, -100)) == pytest.approx(expected)


def test_label_smoothing_is_torchs():
    logits, targets = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    expected = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, targets)
    soft = nn.functional.one_hot(targets, 4).float()
    assert torch.equal(cross_entropy(label_smoothing=0.1)(logits, targets), expected)
    torch.testing.assert_close(cross_entropy(label_smoothing=0.1)(logits, soft), expected)
