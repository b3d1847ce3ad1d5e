"""What `ablate power` says, from a pilot and without one."""

import pytest

import ablate
from ablate.errors import AblateError, UsageError
from ablate.planning import MULTIPLES, SEEDS, power
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


def test_a_stored_study_is_the_pilot(spec, write, tmp_path):
    study = ablate.run(spec | {"seeds": 3}, store=tmp_path, device="cpu")
    found = of("tiny", tmp_path)
    assert found.noise == noise(study) == of(write(spec), tmp_path).noise
    assert [n.difference for n in found.needed] == [found.noise.sd * multiple for multiple in MULTIPLES]
    wide = of(write(spec), tmp_path, overrides=['factors.lr={"low": {"optimizer": {"lr": 0.01}}}'])
    assert wide.comparisons == 2
    assert wide.detectable[0].difference > found.detectable[0].difference


def test_what_cannot_be_said_is_told(spec, write, tmp_path):
    with pytest.raises(AblateError, match="there is no store"):
        of(write(spec), tmp_path / "nowhere")
    with pytest.raises(UsageError, match="a standard deviation is above 0"):
        of(write(spec), tmp_path, sd=0.0)
    with pytest.raises(UsageError, match="--difference 0"):
        of(write(spec), tmp_path, sd=0.1, differences=[0.0])
    ablate.run(spec | {"seeds": 1}, store=tmp_path, device="cpu")
    with pytest.raises(UsageError, match="Run some of it as a pilot, or give --sd"):
        of("tiny", tmp_path)
