"""Tables in all their shapes, as runs; and those that are none, refused with the place of what is wrong."""

import json
import math

import pandas as pd
import pytest
from tables import frame, written

import ablate
from ablate.errors import EnvironmentProblem, UsageError
from ablate.judging.grids import read
from ablate.judging.runs import Asked
from ablate.judging.tables import table

LONG = "method,seed,epoch,acc\n" + "".join(
    f"{method},{seed},{epoch},{0.1 * epoch + 0.01 * seed + (method == 'b') * 0.05:.3f}\n"
    for epoch in range(1, 4)  # runs are interleaved
    for method in "ab"
    for seed in range(2)
)


def runs(place, asked=None, **parameters):
    return table(asked or Asked(place, "acc"), **parameters).runs


def test_numbers_have_all_their_digits(tmp_path):
    value = 0.1234567890123456789
    path = written(tmp_path, f"method,seed,acc\na,0,{value!r}\nb,0,1e-3\n")
    assert [run.metrics["acc"].values[0] for run in runs(path)] == [value, 0.001]
    assert [run.name for run in runs(path)] == ["line 2", "line 3"]


def test_a_row_a_step(tmp_path):
    found = runs(written(tmp_path, LONG), Asked(tmp_path / "runs.csv", "acc", ("method",), "seed"))
    assert [(run.settings["method"], run.settings["seed"]) for run in found] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert list(found[3].metrics["acc"].steps) == [1, 2, 3]
    assert found[3].metrics["acc"].values[-1] == 0.36


def test_a_row_a_step_where_nothing_was_named(tmp_path):
    study = ablate.judge(written(tmp_path, LONG), metric="acc")
    assert [variant.name for variant in study.variants] == ["a", "b"]
    assert study.effects()["difference"].tolist() == pytest.approx([0.05])
    assert len(study.epochs) == 12


def test_other_separators_and_a_byte_order_mark(tmp_path):
    for name, separator in (("runs.csv", ";"), ("runs.tsv", "\t"), ("runs.csv", "\t")):
        text = "\ufeff" + "method,seed,acc\na,0,0.5\n".replace(",", separator)
        (run,) = runs(written(tmp_path, text, name))
        assert run.settings == {"method": "a", "seed": 0, "acc": 0.5}


def test_lines_of_json_are_nested_settings(tmp_path):
    lines = [{"config": {"optimizer": {"name": name}}, "seed": 0, "acc": 0.5} for name in ("sgd", "adam")]
    found = runs(written(tmp_path, "\n".join(map(json.dumps, lines)), "runs.jsonl"))
    assert [run.settings["config.optimizer.name"] for run in found] == ["sgd", "adam"]
    assert len(runs(written(tmp_path, json.dumps(lines), "runs.json"))) == 2


def test_parquet_is_read_where_pyarrow_is(tmp_path):
    pytest.importorskip("pyarrow")
    frame().to_parquet(tmp_path / "runs.parquet")
    one = ablate.judge(tmp_path / "runs.parquet", metric="acc", factors=["optimizer", "augment"])
    assert one.effects().equals(ablate.judge(frame(), metric="acc", factors=["optimizer", "augment"]).effects())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(pd, "read_parquet", lambda path: (_ for _ in ()).throw(ImportError("no pyarrow")))
    with pytest.raises(EnvironmentProblem, match="pip install pyarrow"):
        read(written(tmp_path, "", "runs.parquet"))


def test_a_frame_and_its_file_say_the_same(tmp_path):
    frame().to_csv(tmp_path / "runs.csv", index=False)
    frame().to_csv(tmp_path / "with_index.csv")
    factors = ["optimizer", "augment"]
    found = [
        ablate.judge(place, metric="acc", factors=factors)
        for place in (frame(), tmp_path / "runs.csv", tmp_path / "with_index.csv")
    ]
    assert all(study.effects().equals(found[0].effects()) for study in found)
    assert "The first column has no name and counts the rows: it is left out" in found[2].imported.read


def test_an_index_with_names_is_columns():
    indexed = frame().set_index(["optimizer", "augment", "seed"])
    assert (
        ablate.judge(indexed, metric="acc", factors=["optimizer"], ignore=["augment"], where=["augment=none"])
        .cells["acc"]
        .tolist()
    )


def test_columns_are_levels(tmp_path):
    text = "seed,sgd,adam,lion\n" + "".join(
        f"{seed},{0.5 + seed / 100},{0.6 + seed / 100},{0.7 + seed / 100}\n" for seed in range(3)
    )
    study = ablate.judge(written(tmp_path, text), metric="acc", source={"use": "table", "columns": "optimizer"})
    assert [variant.name for variant in study.variants] == ["sgd", "adam", "lion"]
    assert study.effects()["difference"].tolist() == pytest.approx([0.1, 0.2])
    assert study.cells["key"][3] == "line 2, adam"


def test_a_metric_a_row(tmp_path):
    text = "method,seed,metric,value\n" + "".join(
        f"{method},{seed},{metric},{value + seed / 100}\n"
        for method in "ab"
        for seed in range(2)
        for metric, value in (("acc", 0.5), ("loss", 1.5))
    )
    path = written(tmp_path, text)
    found = runs(path, names="metric", values="value")
    assert len(found) == 4
    assert (found[1].metrics["acc"].values[0], found[1].metrics["loss"].values[0]) == (0.51, 1.51)
    with pytest.raises(UsageError, match="line 2 and line 10 both have 'acc' of one run"):
        runs(written(tmp_path, text + "a,0,acc,0.7\n"), names="metric", values="value")
    with pytest.raises(UsageError, match="go together"):
        runs(path, names="metric")


def test_a_column_tells_runs_apart(tmp_path):
    text = "run,method,seed,step,acc\n" + "".join(f"r{r},{'ab'[r % 2]},{r // 2},{s},0.{s}{r}\n" for s in (1, 2) for r in range(4))
    found = runs(written(tmp_path, text), run="run")
    assert [len(run.metrics["acc"].steps) for run in found] == [2, 2, 2, 2]


def test_empty_cells_of_a_step_are_no_values(tmp_path):
    text = "method,seed,step,acc,loss\na,0,1,,0.9\na,0,2,0.5,0.8\na,0,3,,0.7\nb,0,1,,0.9\nb,0,2,0.6,0.8\nb,0,3,,0.7\n"
    found = runs(written(tmp_path, text), Asked(tmp_path / "runs.csv", "acc", ("method",), "seed"))
    assert [list(run.metrics["acc"].steps) for run in found] == [[2], [2]]


def test_not_a_number_is_kept_and_an_empty_cell_is_nothing(tmp_path):
    found = runs(written(tmp_path, "method,seed,acc\na,0,nan\na,1,\na,2,inf\nb,0,0.5\n"))
    assert math.isnan(found[0].metrics["acc"].values[0])
    assert "acc" not in found[1].metrics
    assert math.isinf(found[2].metrics["acc"].values[0])


def test_how_runs_ended_is_read(tmp_path):
    text = "method,seed,acc,status,error\na,0,0.5,finished,\na,1,0.1,FAILED,out of memory\nb,0,0.5,running,\nb,1,0.6,done,\n"
    assert [(run.status, run.why) for run in runs(written(tmp_path, text))] == [
        ("done", ""),
        ("failed", "out of memory"),
        ("running", ""),
        ("done", ""),
    ]


BAD = {
    "a name twice": ("acc,seed,acc\n1,2,3\n", "the name 'acc' is there 2 times, as column 1 and 3. Rename or remove one"),
    "no name": ("acc,,seed\n1,2,3\n", "column 2 has no name"),
    "empty": ("", "the first line is empty"),
    "names alone": ("acc,seed\n", "there is no row below the names of the columns"),
    "a cell too many": ("acc,seed\n1,2\n1,2,3\n", "line 3 has 3 cells, and the first line names 2 columns"),
    "an open quote": ('acc,seed\n1,"2\n', "line 2: unexpected end of data"),
    "text among numbers": (
        "method,seed,acc\na,0,0.5\nb,0,0.9%\nb,1,oops\n",
        "'acc' has text where numbers are expected: '0.9%' (line 3), 'oops' (line 4). Write a number with a point",
    ),
    "a comma for a point": ("method;seed;acc\na;0;0,5\nb;0;0,6\n", "'acc' has text where numbers are expected: '0,5' (line 2)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_is_refused_with_its_place(name, tmp_path):
    text, words = BAD[name]
    with pytest.raises(UsageError) as caught:
        runs(written(tmp_path, text))
    assert words in str(caught.value)


def test_a_step_that_is_there_twice_is_refused_with_what_differs(tmp_path):
    text = LONG + "a,0,3,0.5\n"
    with pytest.raises(UsageError, match="line 10 and line 14 both are epoch 3 of one run"):
        ablate.judge(written(tmp_path, text), metric="acc")
    lines = text.splitlines()
    more = "\n".join([f"{lines[0]},batch", *(f"{line},{64 if i < 13 else 128}" for i, line in enumerate(lines[1:], 1))])
    with pytest.raises(UsageError, match="They differ in batch: name it with --factor, --block or --seed"):
        ablate.judge(written(tmp_path, more), metric="acc", factors=["method"])


def test_a_step_is_a_whole_number(tmp_path):
    text = LONG.replace("a,0,2,", "a,0,2.5,")
    with pytest.raises(UsageError, match=r"line 6 has 2\.5 as epoch, and a step is a whole number"):
        ablate.judge(written(tmp_path, text), metric="acc")


def test_megabytes_in_one_line_are_read_or_refused(tmp_path):
    wide = written(tmp_path, ",".join(f"c{i}" for i in range(1_500_000)) + "\n")
    with pytest.raises(UsageError, match="has 1,500,000 columns, and a table has at most 10,000"):
        runs(wide)
    long = written(tmp_path, f'method,seed,acc,note\na,0,0.5,"{"x" * 10_000_000}"\nb,0,0.6,y\n')
    assert len(ablate.judge(long, metric="acc", factors=["method"], ignore=["note"]).cells) == 2


def test_what_is_not_utf_8_is_told_with_its_line(tmp_path):
    (tmp_path / "runs.csv").write_bytes(b"method,seed,acc\na,0,0.5\n\xff\xfe,0,0.6\n")
    with pytest.raises(UsageError, match="line 3 is not UTF-8"):
        runs(tmp_path / "runs.csv")


def test_columns_that_are_named_must_be_there(tmp_path):
    with pytest.raises(UsageError, match="there is no column 'stpe'. Did you mean 'step'"):
        runs(written(tmp_path, "step,acc\n1,2\n"), step="stpe")


def test_json_that_is_none_is_told(tmp_path):
    with pytest.raises(UsageError, match="line 2 is not JSON"):
        runs(written(tmp_path, '{"acc": 1}\n{"acc": \n', "runs.jsonl"))
    with pytest.raises(UsageError, match="line 2 is not an object"):
        runs(written(tmp_path, '{"acc": 1}\n[1]\n', "runs.jsonl"))


def test_half_a_character_of_json_stays_readable(tmp_path):
    lines = [{"method": name, "seed": seed, "acc": 0.5 + seed / 9} for name in ("a", "b\ud800") for seed in range(2)]
    study = ablate.judge(written(tmp_path, "\n".join(map(json.dumps, lines)), "runs.jsonl"), metric="acc")
    assert [variant.name for variant in study.variants] == ["a", "b\\ud800"]


def test_a_frame_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="a table is a path or a pandas frame, and this is a list"):
        ablate.judge([1, 2], metric="acc")
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(UsageError, match="the frame has the column 'a' 2 times"):
        ablate.judge(twice, metric="a")
