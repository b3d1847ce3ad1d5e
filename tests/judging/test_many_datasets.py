"""Runs of many datasets: compared in each of them, and judged over all."""

import json

import numpy as np
import pandas as pd
import pytest
from block_studies import AREAS, METHODS, over_blocks
from tables import written
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.errors import SpecError, UsageError
from ablate.judging import Wanted, read
from ablate.report.content import page


def frame(**others):
    rows = [
        {"dataset": dataset, "method": method, "auc": value, **others}
        for dataset, values in AREAS.items()
        for method, value in zip(METHODS, values, strict=True)
    ]
    return pd.DataFrame(rows)


def several(seeds=3, blocks=8):
    rng = np.random.default_rng(0)
    rows = [
        {"dataset": f"d{d}", "method": method, "seed": seed, "epochs": 10 + d, "acc": 0.5 + d / 20 + better + rng.normal(0, 0.01)}
        for d in range(blocks)
        for method, better in (("old", 0.0), ("new", 0.03))
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_the_numbers_are_those_of_a_study_with_these_values():
    judged = ablate.judge(frame(), metric="auc", factors=["method"], blocks=["dataset"])
    assert judged.compare.blocks == ("dataset",)
    assert repr(judged.analysis().blocks) == repr(over_blocks(AREAS).analysis().blocks)  # NaN is not itself


def test_a_table_with_a_column_a_method(tmp_path):
    wide = pd.DataFrame([{"dataset": name, **dict(zip(METHODS, row, strict=True))} for name, row in AREAS.items()])
    path = tmp_path / "wide.csv"
    wide.to_csv(path, index=False)
    source = {"use": "table", "columns": "method"}
    judged = ablate.judge(path, metric="auc", factors=["method"], blocks=["dataset"], source=source)
    assert repr(judged.analysis().blocks) == repr(over_blocks(AREAS).analysis().blocks)  # NaN is not itself


def test_how_they_were_read():
    judged = ablate.judge(several(), metric="acc", blocks=["dataset"])
    read_as = judged.imported.read
    assert "Compared: method, which differs between the runs" in read_as
    assert "Blocks: dataset, 8 of them; variants are compared in each" in read_as
    assert "Varies with the block alone: epochs" in read_as
    (section,) = [section for section in page(judged).sections if section.title == "How the runs were read"]
    assert section.tables[0].headings == ("variant", "runs", "with a value", "blocks", "seeds")
    assert section.tables[0].rows == (("old", "24", "24", "8", "0–2"), ("new", "24", "24", "8", "0–2"))
    (found,) = judged.analysis().blocks.comparisons
    assert (found.variant, found.n, found.verdict) == ("new", 8, "better")


@pytest.mark.parametrize("factors", [["method"], []])
def test_a_setting_of_the_block_confounds_nothing_and_one_of_the_variant_does(factors):
    runs = several().assign(warmup=lambda runs: np.where(runs["method"] == "new", 5, 0))
    if factors:
        with pytest.raises(UsageError, match="warmup: 0 in old/d0"):
            ablate.judge(runs, metric="acc", factors=factors, blocks=["dataset"])
    judged = ablate.judge(runs, metric="acc", factors=factors, blocks=["dataset"], ignore=["warmup"])
    assert "Varies with the block alone: epochs" in judged.imported.read


def test_blocks_may_end_at_different_steps_and_runs_of_a_block_may_not():
    def runs(longer):
        return pd.DataFrame(
            [
                {"dataset": d, "method": m, "seed": seed, "step": step, "acc": 0.5 + step / 100 + seed / 1000 + (m == "b") / 50}
                for d, last in (("short", 2), ("long", 4))
                for m in "ab"
                for seed in range(2)
                for step in range(1, last + 1 + longer * (m == "b" and d == "long"))
            ]
        )

    judged = ablate.judge(runs(0), metric="acc", factors=["method"], blocks=["dataset"])
    assert judged.analysis().blocks.comparisons[0].difference == pytest.approx(0.02)
    with pytest.raises(SpecError, match="acc ends at step"):
        ablate.judge(runs(1), metric="acc", factors=["method"], blocks=["dataset"])
    with pytest.raises(SpecError, match="acc ends at step"):
        ablate.judge(runs(0), metric="acc", factors=["method", "dataset"])


def test_the_reference_is_named_without_its_block():
    for asked, expected in ((None, "old"), ("new", "new")):
        judged = ablate.judge(several(), metric="acc", factors=["method"], blocks=["dataset"], reference=asked)
        assert judged.analysis().blocks.reference == expected
        assert judged.compare.reference == f"method={expected},dataset=d0"
    with pytest.raises(UsageError, match="no such variant. There is: new, old"):
        ablate.judge(several(), metric="acc", factors=["method"], blocks=["dataset"], reference="method=new,dataset=d0")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"factors": ("method",), "blocks": ("datset",)},
            "--block datset: the runs have no such setting. Did you mean 'dataset'",
        ),
        ({"factors": ("method", "dataset"), "blocks": ("dataset",)}, "--block dataset: it is a factor already"),
        ({"factors": ("method",), "blocks": ("seed",), "seed": "seed"}, "--block seed: it is the seed already"),
    ],
)
def test_what_is_no_block_is_told(wanted, message):
    with pytest.raises(UsageError, match=message):
        read(several().drop(columns="epochs"), Wanted("acc", **wanted))


def test_one_variant_in_all_blocks_is_nothing_to_compare():
    with pytest.raises(UsageError, match="nothing to compare|nothing differs"):
        ablate.judge(several().query("method == 'old'"), metric="acc", blocks=["dataset"])


# The command


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    frame().to_csv("runs.csv", index=False)
    return ["judge", "runs.csv", "--factor", "method", "--block", "dataset", "--metric", "auc"]


def test_the_command_shows_the_verdicts(runs):
    done = CliRunner().invoke(app, runs)
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    assert told.index("Blocks: dataset, 14 of them") < told.index("C4.5+m+cf better 14 1.964 11–1–2 0.025 +0.02229")
    found = CliRunner().invoke(app, [*runs, "--format", "json"])
    assert json.loads(found.stdout)["analysis"]["blocks"]["friedman"]["df"] == 3


def test_worse_over_the_blocks_ends_with_its_code(runs):
    assert CliRunner().invoke(app, [*runs, "--fail-on", "worse"]).exit_code == 0
    worse = CliRunner().invoke(app, [*runs, "--fail-on", "worse", "--reference", "C4.5+m"])
    assert worse.exit_code == 4
    assert "worse than C4.5+m: C4.5" in worse.stderr


@pytest.mark.parametrize("option", [["--power"], ["--spec", "new.json"]])
def test_what_is_about_seeds_is_refused(runs, option, tmp_path):
    done = CliRunner().invoke(app, [*runs, *option])
    assert isinstance(done.exception, UsageError)
    assert "more blocks" in str(done.exception)
    assert not (tmp_path / "new.json").exists()


def test_hostile_blocks_stay_text(tmp_path):
    path = written(tmp_path, "dataset,method,auc\n<script>,a,0.5\n<script>,b,0.6\n=cmd,a,0.5\n=cmd,b,0.6\n")
    judged = ablate.judge(path, metric="auc", factors=["method"], blocks=["dataset"])
    assert judged.analysis().blocks.blocks == ("dataset=<script>", "dataset==cmd")
    assert page(judged)
