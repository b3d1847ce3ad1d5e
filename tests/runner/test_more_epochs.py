"""More epochs for finished cells: the bits of a training that was never interrupted, or a reason why not."""

import re

import pytest

import ablate
from ablate.contracts import Cell
from ablate.errors import EnvironmentProblem
from ablate.runner.extending import extensions
from ablate.runner.job import Options, prepare
from ablate.store import Store

TIMES = ("seconds", "images_per_second")


def ran(spec, store, tmp_path, *overrides, **options):
    return ablate.run(
        spec, overrides=overrides, store=store, data_dir=tmp_path / "data", device="cpu", jobs=1, progress=False, **options
    )


def numbers(study):
    """All that is not time, of cells and epochs, and what was said of each image."""
    cells = study.cells.drop(columns=["seconds"])
    epochs = study.epochs.drop(columns=list(TIMES))
    said = [study.predictions(key).read_bytes() for key in study.cells["key"]]
    told = [frame.astype(object).where(frame.notna(), None).to_dict("records") for frame in (cells, epochs)]
    return *told, said


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"ema": 0.9, "grad_clip": 1.0, "accumulate": 2, "model": {"use": "net", "batch_norm": True, "dropout": 0.2}},
        {"optimizer": {"use": "adam", "lr": 0.002}, "scheduler": {"use": "step", "step_size": 1, "gamma": 0.5}, "eval_every": 2},
        {
            "dataset": {"use": "digits", "size": 16, "limit": 160, "validation": 0.25},
            "eval_split": "validation",
            "select": "accuracy",
        },
    ],
    ids=["plain", "ema, clip, accumulate", "adam, a schedule of fixed steps, eval_every", "select"],
)
def test_a_cell_goes_on_with_the_bits_of_one_that_was_never_interrupted(spec, tmp_path, in_this_process, recipe):
    spec["base"] |= recipe
    spec["seeds"] = 1
    del spec["factors"]
    ran(spec, tmp_path / "a", tmp_path, keep="state")
    longer = ran(spec, tmp_path / "a", tmp_path, "base.epochs=5", extend=True)
    whole = ran(spec, tmp_path / "b", tmp_path, "base.epochs=5")
    assert numbers(longer) == numbers(whole)
    assert len(longer.epochs) == 5
    shorter = ran(spec, tmp_path / "a", tmp_path)
    assert len(shorter.epochs) == 2, "the finished cell stays as it is"


def test_it_does_not_train_again_what_was_trained(spec, tmp_path, in_this_process, monkeypatch):
    from ablate.engine.cell_training import CellTraining

    spec["seeds"] = 1
    ran(spec, tmp_path / "a", tmp_path, keep="state")
    trained = []
    step = CellTraining.train_on
    monkeypatch.setattr(CellTraining, "train_on", lambda self, some: (trained.append(self.at.epoch), step(self, some))[1])
    ran(spec, tmp_path / "a", tmp_path, "base.epochs=3", extend=True)
    assert set(trained) == {2}


@pytest.mark.parametrize(
    ("overrides", "field", "why"),
    [
        (['base.scheduler={"use": "cosine"}'], "base.scheduler", "of 4 epochs its rates in epoch 2 differ from those of 2"),
        (["base.eval_every=3"], "base.eval_every", "epoch 2 is evaluated as the last of 2, and not as one of 4"),
    ],
    ids=["cosine", "eval_every"],
)
def test_what_depends_on_the_length_begins_anew_with_the_reason(spec, tmp_path, in_this_process, overrides, field, why):
    spec["seeds"] = 1
    ran(spec, tmp_path / "a", tmp_path, *overrides, keep="state")
    told = []
    job = prepare(spec, [*overrides, "base.epochs=4"], Options(tmp_path / "a", tmp_path, device="cpu", extend=True))
    with Store(tmp_path / "a") as store:
        assert extensions(job, {planned.cell.key for planned in job.cells}, store, told.append) == {}
    assert all(re.search("cannot go on from finished cells, and begins? anew: ", message) for message in told)
    assert any(field in message and why in message for message in told)


def test_what_can_go_on_does_beside_what_begins_anew(spec, tmp_path, in_this_process):
    spec["seeds"] = 1
    spec["factors"] = {"scheduler": {"cosine": {"scheduler": {"use": "cosine"}}}}
    ran(spec, tmp_path / "a", tmp_path, keep="state")
    told = []
    job = prepare(spec, ["base.epochs=4"], Options(tmp_path / "a", tmp_path, device="cpu", extend=True))
    base, cosine = (planned.cell.key for planned in job.cells)
    with Store(tmp_path / "a") as store:
        found = extensions(job, {base, cosine}, store, told.append)
    assert {key: extends.epochs for key, extends in found.items()} == {base: 2}
    (message,) = told
    assert message.startswith("variant 'scheduler=cosine' cannot go on from finished cells, and begins anew: base.scheduler: ")


def test_a_state_that_is_damaged_is_not_gone_on_from(spec, tmp_path, in_this_process):
    spec["seeds"] = 1
    ran(spec, tmp_path / "a", tmp_path, keep="state")
    for file in (tmp_path / "a" / "weights").glob("*.state.safetensors"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    study = ran(spec, tmp_path / "a", tmp_path, "base.epochs=3", extend=True)
    assert (study.cells["status"] == "failed").all()
    assert study.cells["error"].str.contains("is not the state that was kept").all()


def test_where_there_is_no_state_that_is_said_and_cells_begin_anew(spec, tmp_path, in_this_process):
    spec["seeds"] = 1
    ran(spec, tmp_path / "a", tmp_path, keep="weights")
    with pytest.warns(UserWarning, match="2 of 2 cells have no finished one with fewer epochs and a kept state, and begin anew"):
        longer = ran(spec, tmp_path / "a", tmp_path, "base.epochs=3", extend=True)
    assert (longer.cells["status"] == "done").all()


def test_only_the_same_cell_with_fewer_epochs_is_gone_on_from(spec, tmp_path, in_this_process):
    spec["seeds"] = 1
    ran(spec, tmp_path / "a", tmp_path, keep="state")
    ran(spec, tmp_path / "a", tmp_path, "base.epochs=3", keep="state")
    options = Options(tmp_path / "a", tmp_path / "data", device="cpu")
    with Store(tmp_path / "a") as store:
        for overrides, epochs in (([], 3), (["base.optimizer.lr=0.06"], None), (["seeds=[7]"], None)):
            job = prepare(spec, [*overrides, "base.epochs=4"], options)
            said = []
            found = extensions(job, {planned.cell.key for planned in job.cells}, store, said.append)
            assert {extends.epochs for extends in found.values()} == ({epochs} if epochs else set())
            assert bool(said) == (epochs is None)
        shorter = prepare(spec, ["base.epochs=1"], options).cells[0].cell
        assert store.shorter(shorter) == []
        longer, engine = {**shorter.recipe, "epochs": 4}, {**shorter.identity, "engine": 0}
        other = Cell(shorter.key, longer, shorter.seed, shorter.device, engine)
        assert store.shorter(other) == [], "another version may begin in another way"


def test_room_counts_the_states_and_takes_them_with_the_weights(spec, tmp_path, in_this_process):
    spec["seeds"] = 1
    ran(spec, tmp_path / "a", tmp_path, keep="state")
    with Store(tmp_path / "a") as store:
        files = sorted((tmp_path / "a" / "weights").iterdir())
        assert len(files) == 4
        kept = [row["bytes"] for row in store.access.read("SELECT bytes FROM weights")]
        assert sum(kept) == sum(file.stat().st_size for file in files)
        keys = [row["key"] for row in store.access.read("SELECT key FROM weights")]
        assert store.kept.states(keys).keys() == set(keys)
        store.kept.make_room(max(kept) / 1e9)
        assert len(list((tmp_path / "a" / "weights").iterdir())) == 2
        assert len(store.kept.states(keys)) == 1


def test_a_file_that_cannot_be_seen_is_no_error_and_the_bits_are_the_same(spec, tmp_path):
    from ablate.engine.checkpoint import go_on
    from ablate.spec.trainer import Extension

    go_on(lambda path, key: pytest.fail("there is nothing to read"), Extension(tmp_path / "away", "k", "0", 2))
    (tmp_path / "here").write_bytes(b"other")
    with pytest.raises(EnvironmentProblem, match="is not the state that was kept"):
        go_on(lambda path, key: True, Extension(tmp_path / "here", "k", "0", 2))
