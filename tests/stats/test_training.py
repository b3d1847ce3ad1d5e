"""Which trainings are to be looked at, though they have a value."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablate.stats.training import notes
from tests.report.studies import make_study


def study_of(metric=None, loss=(2.0, 1.5, 1.0, 0.8, 0.6), seeds=2, **columns):
    """One variant with these curves, the same for every seed."""
    made = make_study(("base",), seeds=seeds, epochs=len(loss))
    own = {"train_loss": loss, "accuracy": metric or np.linspace(0.5, 0.9, len(loss)), **columns}
    return replace(made, epochs=made.epochs.assign(**{name: list(values) * seeds for name, values in own.items()}))


def test_a_training_that_gets_better_says_nothing():
    assert notes(study_of()) == ()


def test_a_last_epoch_far_below_the_best_is_told_with_both():
    (note,) = notes(study_of([0.5, 0.7, 0.9, 0.88, 0.4]))
    assert note == "base: accuracy is 0.4 at the last of 5 evaluated epochs, and was 0.9 at number 3."


@pytest.mark.parametrize("curve", [[0.9, 0.3], [0.5, 0.9, 0.3], [0.5, 0.7, 0.8, 0.85, 0.9, 0.1]])
def test_a_collapse_is_told_however_short_the_training(curve):
    loss = [2.0 / (i + 1) for i in range(len(curve))]
    (note,) = notes(study_of(curve, loss))
    assert f"was {max(curve):g} at number {curve.index(max(curve)) + 1}" in note


def test_which_way_is_better_counts():
    curve = [0.5, 0.7, 0.9, 0.95, 0.4]
    study = study_of(curve)
    assert notes(replace(study, compare=replace(study.compare, goal="minimize"))) == ()


@pytest.mark.parametrize("curve", [[0.5, 0.7, 0.9, 0.88, 0.87], [0.10, 0.12, 0.09, 0.11, 0.10], [0.1, 0.12, 0.1]])
def test_noise_and_a_little_less_are_no_news(curve):
    assert notes(study_of(curve, [2.0 / (i + 1) for i in range(len(curve))])) == ()


def test_a_selected_epoch_is_not_the_last_one():
    marks = [None, None, True, None, None]
    assert notes(study_of([0.5, 0.7, 0.9, 0.88, 0.4], selected=marks)) == ()


@pytest.mark.parametrize(
    ("loss", "note"),
    [
        ([2.3, 2.31, 2.3, 2.3, 2.3], "the training loss stays at its start value: 2.3 in the first epoch, 2.3 in the last"),
        ([2.3, 2.4, 2.6, 2.9, 3.1], "the training loss rose from 2.3 in the first epoch to 3.1 in the last"),
    ],
)
def test_a_loss_that_does_not_fall_is_told(loss, note):
    assert notes(study_of(loss=loss)) == (f"base: {note}.",)


def test_guesses_are_told_with_what_the_engine_said():
    marks = [None] * 4 + ["0.1 of 100 images are right"]
    study = study_of(at_chance=marks)
    assert notes(study) == ("base: no better than guesses at the last epoch of 2 of 2 seeds (0.1 of 100 images are right).",)
    study.epochs.loc[study.epochs["seed"] == 1, "at_chance"] = None
    assert "1 of 2 seeds" in notes(study)[0]


def test_a_study_without_epochs_has_no_notes():
    made = make_study()
    assert notes(replace(made, epochs=pd.DataFrame(columns=made.epochs.columns))) == ()


def test_what_is_true_of_several_variants_is_said_once():
    made = make_study(("a", "b", "c"), seeds=1, epochs=3)
    still = "the training loss stays at its start value: 2.3 in the first epoch, 2.3 in the last"
    losses = [2.3, 2.3, 2.3, 2.0, 1.0, 0.5, 2.3, 2.3, 2.3]
    assert notes(replace(made, epochs=made.epochs.assign(train_loss=losses))) == (f"a, c: {still}.",)


def test_a_training_that_its_step_ended_says_after_how_many_epochs():
    """And nothing is said of a curve whose end is the mean over some of the seeds only."""
    study = study_of([0.5, 0.7, 0.9, 0.88, 0.4], stopped=[None] * 5)
    ended = study.epochs[(study.epochs["seed"] == 0) | (study.epochs["epoch"] <= 3)].copy()
    ended.loc[(ended["seed"] == 1) & (ended["epoch"] == 3), "stopped"] = "the step ended it 2 epochs before the last"
    assert notes(replace(study, epochs=ended)) == ("base: its step ended the training after 3 epochs, with 1 of 2 seeds.",)
