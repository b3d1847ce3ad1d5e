"""docs/what-you-can-ablate.md: its modules keep their contracts, its study runs, and each goes on bit for bit."""

import json
import sys
import tomllib

import pytest
import torch
from pages import DOCS, blocks, in_process_executor
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from ablate import registry
from ablate.cli import app
from ablate.contracts import DataInfo
from ablate.engine.build import parts
from ablate.engine.preflight import preflight
from ablate.engine.train import train
from ablate.errors import AblateError
from ablate.plan import make_cells, make_plan
from ablate.registry import KINDS
from ablate.spec import load
from ablate.spec.trainer import Controls, Interrupted
from ablate.store import Store

FILES = {block.file: block.text for block in blocks(DOCS / "what-you-can-ablate.md") if block.file}
MODULES = {file.removeprefix("ideas/").removesuffix(".py"): text for file, text in FILES.items() if file.endswith(".py")}
GROUPS = tomllib.loads(FILES["ideas/pyproject.toml"])["project"]["entry-points"]
STUDY = json.loads(FILES["ideas.json"])
KIND_OF = {name: kind for kind, group in KINDS.items() for name in GROUPS.get(group, ())}
TEACHER = {"use": "net", "channels": [8, 16]}
BASE = STUDY["base"]
DIGITS = BASE["dataset"]
LEVELS = {  # of what the page's study does not have
    "distillation": {"step": {"use": "distillation", "teacher": TEACHER, "weights": "teacher.safetensors"}},
    "progressive": {
        "train_transforms": {"grow": {"use": "progressive", "first": 8, "last": 16}},
        "model": {"use": "two_heads"},
        "step": {"use": "deep_supervision"},
    },
}
TARGETS = {  # the bases of studies with other targets than classes, beside what `angles.json` has
    "angles": {},
    "pairs": {
        "dataset": {"use": "pairs", "dataset": DIGITS},
        "loss": {"use": "binary_cross_entropy"},
        "metrics": {"score": {"use": "torchmetrics", "name": "multilabel_average_precision"}},
    },
    "strokes": {
        "dataset": {"use": "strokes", "dataset": DIGITS},
        "train_transforms": {"turn": {"use": "random_affine", "degrees": 20, "scale": [0.8, 1.2]}, **BASE["train_transforms"]},
        "model": {"use": "segmenter"},
        "loss": {"use": "cross_entropy"},
        "metrics": {"score": {"use": "torchmetrics", "name": "multiclass_jaccard_index"}},
    },
}
RGB = {"use": "digits", "size": 32, "limit": 16, "channels": 3}
MASKS = {
    "dataset": {"use": "strokes", "dataset": RGB},
    "train_transforms": {"roll": {"use": "roll"}, **BASE["train_transforms"]},
    "metrics": {"score": {"use": "torchmetrics", "name": "multiclass_jaccard_index"}},
}
SEGMENTERS = ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large")
TORCHVISIONS = {  # networks that nobody here wrote
    "googlenet": {"model": {"use": "inception"}},
    "inception_v3": {
        "model": {"use": "inception", "arch": "inception_v3"},
        "dataset": RGB | {"limit": 12},
        **{
            part: {"large": {"use": "resize", "size": 299}, **BASE["eval_transforms"]}
            for part in ("train_transforms", "eval_transforms")
        },
    },
    **{arch: {"model": {"use": "segmentation", "arch": arch}, **MASKS} for arch in SEGMENTERS},
}
TRIED = {  # what the contracts cannot know
    "deep_supervision": {"model": {"use": "two_heads"}},
    "progressive": {"component": {"first": 24, "last": 32}, "output_shape": (3, 24, 24)},
    "distillation": {"component": {"teacher": {"use": "two_heads"}, "weights": "small.safetensors"}},
}


@pytest.fixture
def ideas(tmp_path, monkeypatch):
    """The page's package, installed as pip would, and the weights of a teacher."""
    info = tmp_path / "site" / "ideas-0.1.0.dist-info"
    info.mkdir(parents=True)
    for name, text in MODULES.items():
        (tmp_path / "site" / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ideas\nVersion: 0.1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in own.items()) for group, own in GROUPS.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    registry.default.cache_clear()
    teacher = registry.build(registry.default(), "model", TEACHER, DataInfo(1, 16, 16, 10))
    save_file(teacher.state_dict(), "teacher.safetensors")
    small = registry.build(registry.default(), "model", {"use": "two_heads", "width": 16}, DataInfo(1, 6, 6, 4))
    save_file(small.state_dict(), "small.safetensors")
    yield tmp_path
    registry.default.cache_clear()
    for name in MODULES:
        sys.modules.pop(name, None)


def test_each_idea_is_a_module_of_under_40_lines():
    assert set(MODULES) == {target.partition(":")[0] for own in GROUPS.values() for target in own.values()}
    assert all(len(text.splitlines()) < 40 for text in MODULES.values()), {n: len(t.splitlines()) for n, t in MODULES.items()}


def test_every_row_of_the_table_has_its_section():
    page = (DOCS / "what-you-can-ablate.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "[`" in line]
    named = {part.partition("`]")[0] for row in rows for part in row.split("[`")[1:]}
    assert named == set(MODULES) - {"two_heads"}


CONTRACT_TESTS = """
from ablate.testing import CONTRACTS

TRIED = {tried!r}
for name, kind in {kinds!r}.items():
    tried = dict(TRIED.get(name, {{}}))
    tried["component"] = {{"use": name, **tried.get("component", {{}})}}
    globals()[f"Test_{{name}}"] = type(f"Test_{{name}}", (CONTRACTS[kind],), tried)
"""


def test_each_keeps_the_contract_of_its_kind(ideas, monkeypatch):
    """Steps, samplers, and what else the engine calls in each batch or epoch."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (ideas / "pytest.ini").write_text("[pytest]\n")
    kinds = {name: kind for name, kind in KIND_OF.items() if kind in ("step", "sampler", "transform", "optimizer", "metric")}
    (ideas / "test_ideas_of_the_page.py").write_text(CONTRACT_TESTS.format(tried=TRIED, kinds=kinds))
    ended = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", f"{ideas}/pytest.ini", str(ideas)])
    assert ended == 0


def cell_of(level, environment, epochs=3, seed=0):
    document = {name: value for name, value in STUDY.items() if name not in ("variants", "question")}
    document["base"] = document["base"] | {"epochs": epochs}
    spec = load(document | {"variants": {"idea": level}, "seeds": [seed]})
    cells = make_cells(make_plan(spec, registry.default()), registry.default(), environment, "cpu")
    return next(planned.cell for planned in cells if planned.variant == "idea")


def stopped_often(cell, environment, folder):
    while True:
        left = iter(range(3))
        try:
            controls = Controls(folder / "state", should_stop=lambda left=left: next(left, None) is None)
            return train(registry.default(), cell, environment, torch.device("cpu"), controls)
        except Interrupted:
            continue


@pytest.mark.parametrize("name", [*STUDY["variants"], *LEVELS])
def test_each_goes_on_bit_for_bit_where_it_was_interrupted(ideas, environment, name):
    cell = cell_of(STUDY["variants"].get(name) or LEVELS[name], environment)
    whole = train(registry.default(), cell, environment, torch.device("cpu"), Controls(ideas / "whole"))
    parts = stopped_often(cell, environment, ideas / "parts")
    assert parts.weights_sha256 == whole.weights_sha256
    assert parts.metrics == whole.metrics
    assert [record["train_loss"] for record in parts.epochs] == [record["train_loss"] for record in whole.epochs]


@pytest.mark.parametrize("name", TARGETS)
def test_other_targets_are_tried_and_go_on_bit_for_bit(ideas, environment, name):
    base = json.loads(FILES["angles.json"])["base"] | {"epochs": 3} | TARGETS[name]
    metric = next(iter(base["metrics"]))
    document = {"name": name, "base": base, "variants": {"x": {"epochs": 1}}, "seeds": 1, "compare": {"metric": metric}}
    cell = make_cells(make_plan(load(document), registry.default()), registry.default(), environment, "cpu")[0].cell
    assert not list(preflight(registry.default(), cell.recipe, environment, torch.device("cpu")))
    whole = train(registry.default(), cell, environment, torch.device("cpu"), Controls(ideas / "whole"))
    parts = stopped_often(cell, environment, ideas / "parts")
    assert parts.weights_sha256 == whole.weights_sha256
    assert parts.metrics == whole.metrics
    assert (whole.predictions is None) is (base["dataset"]["use"] != "strokes")
    losses = [record["train_loss"] for record in whole.epochs]
    assert losses[-1] < losses[0]
    mixed = cell.recipe | {"train_transforms": {"mix": {"use": "mixup", "alpha": 0.2, "p": 0.5}} | base["train_transforms"]}
    found = list(preflight(registry.default(), mixed, environment, torch.device("cpu")))
    assert [problem.path for problem in found] == (["train_transforms.mix"] if name == "strokes" else [])
    others = cell.recipe | {"loss": {"use": "mse"}, "metrics": {"a": {"use": "accuracy"}}, "split": "by_seed"}
    found = [problem.path for problem in preflight(registry.default(), others, environment, torch.device("cpu"))]
    assert found == (["metrics.a", "split"] if name == "angles" else ["loss", "metrics.a", "split"])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("googlenet", SEGMENTERS[-1]) else pytest.mark.slow) for name in TORCHVISIONS]
)
def test_torchvisions_networks_train_with_auxiliary_outputs_and_go_on_bit_for_bit(ideas, environment, name):
    base = {"metrics": {"score": {"use": "accuracy"}}, "dataset": RGB, "loss": {"use": "auxiliary"}, **TORCHVISIONS[name]}
    base = BASE | {"eval_split": "test", "batch_size": 4, "epochs": 1} | base
    document = {"name": name, "base": base, "variants": {"alone": {"loss": {"weight": 0}}}, "seeds": 1}
    plan = make_plan(load(document | {"compare": {"metric": "score"}}), registry.default())
    cells = [planned.cell for planned in make_cells(plan, registry.default(), environment, "cpu")]
    assert not list(preflight(registry.default(), cells[0].recipe, environment, torch.device("cpu")))
    whole = train(registry.default(), cells[0], environment, torch.device("cpu"), Controls(ideas / "whole"))
    parts = stopped_often(cells[0], environment, ideas / "parts")
    assert parts.weights_sha256 == whole.weights_sha256
    assert parts.metrics == whole.metrics
    if name == "inception_v3":  # a second of the processor for each image
        return
    alone = train(registry.default(), cells[1], environment, torch.device("cpu"), Controls(ideas / "alone"))
    has_others = not name.startswith("lraspp")
    assert (whole.weights_sha256 != alone.weights_sha256) is has_others
    assert (whole.epochs[0]["train_loss"] > alone.epochs[0]["train_loss"]) is has_others


def test_outputs_that_are_no_logits_need_a_loss_and_a_method(ideas, environment, monkeypatch):
    recipe = cell_of(STUDY["variants"]["tapped"], environment).recipe

    def problems(**fields):
        return [(p.path, p.message) for p in preflight(registry.default(), recipe | fields, environment, torch.device("cpu"))]

    assert problems() == []
    ((path, message),) = problems(loss={"use": "cross_entropy"})
    assert path == "loss"
    assert message.startswith("it does not take what the model returns in training, a dict: ")
    monkeypatch.delattr("tapped.Tapped.logits_of")
    ((path, message),) = problems()
    assert path == "model"
    assert "its output is a dict; expected a tensor [2, 10], or that the model has a method `logits_of(output)`" in message


def test_predictions_are_of_the_logits(ideas, environment):
    cell = cell_of(STUDY["variants"]["tapped"], environment)
    result = train(registry.default(), cell, environment, torch.device("cpu"), Controls(ideas / "state"))
    assert result.predictions is not None
    assert 0 <= result.metrics["accuracy"] <= 1


def test_early_stopping_stops_and_goes_on_bit_for_bit(ideas, environment):
    cell = cell_of(STUDY["variants"]["early"], environment, epochs=8, seed=1)
    whole = train(registry.default(), cell, environment, torch.device("cpu"), Controls(ideas / "whole"))
    assert "stopped" in whole.epochs[-1]
    assert len(whole.epochs) < 8
    losses = [record["loss"] for record in whole.epochs]
    assert losses[-1] > min(losses), "the last one is no new best"
    assert stopped_often(cell, environment, ideas / "parts").weights_sha256 == whole.weights_sha256


def test_the_study_runs_and_each_idea_reaches_it(ideas, monkeypatch):
    here = in_process_executor(ideas)
    monkeypatch.syspath_prepend(ideas / "ablate-inline")
    registry.default.cache_clear()
    (ideas / "ideas.json").write_text(FILES["ideas.json"])
    done = CliRunner().invoke(app, ["run", "ideas.json", "--store", "store", *here], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "no change" not in done.output, "a change that does not reach the run"
    with Store(ideas / "store") as store:
        cells = store.study("ideas").cells
    assert set(cells["status"]) == {"done"}
    assert set(cells["variant"]) == {"base", *STUDY["variants"]}


def test_metrics_of_the_model_measure_what_they_say(ideas, environment):
    cell = cell_of(STUDY["variants"]["sam"], environment)
    result = train(registry.default(), cell, environment, torch.device("cpu"), Controls(ideas / "state"))
    found = result.metrics
    made = parts(registry.default(), cell.recipe, DataInfo(1, 16, 16, 10), 100, 0, torch.device("cpu")).model
    counts = {name: part.weight.shape for name, part in made.named_modules() if isinstance(part, (nn.Conv2d, nn.Linear))}
    sizes = {"conv1": 12 * 12, "conv2": 2 * 2}  # places of a kernel of 5 on 16 and, pooled, on 6 pixels
    by_hand = sum(2 * shape.numel() * sizes.get(name, 1) for name, shape in counts.items())
    assert found["flops"] == by_hand
    assert found["sharpness"] > 0
    assert 0 <= found["robust"] <= 1
    document = dict(STUDY["base"], metrics={"accuracy": {"use": "accuracy"}}, epochs=3)
    spec = load({"name": "plain", "base": document | STUDY["variants"]["sam"], "variants": {"x": {"epochs": 1}}, "seeds": 1})
    plain = make_cells(make_plan(spec, registry.default()), registry.default(), environment, "cpu")[0].cell
    without = train(registry.default(), plain, environment, torch.device("cpu"), Controls(ideas / "plain"))
    assert without.weights_sha256 == result.weights_sha256, "what a metric does to its model stays there"


def test_muon_takes_the_hidden_matrices(ideas, environment):
    recipe = cell_of(STUDY["variants"]["muon"], environment).recipe
    made = parts(registry.default(), recipe, DataInfo(1, 16, 16, 10), 100, 0, torch.device("cpu"))
    shapes = [[tuple(weight.shape) for weight in group["params"]] for group in made.optimizer.param_groups]
    assert all(len(shape) == 2 for shape in shapes[0])
    assert (10, 84) in shapes[1]


def test_a_student_learns_from_the_teacher_of_its_seed_and_goes_on_bit_for_bit(ideas, environment, monkeypatch):
    here = in_process_executor(ideas)
    monkeypatch.syspath_prepend(ideas / "ablate-inline")
    registry.default.cache_clear()
    teachers = {**STUDY, "base": STUDY["base"] | {"epochs": 2}, "variants": {"sam": STUDY["variants"]["sam"]}}
    for name, text in {"ideas.json": json.dumps(teachers), "distilled.json": FILES["distilled.json"]}.items():
        (ideas / name).write_text(text)
    told = CliRunner().invoke(app, ["check", "distilled.json", "--store", "store"])
    assert "there is no store in store, where the weights of variant 'base' of study 'ideas' are looked for" in str(
        told.exception
    )
    for words in (["ideas.json", "--keep", "weights"], ["distilled.json"]):
        done = CliRunner().invoke(app, ["run", *words, "--store", "store", *here], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    with Store(ideas / "store") as store:
        (teacher,) = (row.key for row in store.study("ideas").cells.itertuples() if (row.variant, row.seed) == ("base", 1))
        cells = store.study("distilled").cells.set_index(["variant", "seed"])
        file = store.kept.file_of(teacher)
    level = {"step": {"use": "distillation", "teacher": {"use": "net"}, "weights": str(file)}}
    spec = json.loads(FILES["distilled.json"]) | {"variants": {"taught": level}}
    made = make_cells(make_plan(load(spec), registry.default()), registry.default(), environment, "cpu")
    cell = next(planned.cell for planned in made if (planned.variant, planned.seed) == ("taught", 1))
    assert cell.key == cells.loc[("taught", 1), "key"]
    parts = stopped_often(cell, environment, ideas / "parts")
    assert parts.weights_sha256 == cells.loc[("taught", 1), "weights_sha256"]


def test_a_teacher_without_its_weights_is_told_before(ideas, environment):
    (ideas / "teacher.safetensors").unlink()
    with pytest.raises(AblateError, match="there is no file"):
        cell_of(LEVELS["distillation"], environment)
