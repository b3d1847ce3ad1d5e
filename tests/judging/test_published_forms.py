"""Tables in the forms in which papers and benchmarks publish theirs, made small."""

import os

import pandas as pd
import pytest
from scipy import stats
from tables import one_factor, written
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.errors import AblateError, UsageError
from ablate.judging import finding
from ablate.report.blocks import block_notes

MANY = {"use": "table", "columns": "method"}


def refusal(*args, **wanted):
    with pytest.raises(AblateError) as caught:
        ablate.judge(*args, **wanted)
    return str(caught.value)


def read_as(study):
    return "\n".join(study.imported.read)


def several(values=(0.5, 0.6), datasets=8, seeds=2):
    """Each method on each dataset, without noise but for the seed."""
    return pd.DataFrame(
        [
            {"dataset": f"d{d}", "method": f"m{m}", "seed": seed, "acc": value + d / 50 + seed / 1000}
            for d in range(datasets)
            for m, value in enumerate(values)
            for seed in range(seeds)
        ]
    )


# What tells runs apart


def early_stopped(epochs):
    """A row a run of two families of graphs; `epochs` is when it was stopped."""
    rows = [(v, f, s) for v in ("plain", "dual") for f in ("sparse", "dense") for s in range(3)]
    return pd.DataFrame(
        [
            {"variant": v, "family": f, "seed": s, "epochs": at, "acc": 0.5 + (v == "dual") / 10 + (f == "dense") / 5 + s / 100}
            for (v, f, s), at in zip(rows, epochs, strict=True)
        ]
    )


def test_a_measurement_that_is_called_like_a_step_makes_no_steps_of_runs():
    """All of them differ, so that nothing would be there twice: the dense graphs would pass for the last step of the sparse."""
    told = refusal(early_stopped(range(70, 82)), metric="acc", factors=["variant"], at="last")
    assert "plain, seed 0: 2 runs have this seed: row 0, row 3" in told
    assert "They differ in family: name it with --factor, --block or --seed." in told
    assert "and 1 more variants and seeds" in told


def test_nor_where_most_of_them_begin_alike():
    told = refusal(early_stopped([10, 10, 10, 20, 30, 40, 20, 10, 10, 10, 35, 45]), metric="acc", factors=["variant"], at="last")
    assert "rows of one run (variant plain, seed 0) differ in 'family'" in told
    assert """--source '{"use": "table", "step": "epochs"}'""" in told


def test_it_is_judged_where_the_family_is_named_or_chosen():
    runs = early_stopped([10, 10, 10, 20, 30, 40, 20, 10, 10, 10, 35, 45])
    chosen = ablate.judge(runs, metric="acc", factors=["variant"], where=["family=dense"])
    assert chosen.effects()["difference"].tolist() == pytest.approx([0.1])
    assert len(chosen.cells) == 6
    assert len(ablate.judge(runs, metric="acc", factors=["variant"], blocks=["family"]).cells) == 12


def test_a_stage_that_follows_from_the_step_is_no_other_run():
    rows = [
        {"method": m, "seed": seed, "epoch": epoch, "stage": "warm" if epoch < 2 else "main", "acc": 0.1 * epoch + seed / 100}
        for m in "ab"
        for seed in range(2)
        for epoch in range(4)
    ]
    study = ablate.judge(pd.DataFrame(rows), metric="acc", factors=["method"])
    assert len(study.cells) == 4
    assert study.cells["acc"].tolist() == pytest.approx([0.3, 0.31, 0.3, 0.31])


def test_an_epoch_that_is_a_fraction_leaves_the_steps_to_another_column():
    rows = [
        {"method": m, "seed": seed, "epoch": step / 29, "step": step, "acc": step / 1000 + (m == "b") / 10 + seed / 100}
        for m in "ab"
        for seed in range(2)
        for step in (0, 300, 600)
    ]
    study = ablate.judge(pd.DataFrame(rows), metric="acc", factors=["method"])
    assert study.cells["acc"].tolist() == pytest.approx([0.6, 0.61, 0.7, 0.71])
    assert "Rows that differ in 'step' are steps of one run" in read_as(study)
    alone = pd.DataFrame(rows).drop(columns="step").assign(epoch=[0.5, 10.5, 20.5] * 4)
    assert "row 0 has 0.5 as epoch, and a step is a whole number" in refusal(alone, metric="acc", factors=["method"])


def test_values_of_one_setting_are_alternatives_and_some_can_be_left_out():
    runs = one_factor({"a": [0.1, 0.2], "b": [0.3, 0.4], "c": [0.6, 0.7]})
    two = ablate.judge(runs, metric="acc", where=["method=a", "method=c"])
    assert [variant.name for variant in two.variants] == ["a", "c"]
    assert "Only runs with method=a or c: 4 of 6" in read_as(two)
    assert two.effects()["difference"].tolist() == pytest.approx([0.5])
    rest = ablate.judge(runs, metric="acc", where=["method!=b"])
    assert [variant.name for variant in rest.variants] == ["a", "c"]
    assert "--where method!=d: no run has it" in refusal(runs, metric="acc", where=["method!=d"])
    assert "no run is left" in refusal(runs, metric="acc", where=["method!=a", "method!=b", "method!=c"])


# A column for each method


def wide(tmp_path):
    rows = [
        f"d{d},{seed},{0.8 + d / 100},{2 + d + seed / 10},{0.9},{1 + d + seed / 10},{0.91}" for d in range(3) for seed in range(2)
    ]
    return written(tmp_path, "dataset,seed,accuracy,old_size,old_cov,new_size,new_cov\n" + "\n".join(rows) + "\n")


def test_a_column_for_each_method_and_metric(tmp_path):
    study = ablate.judge(
        wide(tmp_path),
        metric="size",
        goal="minimize",
        factors=["method"],
        blocks=["dataset"],
        source={**MANY, "levels": "*_size"},
    )
    assert list(dict.fromkeys(variant.levels["method"] for variant in study.variants)) == ["old", "new"]
    assert study.effects()["difference"].tolist() == pytest.approx([-1.0] * 3)
    assert "Columns of numbers that are no *_size are left out: accuracy, old_cov, new_cov" in read_as(study)


def test_a_pattern_of_columns_that_is_none(tmp_path):
    path = wide(tmp_path)
    for source, said in (
        ({**MANY, "levels": "*_siez"}, "fewer than two columns of numbers are *_siez. There is: accuracy, new_cov"),
        ({**MANY, "levels": "size"}, "`levels` of a table goes with `columns`, and has one *"),
        ({"use": "table", "levels": "*_size"}, "`levels` of a table goes with `columns`, and has one *"),
    ):
        assert said in refusal(path, metric="size", goal="minimize", source=source)


def test_columns_may_be_seeds(tmp_path):
    text = "dataset,0,1,2\n" + "".join(f"d{d},{0.5 + d / 10},{0.52 + d / 10},{0.54 + d / 10}\n" for d in range(8))
    told = refusal(written(tmp_path, text), metric="acc", source={"use": "table", "columns": "seed"})
    assert "nothing differs between the runs that could be compared but dataset and seed" in told


def test_an_index_without_a_name_gets_one(tmp_path):
    text = ",old,new\n" + "".join(f"set {d},{0.5 + d / 10},{0.6 + d / 9}\n" for d in range(8))
    study = ablate.judge(written(tmp_path, text), metric="acc", factors=["method"], blocks=["column 1"], source=MANY)
    assert "The first column has no name, and is called 'column 1'" in read_as(study)
    assert study.analysis().blocks.comparisons[0].p_adjusted == pytest.approx(2 / 2**8)


def test_means_with_their_spread_are_no_runs(tmp_path):
    for cell in ("68.4(7.1)", "68.4 ± 7.1", "0.68 +/- 0.07", "0.68 (0.07)", "$68.4 \\pm 7.1$"):
        path = written(tmp_path, f"dataset,old,new\na,{cell},{cell}\nb,{cell},{cell}\n")
        said = f"'old' has means with their spread, such as {cell!r}, and a verdict takes the runs that they are of."
        assert said in refusal(path, metric="acc", source=MANY)
        assert said in refusal(path, metric="old")


# Datasets


def test_a_dataset_is_a_block_by_its_name():
    study = ablate.judge(several(), metric="acc")
    assert study.compare.blocks == ("dataset",)
    assert "Compared: method, which differs" in read_as(study)
    assert "Blocks: dataset, 8 of them, by its name, where neither --factor nor --block is given" in read_as(study)
    named = ablate.judge(several(), metric="acc", factors=["method"], blocks=["dataset"])
    assert study.effects().equals(named.effects())
    assert ablate.judge(several(), metric="acc", factors=["method", "dataset"]).compare.blocks == ()


def test_no_spec_asks_for_seeds_where_blocks_decide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    several().to_csv("runs.csv", index=False)
    for more in ([], ["--factor", "method", "--block", "dataset"]):
        done = CliRunner().invoke(app, ["judge", "runs.csv", "--metric", "acc", "--spec", "new.json", *more])
        assert "--spec: over blocks, more blocks would decide it" in str(done.exception)
    assert not (tmp_path / "new.json").exists()


def test_datasets_are_not_compared_with_each_other_unless_somebody_says_so():
    runs = several(values=(0.5,))
    assert "nothing differs between the runs that could be compared but dataset and seed" in refusal(runs, metric="acc")
    assert len(ablate.judge(runs, metric="acc", factors=["dataset"]).effects()) == 7


def test_a_block_where_nothing_was_measured_is_no_missing_run():
    runs = several(values=(0.5, 0.6), datasets=10)
    runs.loc[runs["dataset"].isin(["d3", "d7"]), "acc"] = float("nan")
    study = ablate.judge(runs, metric="acc", factors=["method"], blocks=["dataset"])
    assert "No run has a value of acc in 2 blocks, and their 8 runs are left out: d3, d7" in read_as(study)
    assert len(study.cells) == 32
    (over,) = study.analysis().blocks.comparisons
    assert (over.verdict, over.n) == ("better", 8)
    assert over.p_adjusted == pytest.approx(stats.wilcoxon([0.1 + d / 1000 for d in range(8)]).pvalue)


def test_one_method_that_leaves_most_blocks_incomplete_is_named():
    runs = several(values=(0.5, 0.6, 0.7), datasets=9)
    runs = runs[(runs["method"] != "m2") | (runs["dataset"] == "d0")]
    study = ablate.judge(runs, metric="acc")
    assert "They count where m2 is left out: --where with !=." in block_notes(study, study.analysis().blocks)
    kept = ablate.judge(runs, metric="acc", where=["method!=m2"])
    over = kept.analysis().blocks
    assert (len(over.ranked), over.comparisons[0].verdict) == (9, "better")
    assert not any("left out" in note for note in block_notes(kept, over))


# What stands beside the numbers


def test_when_a_run_was_and_what_is_said_of_its_failure_are_no_settings():
    runs = several(datasets=7)
    runs["utc"] = ["2019-04-15T12:22:02", "2019-04-15T12:22:34", *["2019-04-16T01:00:00"] * (len(runs) - 2)]
    runs["info"] = ["Error: no model in the time given"] + [""] * (len(runs) - 1)
    runs.loc[0, "acc"] = float("nan")
    study = ablate.judge(runs, metric="acc", factors=["method"], blocks=["dataset"])
    assert "Tells when a run was, and is no setting: utc" in read_as(study)
    assert "Said only of runs without a value: info" in read_as(study)
    ((reason, left),) = study.imported.left_out
    assert reason == "no value of acc: Error: no model in the time given"
    assert left == ("method=m0,dataset=d0, seed 0 (row 0)",)


def test_what_is_said_of_runs_with_a_value_may_be_a_setting():
    runs = one_factor({"a": [0.1, 0.2], "b": [0.3, 0.4]}).assign(info=["with dropout"] * 2 + [""] * 2)
    assert "info: with dropout in a; (empty) in b" in refusal(runs, metric="acc", factors=["method"])


# A file for each method


def folder(tmp_path, names=("old", "new"), header="dataset,0,1"):
    (tmp_path / "all").mkdir()
    for place, name in enumerate(names):
        rows = [f"d{d},{0.5 + d / 50 + place / 10},{0.51 + d / 40 + place / 10}" for d in range(8)]
        written(tmp_path / "all", "\n".join([header, *rows]) + "\n", f"{name}.csv")
    return tmp_path / "all"


def test_the_tables_of_a_folder_are_one(tmp_path):
    study = ablate.judge(folder(tmp_path), metric="acc", reference="old", source={"use": "table", "columns": "seed"})
    assert list(dict.fromkeys(variant.levels["file"] for variant in study.variants)) == ["old", "new"]
    assert "2 tables read as one, with their paths as 'file'" in read_as(study)
    assert study.effects()["difference"].tolist() == pytest.approx([0.1] * 8)
    assert study.cells["key"][0] == "new.csv line 2, 0"


def test_a_folder_of_tables_is_read_where_it_is_asked_for(tmp_path):
    told = refusal(folder(tmp_path), metric="acc")
    assert "It has 2 tables: --source table reads them as one, with their paths as a setting 'file'." in told


def test_a_tracker_without_runs_asks_for_no_package_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setitem(finding.PACKAGES, "runs.odd", "ablate-core")
    (tmp_path / "runs.odd").write_text("")
    told = refusal(tmp_path, metric="acc")
    assert "It has files of a tracker that ablate-core reads, and no run among them." in told


def test_the_file_is_no_setting_where_the_factors_are_named(tmp_path):
    (tmp_path / "all").mkdir()
    one, other = one_factor({"a": [0.1, 0.2], "b": [0.3, 0.4]}), one_factor({"c": [0.6, 0.7]})
    one.to_csv(tmp_path / "all" / "first.csv", index=False)
    other.assign(note="x").to_csv(tmp_path / "all" / "second.csv", index=False)
    named = ablate.judge(tmp_path / "all", metric="acc", factors=["method"], ignore=["note"], source="table")
    assert named.effects()["difference"].tolist() == pytest.approx([0.2, 0.5])
    found = ablate.judge(tmp_path / "all", metric="acc", source="table")
    assert "Goes with method, so that a difference is of all of them together: note, file" in read_as(found)


def test_folders_that_cannot_be_read_as_one(tmp_path):
    (tmp_path / "none").mkdir()
    assert "there is no table at any depth" in refusal(tmp_path / "none", metric="acc", source="table")
    place = folder(tmp_path, header="file,0,1")
    with pytest.raises(UsageError, match="a table has a column 'file'"):
        ablate.judge(place, metric="acc", source={"use": "table", "columns": "seed"})
    (place / ".hidden.csv").write_text("x")
    (place / "old.csv").write_text("dataset,0\nd0\n")
    assert "line 2 has 1 cells" in refusal(place, metric="acc", source={"use": "table", "columns": "seed"})


def test_a_name_of_a_file_that_is_no_text_stays_readable(tmp_path):
    for name in (b"a\xff.csv", b"b.csv"):
        with open(os.fsencode(tmp_path) + b"/" + name, "w") as file:
            file.write("seed,acc\n0,0.5\n1,0.6\n")
    study = ablate.judge(tmp_path, source="table", factors=["file"], metric="acc")
    assert sorted(variant.name for variant in study.variants) == ["a\\udcff", "b"]
    assert len(study.cells) == 4
