"""Imported runs as a study: the numbers of a study of our own digit for digit, and what the report says of them."""

import json
import math

import pandas as pd
import pytest
from tables import frame, one_factor

import ablate
from ablate.contracts import Factor
from ablate.judging import Judgement, Wanted, read, study_of
from ablate.judging.deciding import deciding_spec, partial
from ablate.report.content import page
from ablate.report.data import frame_csv
from ablate.report.files import FORMATS, render, write_all
from ablate.results import Results
from ablate.study import Compare, VariantInfo

FACTORS = ["optimizer", "augment"]


def own(paired=False):
    """The runs of `frame` as a study that ablate has run."""
    runs = frame()
    names = [f"optimizer={row.optimizer},augment={row.augment}" for row in runs.itertuples()]
    cells = pd.DataFrame(
        {"variant": names, "seed": runs["seed"], "key": [f"{i:064x}" for i in range(len(runs))], "status": "done"}
    )
    cells = cells.assign(
        error=None, seconds=1.5, parameters=[len(name) for name in names], weights_sha256="0" * 64, acc=runs["acc"]
    )
    epochs = cells[["variant", "seed", "acc"]].assign(epoch=1, train_loss=0.5, lr=0.1, seconds=1.0, images_per_second=9.0)
    variants = tuple(
        VariantInfo(name, dict(part.split("=") for part in name.split(",")), ("x: 1 → 2",)) for name in dict.fromkeys(names)
    )
    factors = Factor("optimizer", "sgd", ("adam",)), Factor("augment", "none", ("flip",))
    compare = Compare("acc", "last", variants[0].name, margin=0.005, paired=paired)
    return Results("own", "", compare, variants, cells, epochs, factors=factors, design={"use": "ablate-core:factorial"})


@pytest.mark.parametrize("paired", [False, True])
def test_numbers_are_those_of_a_study_of_our_own_digit_for_digit(paired, tmp_path):
    study = own(paired)
    frame().to_csv(tmp_path / "runs.csv", index=False)
    write_all(page(study), tmp_path / "report")
    by_factors = ablate.judge(tmp_path / "runs.csv", metric="acc", factors=FACTORS, margin=0.005, paired=paired)
    by_export = ablate.judge(tmp_path / "report" / "cells.csv", metric="acc", factors=["variant"], margin=0.005, paired=paired)
    by_epochs = ablate.judge(tmp_path / "report" / "epochs.csv", metric="acc", factors=["variant"], margin=0.005, paired=paired)
    assert by_factors.effects().equals(study.effects())
    assert by_export.effects().equals(study.effects())
    assert by_epochs.effects().equals(study.effects())
    one, other = study.analysis(), by_factors.analysis()
    assert other.factorial == one.factorial
    assert other.attribution == one.attribution
    assert other.answer == one.answer
    assert "Cells of a report of ablate: variants, seeds, how they ended, and metrics are read" in by_export.imported.read


def test_it_is_marked_in_every_format(tmp_path):
    made = page(ablate.judge(frame(), metric="acc", factors=FACTORS))
    for name in FORMATS:
        text = render([made], name)
        assert "not planned before the run" in text.replace("\\allowbreak ", ""), name
    assert [section.title for section in made.sections][:2] == ["How the runs were read", "Comparison"]
    assert not {"Cost", "Provenance", "Failed cells"} & {section.title for section in made.sections}
    assert "--follow-up" not in render([made], "html")
    files = write_all(made, tmp_path)
    assert {"report.html", "effects.svg", "study.json"} <= {path.name for path in files}


def test_a_study_of_our_own_is_not_marked():
    for name in FORMATS:
        assert "not planned before the run" not in render([page(own())], name), name


def test_runs_without_a_value_are_missing_listed_and_flatter_nobody():
    runs = one_factor({"a": [0.5, 0.51, 0.5, 0.52], "b": [0.7, 0.71, math.nan, 0.72], "c": [0.6, 0.61, 0.62, 0.6]})
    status = ["done"] * 4 + ["done"] * 4 + ["done", "failed", "running", "done"]
    study = ablate.judge(runs.assign(status=status), metric="acc", factors=["method"])
    effects = study.effects().set_index("variant")
    assert effects.loc["b", ["n", "verdict", "where_it_trains", "lost"]].tolist() == [
        3,
        "undecided",
        "better",
        "1 of 4 runs without a value",
    ]
    assert effects.loc["c", "n"] == 2
    assert dict(study.imported.left_out) == {
        "no value of acc": ("b, seed 2 (row 6)",),
        "failed": ("c, seed 1 (row 9)",),
        "not finished": ("c, seed 2 (row 10)",),
    }


def test_a_metric_may_have_the_name_of_a_column_of_the_frames():
    runs = one_factor({"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.2]})
    for name, called in (("seconds", "seconds (metric)"), ("train_loss", "train_loss")):
        study = ablate.judge(runs.rename(columns={"acc": name}), metric=name, goal="minimize")
        assert study.compare.metric == called
        assert study.effects()["verdict"].tolist() == ["worse"]
        assert render([page(study)], "html")


def test_hostile_names_stay_text(tmp_path):
    name = "<script>alert(1)</script>,=cmd|' /C calc'!A0\x1b]0;x\x07"
    runs = one_factor({"a": [0.5, 0.6], name: [0.7, 0.8]}).rename(columns={"method": "<b>f</b>"})
    made = page(ablate.judge(runs, metric="acc", name="../x"))
    assert "<script>alert" not in render([made], "html")
    assert "<b>f" not in render([made], "html")
    assert "\x1b" not in render([made], "markdown")
    assert "'=cmd" in frame_csv(pd.DataFrame({"a": ["=cmd"]}))


def test_curves_are_drawn_of_runs_with_steps():
    rows = [
        {"method": method, "seed": seed, "step": step, "acc": 0.1 * step + (method == "b") / 20 + seed / 100}
        for method in "ab"
        for seed in range(3)
        for step in (1, 2, 3)
    ]
    study = ablate.judge(pd.DataFrame(rows), metric="acc", factors=["method"])
    assert study.figure("curves").axes
    early = ablate.judge(pd.DataFrame(rows), metric="acc", factors=["method"], at=1)
    assert early.effects()["difference"].tolist() == pytest.approx([0.05])
    assert early.compare.at == 1


# The spec of the study that would decide it


def decided(runs, **wanted):
    found = read(runs, Wanted("acc", **wanted))
    return deciding_spec(study_of(found, "my runs", "", Judgement()), found, ())


def test_a_factorial_is_asked_anew_with_seeds_that_no_run_had():
    document = decided(frame().assign(epochs=10), factors=("optimizer", "augment"))
    assert document["name"] == "my-runs-decide"
    assert document["base"] == {
        "use": "command",
        "argv": ["{python}", "{here}/train.py", "--seed", "{seed}", "{args}"],
        "settings": {"epochs": 10, "optimizer": "sgd", "augment": "none"},
        "metrics": {"acc": "maximize"},
    }
    assert document["factors"] == {
        "optimizer": {"sgd": {}, "adam": {"settings": {"optimizer": "adam"}}},
        "augment": {"none": {}, "flip": {"settings": {"augment": "flip"}}},
    }
    assert document["design"] == {"use": "factorial"}
    assert document["seeds"]["first"] == 5
    assert document["seeds"]["stop"] == "decided"
    assert document["compare"] == {
        "metric": "acc",
        "goal": "maximize",
        "at": "last",
        "alpha": 0.05,
        "paired": False,
        "correction": "holm",
    }
    json.dumps(document, allow_nan=False)


def test_it_is_a_spec_that_ablate_accepts(write, tmp_path, monkeypatch):
    """As it is, where the program is there: nested settings, one that goes with a level, one that only some runs have."""
    from ablate.plan import make_plan
    from ablate.registry import default
    from ablate.spec import load

    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("")
    levels = (("sgd", {"lr": 0.1, "momentum": 0.9}), ("adam", {"lr": 0.001}))
    runs = [
        {"optim": {"name": name, **more}, "epochs": 5, "seed": seed, "val/acc": 0.8 + seed / 50 + (name == "adam") / 60}
        for name, more in levels
        for seed in range(3)
    ]
    path = write("\n".join(map(json.dumps, runs)), "runs.jsonl")
    found = read(path, Wanted("val/acc"))
    document = deciding_spec(study_of(found, None, "", Judgement()), found, [0.02])
    plan = make_plan(load(write(document)), default())
    assert [variant.name for variant in plan.variants] == ["optim.name=sgd", "optim.name=adam"]
    assert plan.variants[1].recipe["settings"]["optim"] == {"name": "adam", "lr": 0.001, "momentum": 0.9}
    assert partial(found) == ["optim.momentum"]
    assert plan.stopping is not None
    assert plan.seeds[0] == 3


def test_other_sets_of_variants_are_named_patches():
    runs = frame()
    runs = runs[~((runs["optimizer"] == "adam") & (runs["augment"] == "none"))]
    document = decided(runs, factors=("optimizer", "augment"), reference="optimizer=sgd,augment=none")
    assert "factors" not in document
    assert document["variants"]["optimizer adam augment flip"] == {"settings": {"optimizer": "adam", "augment": "flip"}}
