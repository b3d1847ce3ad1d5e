"""The conclusion in a sentence."""

from ablate.stats.analysis import analyse
from ablate.study import Stopping

BASE = [0.90, 0.91, 0.90, 0.89, 0.90, 0.91]
NEAR = [0.91, 0.90, 0.90, 0.90, 0.89, 0.91]


def shifted(by, values=NEAR):
    return [value + by for value in values]


def answer(study):
    return analyse(study).answer


def test_the_best_variant_with_its_interval_and_what_became_of_the_others(make_study):
    values = {
        "base": BASE,
        "good": shifted(0.04),
        "best": shifted(0.08),
        "bad": shifted(-0.05),
        "same": [*NEAR, *NEAR],
        "unclear": shifted(0.008),
    }
    found = answer(make_study(values, margin=0.012))
    assert found.startswith("best is best and better than base: accuracy differs by +0.0800 (95 %, all together: +0.0")
    assert (
        "; of 5 comparisons, 2 are better, 1 is worse, 1 makes no meaningful difference and 1 is undecided; "
        "to decide it may take " in found
    )
    assert found.endswith(" seeds, in a new study.")


def test_one_comparison(make_study):
    assert answer(make_study({"base": BASE, "new": shifted(0.05)})).startswith(
        "new is better than base: accuracy differs by +0.05"
    )
    assert answer(make_study({"base": BASE, "new": shifted(-0.05)})).startswith(
        "new is worse than base: accuracy differs by -0.05"
    )
    found = answer(make_study({"base": BASE, "new": NEAR}, margin=0.05))
    assert found.startswith("new makes no meaningful difference to base: accuracy differs by +0.000")
    assert found.endswith("with ± 0.05 of no importance.")


def test_nothing_can_be_concluded(make_study):
    found = answer(make_study({"base": BASE, "a": shifted(0.004), "b": shifted(-0.004)}))
    assert found.startswith("Nothing can be concluded: all 2 comparisons with base are undecided; to decide them may take ")
    assert found.endswith(" seeds or more, or never, in a new study.")
    found = answer(make_study({"base": BASE, "a": shifted(0.004)}))
    assert found.startswith("Nothing can be concluded: a against base is undecided, accuracy differs by +0.00")


def test_nothing_is_better(make_study):
    found = answer(make_study({"base": BASE, "a": shifted(-0.05), "b": shifted(0.001)}))
    assert found.startswith(
        "No variant is shown to be better than base; of 2 comparisons, 1 is worse and 1 is undecided; to decide it may take "
    )


def test_one_seed_and_no_values(make_study):
    assert "at least 3 seeds" in answer(make_study({"base": [0.9], "a": [0.95]}))
    assert answer(make_study({"base": [None], "a": [0.9]})) == "Nothing can be concluded: no variant can be compared with base."


def test_without_noise_there_is_no_interval(make_study):
    found = answer(make_study({"base": [0.9] * 6, "a": [0.95] * 6}))
    assert found == "a is better than base: accuracy differs by +0.05 (no interval)."
    found = answer(make_study({"base": [0.9] * 3, "a": [0.95] * 3}))
    assert found.endswith("(no interval); nobody can tell how many seeds would decide it.")


def test_before_the_first_look(make_study):
    found = answer(make_study({"base": BASE, "a": shifted(0.05)}, Stopping(8, 20)))
    assert found.startswith("Nothing can be concluded: a against base is undecided, accuracy differs by +0.05 (no interval)")


def test_the_parts_of_an_analysis(make_study):
    found = analyse(make_study({"base": BASE, "a": shifted(0.05)}, Stopping(3, 20)))
    assert [effect.variant for effect in found.effects] == ["a"]
    assert found.factorial is None
    assert found.attribution is None


def test_runs_without_a_value_are_in_the_sentence(make_study):
    found = answer(make_study({"base": BASE, "big": [None, float("nan"), *shifted(0.08)[:4]], "other": shifted(0.001)}))
    assert "; big: 1 of 6 runs without a value, 1 of 6 runs failed; where they train, big is better" in found
    found = answer(make_study({"base": [None, *BASE], "new": shifted(0.05)}))
    assert found.startswith("new is better than base: ")
    assert found.endswith("; base: 1 of 7 runs failed.")


def test_what_ranks_decide_is_in_the_sentence(make_study):
    gone = [float("nan")] * 6
    found = answer(make_study({"base": gone, "new": BASE}, failed="worst"))
    assert found == (
        "new is better than base: by ranks, as no run of one side has a value of accuracy; base: 6 of 6 runs without a value."
    )
    found = answer(make_study({"base": gone, "a": BASE, "b": NEAR}, failed="worst"))
    assert found.startswith(
        "a is better than base: by ranks, as no run of one side has a value of accuracy; of 2 comparisons, 2 are"
    )
    found = answer(make_study({"base": BASE, "big": gone}, failed="worst"))
    assert found.startswith("big is worse than base: by ranks, as no run of one side has a value of accuracy; big: 6 of 6 runs")
    found = answer(make_study({"base": BASE, "big": [*gone[:5], 0.95]}, failed="worst"))
    assert found.startswith("big is worse than base: by ranks; where both train, accuracy differs by +0.04")
