"""Cells of other versions: told, taken where the user says so, and never without a word."""

import json

import pytest
from typer.testing import CliRunner

from ablate.cli import app
from ablate.errors import UsageError
from ablate.report.content import page
from ablate.report.data import record
from ablate.runner.driver import run_study
from ablate.runner.job import Options, prepare
from ablate.runner.reusing import stored_otherwise, with_reused
from ablate.store import Store
from ablate.trainers import image_classification
from tests.conftest import SPEC
from tests.store.filled import fill


@pytest.fixture
def versions(monkeypatch):
    """Says that other versions are installed."""
    real = image_classification.version_of

    def installed(**others):
        monkeypatch.setattr(image_classification, "version_of", lambda name: others.get(name) or real(name))

    return installed


@pytest.fixture
def store(tmp_path, versions):
    """The first three of four cells, of which one was trained with two other packages; then nothing is installed but torch 3."""
    with Store(tmp_path) as store:
        versions(torch="1.0", numpy="1.0")
        fill(store, accuracies=(0.5,))
        versions(torch="2.0")
        fill(store, accuracies=(0.25, 0.6, 0.7))
        versions(torch="3.0")
        yield store


def job_of(store, spec=SPEC, **options):
    return prepare(spec, (), Options(store.directory, store.directory, device="cpu", **options))


def test_cells_under_other_versions_are_counted_with_what_is_most_like_the_present(store):
    assert stored_otherwise(job_of(store), store) == [(3, {"torch": ("2.0", "3.0")})]


def test_what_is_another_cell_in_anything_else_is_not_counted(store):
    other = SPEC | {"base": SPEC["base"] | {"epochs": 3}}
    assert stored_otherwise(job_of(store, other), store) == []
    assert stored_otherwise(job_of(store, SPEC | {"seeds": [7]}), store) == []
    with store.access.transaction() as db:
        db.execute("UPDATE cells SET identity = json_set(identity, '$.engine', 1)")
    assert stored_otherwise(job_of(store), store) == []


def test_a_stored_cell_that_lies_about_its_versions_is_not_taken(store):
    with store.access.transaction() as db:
        db.execute("UPDATE cells SET identity = json_set(identity, '$.packages.torch', '2.5')")
    assert stored_otherwise(job_of(store), store) == []


def test_reused_cells_stand_in_the_place_of_the_planned_ones(store):
    job = job_of(store)
    taken = with_reused(job, store, ["torch"])
    assert [planned.cell.identity["packages"]["torch"] for planned in taken.cells] == ["2.0", "2.0", "2.0", "3.0"]
    assert [planned.variant for planned in taken.cells] == [planned.variant for planned in job.cells]
    assert len(store.stored([key for *_, key in taken.members()])) == 3
    (told,) = taken.reused
    assert told.startswith("versions: 3 of 4 cells were trained with torch 2.0 (3.0 now) and taken by --reuse: base (2), ")
    assert told.endswith("What differs between variants may be a difference of versions.")
    assert with_reused(job, store, ["numpy"]).members() == job.members()
    assert with_reused(job, store, []) is job


def test_a_package_that_no_cell_has_and_a_tuned_study_are_refused(store):
    with pytest.raises(UsageError, match=r"--reuse tourch: no cell .* Did you mean 'torch'"):
        with_reused(job_of(store), store, ["tourch"])
    base = SPEC["base"] | {"dataset": SPEC["base"]["dataset"] | {"validation": 0.25}}
    tuned = SPEC | {"base": base, "tune": {"space": {"optimizer.lr": {"low": 0.01, "high": 0.1}}, "trials": 2}}
    with pytest.raises(UsageError, match="settings are tuned by results"):
        with_reused(job_of(store, tuned), store, ["torch"])


def test_a_run_takes_them_and_the_report_says_so(store):
    spec = SPEC | {"seeds": 1, "name": "one"}
    options = Options(store.directory, store.directory, device="cpu", reuse=["torch"])
    study, _ = run_study(spec, (), options, {}, pytest.fail)
    assert study.cells["accuracy"].tolist() == [0.25, 0.6]
    (told,) = study.reused
    assert "2 of 2 cells were trained with torch 2.0 (3.0 now)" in told
    assert "difference of versions" not in told, "all are of one"
    made = page(study)
    assert record(made)["reused"] == [told]
    assert any(told in note for section in made.sections for note in section.notes)
    assert store.study("one").reused == (told,)


def test_the_check_says_which_versions_and_what_to_do(store, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    words = [str(path), "--store", str(store.directory), "--data-dir", str(tmp_path), "--device", "cpu"]
    done = CliRunner().invoke(app, ["check", *words], catch_exceptions=False)
    assert "4 cells (2 variants × 2 seeds), 0 stored, 4 to train" in done.stdout
    assert "3 cells to train are stored as trained with torch 2.0 (3.0 now): `ablate run SPEC --reuse torch` takes" in done.stderr
    told = json.loads(CliRunner().invoke(app, ["check", *words, "--json"], catch_exceptions=False).stdout)
    assert told["other_versions"] == [{"cells": 3, "versions": {"torch": ["2.0", "3.0"]}}]
    assert told["reused"] == []
    done = CliRunner().invoke(app, ["run", *words, "--dry-run", "--reuse", "torch"], catch_exceptions=False)
    assert "3 stored, 1 to train" in done.stdout
    assert "versions: 3 of 4 cells were trained with torch 2.0" in done.stderr
