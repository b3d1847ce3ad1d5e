"""How long a study takes, as finished cells and what was measured tell."""

import pytest

from ablate.contracts import Estimate, Result
from ablate.runner import estimating, provenance
from ablate.runner.estimating import estimate
from ablate.runner.job import Options, as_known, prepare
from ablate.spec.trainer import Pace
from ablate.store import Store


@pytest.fixture
def options(tmp_path):
    return Options(tmp_path / "store", tmp_path / "data", jobs=2, device="cpu")


@pytest.fixture
def measured(monkeypatch):
    """In place of the measuring: a pace for each recipe that is asked for, by whether it has batch norm."""
    asked = []

    def measure(job, cells, jobs, slots):
        recipes = {estimating.recipe_text(cell): cell.recipe for cell in cells}
        asked.append(len(recipes))
        paces = {}
        for text, recipe in recipes.items():
            seconds = 20.0 if recipe["model"]["batch_norm"] else 10.0
            paces[text] = [Pace(seconds, 0.8 * seconds, 1.5 * seconds, 3.0, 5.0, "100 batches")]
        return estimating.Measurement(paces, {}, 4.0)

    monkeypatch.setattr(estimating, "measured", measure)
    return asked


def job_of(spec, options):
    return as_known(prepare(spec, (), options), None)


def finish(store, cell, seconds, place):
    store.claim(cell, place)
    result = Result([{"epoch": 1, "accuracy": 0.5, "loss": 1.0}], {"accuracy": 0.5, "loss": 1.0}, "0", seconds, 1)
    store.finish(cell.key, result)


def here(job):
    return provenance.collect("cpu", "ablate-core:local", own_results=False)


def test_what_was_measured_is_spread_over_the_cells(spec, options, measured):
    """Two seeds of 10 and 20 s, two at once, in the order of the plan: 10 and 20 begin, and 10 and 20 follow."""
    found = estimate(job_of(spec, options), options, None)
    assert (found.cells, found.jobs) == (4, 2)
    assert found.seconds == pytest.approx(4 + 3 + 40)
    assert found.low == pytest.approx(4 + 3 + 0.8 * 40)
    assert found.high == pytest.approx(4 + 3 + 1.5 * 40)
    assert found.sources == ("2 recipes trained for a few seconds each, 2 at once, such as 'base' for 100 batches",)
    assert not found.unknown


def test_finished_cells_of_a_recipe_tell_it_and_it_is_not_measured(spec, options, measured):
    job = job_of(spec | {"seeds": 4}, options)
    with Store(options.store) as store:
        for cell, seconds in zip([p.cell for p in job.cells if p.variant == "base"][:2], (30.0, 50.0), strict=True):
            finish(store, cell, seconds, here(job))
        found = estimate(job, options, store)
    assert measured == [1]
    assert found.cells == 6
    assert found.seconds == pytest.approx(7 + 80)  # two of 40 s and four of 20 s: 20+20+40 beside 20+40, then 20
    assert found.sources[0] == "finished cells of variant 'base' on such a machine"


def test_cells_of_another_machine_tell_nothing(spec, options, measured):
    job = job_of(spec, options)
    with Store(options.store) as store:
        finish(store, job.cells[0].cell, 3000.0, {**here(job), "cpu": "another"})
        found = estimate(job, options, store)
    assert measured == [2]
    assert found.seconds < 100


def test_nothing_is_measured_where_nothing_is_left(spec, options, measured):
    job = job_of(spec, options)
    with Store(options.store) as store:
        for planned in job.cells:
            finish(store, planned.cell, 1.0, here(job))
        assert estimate(job, options, store) == Estimate(0, 0, 0.0, 0.0, 0.0)
    assert measured == []


def test_seeds_that_may_be_added_make_a_range(spec, options, measured):
    job = job_of(spec | {"seeds": {"min": 2, "max": 6, "stop": "decided"}}, options)
    found = estimate(job, options, None)
    assert found.seconds is None
    assert found.low == pytest.approx(7 + 0.8 * 40)
    assert found.high == pytest.approx(7 + 1.5 * 100)  # six of 10 and six of 20 s: the last one begins after 80 s


def test_trials_that_nobody_knows_yet_are_counted(spec, options, measured):
    spec["base"]["dataset"]["validation"] = 0.25
    tune = {"tuner": {"use": "random"}, "trials": 5, "space": {"optimizer.lr": {"low": 0.01, "high": 0.1}}}
    job = job_of(spec | {"tune": tune}, options)
    found = estimate(job, options, None)
    assert found.cells == 2 * (5 + 2 * 2)
    assert "trials taken to be like these, whatever their settings" in found.sources


def test_recipes_that_nothing_was_measured_of_are_like_the_others(spec, options, measured, monkeypatch):
    whole = estimating.measured

    def first(job, cells, jobs, slots):
        found = whole(job, cells, jobs, slots)
        return estimating.Measurement(dict(list(found.paces.items())[:1]), {}, found.start)

    monkeypatch.setattr(estimating, "measured", first)
    found = estimate(job_of(spec, options), options, None)
    assert found.seconds == pytest.approx(7 + 20)
    assert found.sources[1] == "1 other recipe taken to be like these"


def test_a_recipe_that_fails_is_unknown_and_so_is_the_whole(spec, options, measured, monkeypatch):
    def fails(job, cells, jobs, slots):
        return estimating.Measurement({}, {estimating.recipe_text(cell): "no memory" for cell in cells}, 1.0)

    monkeypatch.setattr(estimating, "measured", fails)
    found = estimate(job_of(spec, options), options, None)
    assert (found.seconds, found.low, found.high) == (None, None, None)
    assert found.unknown == ("variants 'base', 'batch_norm=on': it cannot be measured: no memory",)


@pytest.mark.parametrize(("epochs", "end"), [({}, ", nor how many records there will be"), ({"epochs": 3}, "first records")])
def test_the_length_of_anybodys_function_is_unknown(options, measured, tmp_path, monkeypatch, epochs, end):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text("def main(seed, config):\n    return {'loss': seed}\n")
    base = {"use": "function", "call": "own.py:main", "metrics": {"loss": "minimize"}, "settings": {"lr": 1.0}, **epochs}
    spec = {"name": "own", "base": base, "factors": {"lr": {"low": {"settings": {"lr": 0.1}}}}, "seeds": 2}
    job = job_of(spec, options)
    found = estimate(job, options, None)
    assert found.seconds is None
    assert measured == []
    (why,) = found.unknown
    assert why.startswith("variants 'base', 'lr=low': its trainer does not know it before, and no finished cells tell")
    assert why.endswith(end)
    with Store(options.store) as store:
        finish(store, job.cells[0].cell, 12.0, here(job))
        finish(store, job.cells[1].cell, 6.0, here(job))
        assert estimate(job, options, store).seconds == pytest.approx(12)


@pytest.mark.slower
def test_recipes_are_measured_in_worker_processes(spec, options, monkeypatch):
    monkeypatch.setattr(estimating, "SECONDS", 0.2)
    found = estimate(job_of(spec, options), options, None)
    assert found.low < found.seconds < found.high
    assert not options.store.exists()
