"""Storages as Optuna writes them."""

import optuna as library
import pytest
from ablate_optuna_trials import optuna, recognises
from optuna.storages.journal import JournalFileBackend

import ablate
from ablate.errors import EnvironmentProblem, UsageError
from ablate.judging.runs import Asked
from ablate.testing import SourceContract


def objective(trial):
    optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam"])
    seed = trial.suggest_categorical("seed", [0, 1])
    trial.report(0.3, 1)
    trial.report(0.4, 2)
    return 0.5 + (optimizer == "adam") / 10 + seed / 100


def grid(storage, name="grid", trial=objective, count=4):
    sampler = library.samplers.GridSampler({"optimizer": ["sgd", "adam"], "seed": [0, 1]})
    study = library.create_study(storage=storage, study_name=name, direction="maximize", sampler=sampler)
    study.optimize(trial, n_trials=count)
    return study


def in_sqlite(folder):
    grid(f"sqlite:///{folder / 'o.db'}")
    return folder / "o.db"


def in_a_journal(folder):
    grid(library.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log"))))
    return folder / "journal.log"


class TestSqlite(SourceContract):
    component = {"use": "optuna"}
    metric = "value"
    write = staticmethod(in_sqlite)


class TestJournal(SourceContract):
    component = {"use": "optuna"}
    metric = "value"
    write = staticmethod(in_a_journal)


def test_the_direction_is_the_studys(tmp_path):
    study = ablate.judge(in_sqlite(tmp_path), metric="value", reference="sgd")
    assert study.compare.goal == "maximize"
    assert study.effects()["difference"].tolist() == pytest.approx([0.1])


def test_what_was_reported_on_the_way_is_a_curve(tmp_path):
    run = optuna(Asked(in_sqlite(tmp_path))).runs[0]
    assert (list(run.metrics["intermediate"].steps), list(run.metrics["intermediate"].values)) == ([1, 2], [0.3, 0.4])
    assert recognises(f"sqlite:///{tmp_path / 'o.db'}")


def test_pruned_and_failed_trials_do_not_count(tmp_path):
    def trial(trial):
        trial.suggest_categorical("optimizer", ["sgd", "adam"])
        trial.set_user_attr("seed", trial.number)
        if trial.number == 0:
            raise library.TrialPruned
        if trial.number == 1:
            raise ValueError("boom")
        return 0.5

    study = library.create_study(storage=f"sqlite:///{tmp_path / 'o.db'}", study_name="s", direction="minimize")
    study.optimize(trial, n_trials=3, catch=(ValueError,))
    runs = optuna(Asked(tmp_path / "o.db")).runs
    assert [(run.status, run.why, run.settings["seed"]) for run in runs] == [
        ("failed", "it was pruned", 0),
        ("failed", "it failed", 1),
        ("done", "", 2),
    ]


def test_several_studies_are_asked_about(tmp_path):
    for name in ("one", "two"):
        grid(f"sqlite:///{tmp_path / 'o.db'}", name)
    with pytest.raises(UsageError, match="has 2 studies: one, two. Choose one with --source"):
        optuna(Asked(tmp_path / "o.db"))
    with pytest.raises(UsageError, match="has no study 'tow'. Did you mean 'two'"):
        optuna(Asked(tmp_path / "o.db"), study="tow")
    assert len(optuna(Asked(tmp_path / "o.db"), study="two").runs) == 4


def test_metrics_of_several_objectives_have_their_names(tmp_path):
    study = library.create_study(storage=f"sqlite:///{tmp_path / 'o.db'}", directions=["maximize", "minimize"])
    study.set_metric_names(["acc", "cost"])
    study.optimize(lambda trial: (0.9, 3.0), n_trials=1)
    found = optuna(Asked(tmp_path / "o.db"))
    assert found.goals == {"acc": "maximize", "cost": "minimize"}
    assert list(found.runs[0].metrics["cost"].values) == [3.0]


def test_damage_is_told(tmp_path):
    (tmp_path / "o.db").write_bytes(b"SQLite format 3\0" + b"\0" * 200)
    assert not recognises(tmp_path / "o.db")
    with pytest.raises(EnvironmentProblem, match="cannot be read as a storage of Optuna"):
        optuna(Asked(tmp_path / "o.db"))
