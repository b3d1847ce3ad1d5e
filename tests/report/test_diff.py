"""Two cells, or two studies, side by side."""

import io

import pytest
from rich.console import Console

from ablate.contracts import Cell, Result
from ablate.errors import UsageError
from ablate.report.diff import diff_view, difference
from ablate.store import Store
from ablate.study import Compare, VariantInfo

SPEC = {"name": "one", "base": {"model": {"use": "net"}, "optimizer": {"use": "sgd", "lr": 0.1}}, "seeds": 2}


def fill(store, name, spec, lr, accuracies, versions, metric="accuracy"):
    record = {
        "question": "",
        "compare": vars(Compare(metric, "last", "base")),
        "variants": [vars(VariantInfo("base", {}, ()))],
        "metrics": [metric],
        "published": {},
    }
    keys = [f"{name[0] * 60}{seed:04d}" for seed in range(len(accuracies))]
    store.save_study(name, spec, record, [("base", seed, key) for seed, key in enumerate(keys)])
    for seed, (key, accuracy) in enumerate(zip(keys, accuracies, strict=True)):
        recipe = {"model": {"use": "net"}, "optimizer": {"use": "sgd", "lr": lr}}
        identity = {"data": "d", "packages": {"torch": versions}}
        store.claim(Cell(key, recipe, seed, "cpu", identity), {"python": "3.11", "packages": {"torch": versions}})
        if accuracy is None:
            store.fail(key, "failed", "RuntimeError", None)
        else:
            store.finish(key, Result([], {metric: accuracy}, "w" * 64, 2.0, 7))


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path) as opened:
        fill(opened, "apple", SPEC, 0.1, [0.5, 0.75], "2.10")
        changed = {**SPEC, "seeds": 1, "base": {**SPEC["base"], "optimizer": {"use": "sgd", "lr": 0.2}}}
        fill(opened, "berry", changed, 0.2, [0.875, None], "2.11")
        fill(opened, "cherry", SPEC, 0.2, [0.1], "2.11", metric="loss")
        yield opened


def test_cells_differ_in_recipe_environment_and_results(store):
    found = difference(store, "aaaa" + "a" * 56 + "0000", "b" * 60 + "0001")
    assert found.kind == "cells"
    assert found.recipe == ("seed: 0 → 1", "optimizer.lr: 0.1 → 0.2")
    assert found.environment == ("identity.packages.torch: 2.10 → 2.11", "machine.packages.torch: 2.10 → 2.11")
    results = {row["name"]: row for row in found.results}
    assert results["accuracy"] == {"name": "accuracy", "one": 0.5, "other": None, "difference": None}
    assert (results["status"]["one"], results["status"]["other"]) == ("done", "failed")


def test_the_start_of_a_key_is_enough_where_one_cell_has_it(store):
    store.claim(Cell("d0ffee" + "0" * 58, {}, 0, "cpu", {}), {})
    assert difference(store, "d0f", "a" * 60 + "0001").one == "d0ffee" + "0" * 58


def test_studies_differ_in_spec_environment_and_results(store):
    found = difference(store, "apple", "berry")
    assert found.kind == "studies"
    assert found.recipe == ("base.optimizer.lr: 0.1 → 0.2", "seeds: 2 → 1")
    assert found.environment == ("packages.torch: 2.10 → 2.11",)
    (row,) = found.results
    assert {name: row[name] for name in ("one", "other", "difference", "one_n", "other_n", "other_sd")} == {
        "one": 0.625,
        "other": 0.875,
        "difference": 0.25,
        "one_n": 2,
        "other_n": 1,
        "other_sd": None,
    }


def test_different_metrics_have_no_difference(store):
    (row,) = difference(store, "apple", "cherry").results
    assert row["difference"] is None
    assert row["other"] == 0.1


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("appel", "berry", "Did you mean 'apple'"),
        ("zz", "berry", "has no study or cell 'zz'"),
        ("", "berry", "has no study or cell ''"),
        ("%", "berry", "has no study or cell '%'"),
        ("aaa", "b" * 60 + "0000", "several cells begin with 'aaa'"),
        ("apple", "a" * 60 + "0001", "is a study and 'a"),
    ],
)
def test_what_is_not_there_is_said(store, one, other, message):
    with pytest.raises(UsageError) as error:
        difference(store, one, other)
    assert message in str(error.value)


@pytest.mark.parametrize("width", [40, 160])
def test_a_window_shows_all_of_it(store, width):
    console = Console(width=width, file=io.StringIO())
    console.print(diff_view(difference(store, "apple", "berry"), width))
    console.print(diff_view(difference(store, "a" * 60 + "0000", "a" * 60 + "0001"), width))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    numbers = ("0.6250 ± 0.1768 (n 2)", "0.8750 (n 1)", "+0.2500")
    for words in ("optimizer.lr: 0.1 → 0.2", "environment: the same", "seed: 0 → 1", *numbers):
        assert words in flat
