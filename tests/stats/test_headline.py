"""The conclusion of studies whose design asks for more than comparisons."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from coverage_of_shares import factors_of, study_of

from ablate.components import designs
from ablate.contracts import Factor
from ablate.report.content import page
from ablate.stats.analysis import analyse

VERDICTS = ("better together", "worse together", "better", "worse", "undecided", "no meaningful difference")


def made(values, use="factorial", sd=0.01, seeds=4, factors=None, **compare):
    """A study of two-level factors with these means, by level."""
    values = np.array(values, float)
    factors = factors or factors_of(*values.shape)
    rng = np.random.default_rng(0)
    place = lambda levels: tuple(int(levels[f.name] != f.base) for f in factors)  # noqa: E731
    value = lambda levels, seed: values[place(levels)] + rng.normal(scale=sd)  # noqa: E731
    return study_of(factors, getattr(designs, use)(factors), value, seeds, {"use": f"ablate-core:{use}"}, **compare)


def answer(*arguments, **others):
    return analyse(made(*arguments, **others)).answer


def test_main_effects_and_interactions_are_named_with_size_and_direction():
    found = answer([[0.5, 0.6], [0.8, 0.6]])
    assert re.match(r"All 3 main effects and interactions on accuracy are shown: a=a1 is better on average, by \+0\.1\d+", found)
    assert re.search(r"; a=a1 × b=b1 are worse together, by -0\.1\d* \(95 % interval -0\.1\d* to -0\.1\d*\)", found)
    assert "Nothing can be concluded" not in found


def test_a_level_that_is_worse_is_named_too():
    assert "a=a1 is worse on average, by +0.20" in answer([[0.5, 0.5], [0.7, 0.7]], goal="minimize")


def test_one_effect_and_those_that_are_undecided():
    found = answer([[0.5, 0.5], [0.7, 0.7]])
    assert found.startswith("1 of 3 main effects and interactions on accuracy is shown: a=a1 is better on average, by ")
    assert found.endswith("). 2 are undecided.")


def test_no_effect():
    assert answer(np.zeros((2, 2)), sd=0.1) == "None of 3 main effects and interactions on accuracy is shown: 3 are undecided."
    found = answer(np.zeros((2, 2)), sd=0.1, margin=1.0)
    assert found == "None of 3 main effects and interactions on accuracy is shown: 3 make no meaningful difference."


def test_many_effects_with_long_names_stay_readable():
    factors = [Factor(f"{letter * 100}", "off", ("on",)) for letter in "abcde"]
    values = sum(np.arange(1, 6)[i] * np.indices((2,) * 5)[i] for i in range(5))
    found = answer(values, factors=factors)
    assert "; and 2 more. 10 are undecided." in found
    assert found.index("e" * 79 + "…") < found.index("d" * 79 + "…")
    assert len(found) < 700


def test_aliases_are_named():
    values = np.zeros((2, 2, 2))
    values[1] = 1
    rng = np.random.default_rng(0)
    factors = factors_of(2, 2, 2)
    fraction = designs.screening(factors, resolution=3)
    value = lambda levels, seed: (levels["a"] == "a1") + rng.normal(scale=0.01)  # noqa: E731
    study = study_of(factors, fraction, value, 4, {"use": "ablate-core:screening"})
    assert "), unless it is b=b1 × c=c1" in analyse(study).answer


def test_a_three_way_interaction_is_said():
    values = np.zeros((2, 2, 2))
    values[1, 1, 1] = 1
    assert "They do not describe all differences between the variants (see lack of fit)." in answer(values)
    assert "lack of fit" not in answer(np.zeros((2, 2, 2)))


def test_one_seed():
    assert answer([[0, 1], [2, 3]], seeds=1) == (
        "Nothing can be concluded: there is no noise to judge the effects by; run at least 3 seeds a variant."
    )
    values = np.indices((2, 2, 2))[0]
    assert "what the terms leave was taken for noise" in answer(values, seeds=1)
    assert answer([[0, 1], [2, 3]], use="cumulative", seeds=1).startswith(
        "Nothing can be concluded: from a0,b0 to a1,b1 accuracy changes by +3"
    )


def test_seeds_that_agree():
    why = "the seeds of each variant agree, so run more."
    assert answer([[1, 1], [1, 1]], sd=0) == f"Nothing can be concluded: there is no noise to judge the effects by; {why}"
    assert math.isnan(analyse(made([[1, 1], [1, 1]], sd=0)).factorial.residual_sd)
    assert answer([[1, 1], [1, 1]], "cumulative", sd=0).endswith(f" accuracy changes by +0, with no noise to judge it by; {why}")


def test_shares():
    found = answer([[0.5, 0.6], [0.8, 0.9]], use="cumulative")
    assert found.startswith("From a0,b0 to a1,b1 accuracy changes by +0.40")
    assert re.search(r"beyond the noise, each by itself: a \+0\.[23]\d+ \(7\d %\); b \+0\.\d+ \(2\d %\)\.$", found)


def test_no_gain():
    assert answer(np.zeros((2, 2)), use="cumulative", sd=0.1).startswith(
        "No gain is shown: from a0,b0 to a1,b1 accuracy changes by "
    )


def test_a_share_that_the_full_recipe_contradicts():
    values = [[0.5, 0.9], [0.9, 0.8]]
    factors = factors_of(2, 2)
    study = replace(made(values), design={"use": "ablate-core:cumulative", "orders": 1, "seed": 0}, factors=tuple(factors))
    assert re.search(
        r"Yet the full recipe says otherwise: its accuracy changes by \+0\.\d+ without [ab]; by ", analyse(study).answer
    )


@pytest.mark.parametrize("use", ["leave_one_out", "one_at_a_time", "add_one_in"])
def test_other_designs_ask_for_comparisons(use):
    assert "than a" in answer([[0.5, 0.6], [0.8, 0.9]], use=use)


def words(text):
    """The verdicts that a text names; the longer ones first, since they contain others."""
    return set(re.findall("|".join(VERDICTS), text.replace("No variant is shown to be better than", "")))


@pytest.mark.parametrize("number", range(60))
def test_the_headline_never_contradicts_a_table(number):
    """Of random studies, every verdict that the headline names is in a table, beside the name that it is said of."""
    rng = np.random.default_rng(number)
    use = ["factorial", "screening", "cumulative", "leave_one_out", "one_at_a_time", "add_one_in"][number % 6]
    size = int(rng.integers(3, 5)) if use == "screening" else int(rng.integers(2, 4))
    factors = factors_of(*[2] * size)
    parameters = {"resolution": 3} if use == "screening" else {}
    table = rng.normal(scale=rng.choice([0, 0.1, 1]), size=[2] * size)
    means = lambda levels, seed: table[tuple(int(level[-1]) for level in levels.values())] + rng.normal(scale=0.2)  # noqa: E731
    study = study_of(
        factors,
        getattr(designs, use)(factors, **parameters),
        means,
        int(rng.integers(1, 6)),
        {"use": f"ablate-core:{use}"},
        goal=["maximize", "minimize"][number // 6 % 2],
        margin=[None, 0.3][number // 12 % 2],
    )
    cells = study.cells.assign(key="", error=None, seconds=1.0, parameters=1, weights_sha256="")
    epochs = pd.DataFrame(columns=["variant", "seed", "epoch", "train_loss", "images_per_second", "accuracy"])
    made = page(replace(study, cells=cells, epochs=epochs))
    rows = [row for section in made.sections for shown in section.tables for row in shown.rows]
    verdicts = {cell.partition(" (")[0] for row in rows for cell in row}
    told = made.analysis.answer
    assert words(told) <= verdicts
    for name, verdict in re.findall(r"([a-e]\d?[,=]\S+(?: × \S+)?) (?:is|are) ((?:better|worse)(?: together)?)", told):
        assert any(row[0] == name and row[1].partition(" (")[0] == verdict for row in rows), (told, name, verdict)
