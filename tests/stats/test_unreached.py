"""Variants whose change did not reach the run: all of their numbers are the reference's."""

from dataclasses import replace

import pandas as pd
import pytest

from ablate.stats.analysis import analyse
from ablate.stats.runs import unreached

NOT_FINITE = "the logits of 200 of 200 evaluated images are not finite"


@pytest.fixture
def ran(make_study):
    """Makes a study of one epoch a cell; None is a run that diverged. The weights are named after the value."""

    def make(values, weights=True, **compare):
        study = make_study(
            {variant: [float("nan") if v is None else v for v in own] for variant, own in values.items()}, **compare
        )
        cells = study.cells.assign(weights_sha256=study.cells["accuracy"].map(str) if weights else None)
        epochs = cells[["variant", "seed", "accuracy"]].assign(epoch=1, train_loss=1.0, diverged=None)
        epochs["diverged"] = epochs["diverged"].astype(object).mask(epochs["accuracy"].isna(), NOT_FINITE)
        return replace(study, cells=cells, epochs=pd.DataFrame(epochs))

    return make


def test_the_same_numbers_and_weights_are_no_change(ran):
    study = ran({"base": [0.8, 0.9, 0.7], "same": [0.8, 0.9, 0.7], "new": [0.8, 0.9, 0.71]})
    assert unreached(study) == {"same": "same weights"}
    assert [effect.verdict for effect in analyse(study).effects] == ["no change", "undecided"]
    assert unreached(ran({"base": [0.8, 0.9], "same": [0.8, 0.9]}, weights=False)) == {"same": "same numbers"}


def test_one_seed_is_enough_to_see_it_and_more_are_not_asked_for(ran):
    assert analyse(ran({"base": [0.8], "same": [0.8]})).answer == (
        "same is no change of base: the weights and all numbers of each run are the reference's, so the change did not reach it."
    )
    found = analyse(ran({"base": [0.8], "same": [0.8], "new": [0.9]})).answer
    assert found.startswith(
        "Nothing can be concluded: one seed tells no difference from noise, so run at least 3 seeds a variant; same: "
    )


def test_runs_that_diverged_alike_are_no_sign_of_it(ran):
    study = ran({"base": [None, None, None], "new": [None, None, None]})
    assert unreached(study) == {}
    assert analyse(study).answer == "Nothing can be concluded: no variant can be compared with base."
    assert unreached(ran({"base": [0.8, None], "same": [0.8, None], "new": [0.9, None]})) == {"same": "same weights"}


def test_names_are_told_as_they_are_written(ran):
    study = ran({"a=off,b=off": [0.8, 0.9], "a=on,b=off": [0.8, 0.9], "a=off,b=on": [0.5, 0.6], "a=on,b=on": [0.5, 0.61]})
    levels = [dict(pair.split("=") for pair in variant.name.split(",")) for variant in study.variants]
    variants = tuple(replace(variant, levels=own) for variant, own in zip(study.variants, levels, strict=True))
    found = analyse(replace(study, variants=variants, design={"use": "ablate-core:factorial"})).answer
    assert "; a=on,b=off: the weights and all numbers of each run are the reference's" in found
