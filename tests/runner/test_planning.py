"""What `ablate power` says, from a pilot and without one."""

import pytest

import ablate
from ablate.errors import AblateError, UsageError
from ablate.runner.power import MULTIPLES, SEEDS, follow_up, power
from ablate.stats.power import noise


def of(study, store, sd=None, seeds=(), differences=(), overrides=()):
    return power(str(study), overrides, store, sd, seeds, differences, 0.8)


def test_without_a_pilot_the_noise_is_given(spec, write, tmp_path):
    found = of(write(spec), tmp_path / "nowhere", sd=0.01)
    assert [d.n for d in found.detectable] == list(SEEDS)
    assert found.comparisons == 1
    differences = [d.difference for d in found.detectable]
    assert differences == sorted(differences, reverse=True)
    ten = next(d.difference for d in found.detectable if d.n == 10)
    assert ten == pytest.approx(0.01 * 1.3249, rel=1e-3), "Cohen's d of 80 % power at n = 10, two-sided 5 %"
    needed = of(write(spec), tmp_path, sd=0.01, differences=[ten * 1.001, -ten * 1.001]).needed
    assert [n.n for n in needed] == [10, 10]


def test_a_stored_study_is_the_pilot(spec, write, tmp_path, in_this_process):
    study = ablate.run(spec | {"seeds": 3}, store=tmp_path, device="cpu")
    found = of("tiny", tmp_path)
    assert found.noise == noise(study) == of(write(spec), tmp_path).noise
    assert [n.difference for n in found.needed] == [found.noise.sd * multiple for multiple in MULTIPLES]
    wide = of(write(spec), tmp_path, overrides=['factors.lr={"low": {"optimizer": {"lr": 0.01}}}'])
    assert wide.comparisons == 2
    assert wide.detectable[0].difference > found.detectable[0].difference


def test_what_cannot_be_said_is_told(spec, write, tmp_path, in_this_process):
    with pytest.raises(AblateError, match="there is no store"):
        of(write(spec), tmp_path / "nowhere")
    with pytest.raises(UsageError, match="a standard deviation is above 0"):
        of(write(spec), tmp_path, sd=0.0)
    with pytest.raises(UsageError, match="--difference 0"):
        of(write(spec), tmp_path, sd=0.1, differences=[0.0])
    ablate.run(spec | {"seeds": 1}, store=tmp_path, device="cpu")
    with pytest.raises(UsageError, match="Run some of it as a pilot, or give --sd"):
        of("tiny", tmp_path)


def test_a_follow_up_asks_anew_with_seeds_that_were_not_seen(spec, write, tmp_path, in_this_process):
    """What it writes is a spec that runs, with nothing changed but its name and its seeds."""
    factors = {"lr": {"near": {"optimizer": {"lr": 0.051}}, "far": {"optimizer": {"lr": 0.0001}}}}
    given = spec | {"factors": factors, "seeds": [0, 4, 2]}
    study = ablate.run(given, store=tmp_path, device="cpu")
    assert "undecided" in set(study.effects()["verdict"])
    with pytest.raises(
        UsageError, match="Give --difference, the smallest that would matter. Or give the spec a `compare.margin`"
    ):
        follow_up("tiny", (), tmp_path, (), 0.8)
    wanted = noise(study).high * 2
    found = follow_up("tiny", (), tmp_path, [wanted, -2 * wanted], 0.8)
    needed = power("tiny", (), tmp_path, None, (), [wanted], 0.8).needed[0].high
    seeds = found.document.pop("seeds")
    assert seeds == {"min": 3, "max": pytest.approx(1.15 * needed, abs=1), "stop": "decided", "first": 5}
    assert found.document.pop("name") == "tiny-follow-up"
    assert found.document == {key: value for key, value in given.items() if key not in ("name", "seeds")}
    short = found.document | {"name": "again", "seeds": seeds | {"max": 3}}
    again = ablate.run(short, store=tmp_path, device="cpu")
    assert sorted(set(again.cells["seed"])) == [5, 6, 7]
    with pytest.raises(UsageError, match="more than 1,000 seeds"):
        follow_up(str(write(given)), (), tmp_path, [1e-9], 0.8)


def test_a_margin_says_how_many_seeds_a_follow_up_has(spec, tmp_path, in_this_process):
    near = spec | {"factors": {"lr": {"near": {"optimizer": {"lr": 0.051}}}}, "seeds": 3, "compare": {"margin": 0.2}}
    (effect,) = ablate.run(near, store=tmp_path, device="cpu").analysis().effects
    if effect.verdict == "undecided":
        seeds = follow_up("tiny", (), tmp_path, (), 0.8).document["seeds"]
        assert effect.seeds_most <= seeds["max"] <= 1.15 * effect.seeds_most + 1
    else:
        with pytest.raises(UsageError, match="every comparison is decided"):
            follow_up("tiny", (), tmp_path, (), 0.8)
