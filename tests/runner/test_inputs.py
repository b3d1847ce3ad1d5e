"""Weights of finished cells as inputs: which cells are meant, the keys of their users, and what is told where some lack."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.engine.weights import load
from ablate.errors import EnvironmentProblem, SpecError
from ablate.executors import event_of, order
from ablate.executors.training import as_planned, messages
from ablate.registry import build, default
from ablate.registry.inputs import file_digest
from ablate.runner.estimating import estimate
from ablate.runner.job import Options, prepare
from ablate.runner.trained import cell_of
from ablate.spec.identity import canonical_recipe
from ablate.store import Store
from ablate.store.tidying import collect, remove
from tests.conftest import SPEC

TEACHERS = SPEC | {"name": "teachers", "keep": "weights"}


def students(cell, **more):
    """A study of the base, and of the same that begins with a cell's weights."""
    spec = {name: value for name, value in SPEC.items() if name != "factors"} | {"name": "students"} | more
    return spec | {"variants": {"taught": {"initializer": {"use": "weights", "path": {"cell": dict(cell)}}}}}


BASE = {"study": "teachers", "variant": "base"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store of the teachers, and of students that hardly move away from them."""
    folder = tmp_path_factory.mktemp("trained")
    still = SPEC["base"] | {"optimizer": {"use": "sgd", "lr": 1e-12}, "epochs": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablate.registry.remembered.cache_folder", lambda: folder / "remembered")
        patch.setattr("ablate.runner.driver.build", lambda registry, kind, spec, workers: nullcontext(here))
        for spec in (TEACHERS, students(BASE, base=still, keep="weights")):
            ablate.run(spec, store=folder, data_dir=folder, device="cpu", jobs=1, progress=False)
    return folder


def here(settings, take, stop):
    """Trains cells in this process, as a worker would."""
    while (cell := take()) is not None:
        for message in messages(json.loads(json.dumps(order(cell, settings))), stop.is_set):
            if message is not None:
                yield event_of(cell.key, message)


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "store")


def planned(spec, folder, **more):
    """Seed and cell of the second variant."""
    job = prepare(spec, (), Options(folder, folder, device="cpu", **more))
    return {cell.seed: cell.cell for cell in job.cells if cell.variant == job.plan.variants[1].name}


def problems(spec, folder, **more):
    with pytest.raises(SpecError) as caught:
        planned(spec, folder, **more)
    return caught.value.exit_code, [(problem.message, problem.hint) for problem in caught.value.problems]


def keys_of(folder, study, variant="base"):
    with Store(folder) as store:
        cells = store.study(study).cells
    own = cells[cells["variant"] == variant]
    return dict(zip(own["seed"], own["key"], strict=True))


def test_each_seed_begins_with_the_cell_of_its_own(folder):
    teachers, taught = (ablate.load_study(name, store=folder).cells for name in ("teachers", "students"))
    expected = teachers[teachers["variant"] == "base"].set_index("seed")["accuracy"]
    found = taught[taught["variant"] == "taught"].set_index("seed")["accuracy"]
    assert found.to_dict() == expected.to_dict()
    assert len(set(expected)) == 2, "the seeds can be told apart"


def test_the_key_is_that_of_the_same_file_by_its_path(folder):
    by_name = planned(students(BASE), folder)
    for seed, key in keys_of(folder, "teachers").items():
        spec = students(BASE)
        spec["variants"]["taught"]["initializer"]["path"] = str(folder / "weights" / f"{key}.safetensors")
        assert planned(spec, folder)[seed].key == by_name[seed].key
    assert by_name[0].key != by_name[1].key
    numbered = planned(students(BASE | {"seed": 0}), folder)
    assert numbered[0].key == by_name[0].key
    assert numbered[1].key != by_name[1].key


def test_names_and_places_are_in_no_key(folder, tmp_path):
    before = {seed: cell.key for seed, cell in planned(students(BASE), folder).items()}
    moved = folder.rename(tmp_path / "elsewhere")
    with Store(moved) as store, store.access.transaction() as db:
        db.execute("INSERT INTO studies SELECT 'masters', spec, plan, updated FROM studies WHERE name = 'teachers'")
        db.execute("UPDATE study_cells SET study = 'masters' WHERE study = 'teachers'")
        db.execute("DELETE FROM studies WHERE name = 'teachers'")
    after = planned(students(BASE | {"study": "masters"}), moved)
    assert {seed: cell.key for seed, cell in after.items()} == before
    recipe = next(iter(after.values())).recipe["initializer"]["path"]
    assert recipe["cell"] == {"study": "masters", "variant": "base", "seed": 0}
    assert recipe["sha256"] == file_digest(Path(recipe["path"]))


def test_what_is_not_there_is_told_at_once_and_before_anything_is_trained(folder):
    code, told = problems(students(BASE | {"study": "teacher"}), folder)
    assert (code, told) == (
        2,
        [(f"the store in {folder} has no study 'teacher' (in variant 'taught')", "Did you mean 'teachers'?")],
    )
    _, told = problems(students(BASE | {"variant": "bas"}), folder)
    assert told == [("study 'teachers' has no variant 'bas' (in variant 'taught')", "Did you mean 'base'?")]
    code, [(message, hint)] = problems(students(BASE, seeds={"min": 2, "max": 5, "stop": "decided"}), folder)
    assert code == 2
    assert message == "variant 'base' of study 'teachers' has no seeds 2–4 (in variant 'taught')"
    assert hint.startswith("It has 0, 1. Run the spec of that study with `ablate run SPEC --keep weights`")
    code, [(message, hint)] = problems(students(BASE), folder / "nowhere")
    assert code == 3
    assert "there is no store in" in message
    both = students(BASE) | {"factors": {"norm": {"on": {"model": {"batch_norm": True}}}}}
    both["base"] = SPEC["base"] | {"initializer": {"use": "weights", "path": {"cell": BASE | {"seed": 7}}}}
    both["variants"]["taught"]["initializer"]["path"]["cell"] = {"variant": "none", "seed": 8}
    _, told = problems(both, folder)
    assert [message.partition(" (")[2] for message, _ in told] == ["in variants 'base', 'norm=on')", "in variant 'taught')"]


def test_cells_that_are_not_finished_or_have_no_weights_are_told_with_what_to_run(folder):
    keys = keys_of(folder, "teachers")
    (folder / "weights" / f"{keys[1]}.safetensors").unlink()
    with Store(folder) as store, store.access.transaction() as db:
        db.execute("UPDATE cells SET status = 'failed' WHERE key = ?", (keys[0],))
    code, told = problems(students(BASE), folder)
    assert code == 3
    assert [message for message, _ in told] == [
        "seed 0 of variant 'base' of study 'teachers' is not trained to its end (failed) (in variant 'taught')",
        f"no weights are kept in {folder} of seed 1 of variant 'base' of study 'teachers' (in variant 'taught')",
    ]
    assert "--keep weights --retrain" in told[1][1]
    result = CliRunner().invoke(app, ["check", write(folder, students(BASE)), "--store", str(folder)])
    assert (type(result.exception), result.stdout) == (SpecError, "")


def write(folder, spec):
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return str(path)


def test_weights_that_were_not_trained_are_refused(folder):
    file = folder / "weights" / f"{keys_of(folder, 'teachers')[1]}.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    code, [(message, _)] = problems(students(BASE), folder)
    assert code == 3
    assert message.startswith(
        f"seed 1 of variant 'base' of study 'teachers': {file}: its weights are not those that were trained"
    )


def test_a_worker_refuses_a_file_that_changed_since_the_plan(folder, environment):
    cell = planned(students(BASE), folder)[0]
    as_planned(cell, environment, elsewhere=False)
    path = Path(cell.recipe["initializer"]["path"]["path"])
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(EnvironmentProblem, match=f"{path} was changed while the study ran"):
        as_planned(cell, environment, elsewhere=False)
    with pytest.raises(EnvironmentProblem, match="has not the weights of variant 'base', seed 0, of study 'teachers' any more"):
        build(default(), "initializer", cell.recipe["initializer"], None, None)


def test_a_study_is_not_its_own_teacher(folder):
    code, [(message, _)] = problems(students(BASE, name="teachers"), folder)
    assert (code, message) == (2, "variant 'base' of study 'teachers' is of the very study that uses it (in variant 'taught')")


def test_trials_have_no_teacher_of_their_seed_and_take_one_by_number(folder):
    tune = {"tune": {"trials": 2, "space": {"optimizer.lr": {"low": 0.01, "high": 0.1}}}}
    data = SPEC["base"] | {"dataset": SPEC["base"]["dataset"] | {"validation": 0.25}}
    _, [(message, hint)] = problems(students(BASE, base=data, **tune), folder)
    assert message.startswith("settings are tuned with seeds of their own")
    assert 'a number as its "seed"' in hint
    from ablate.runner.job import as_known

    job = as_known(prepare(students(BASE | {"seed": 1}, base=data, **tune), (), Options(folder, folder, device="cpu")), None)
    used = {str(cell.cell.recipe["initializer"]) for cell in job.cells if cell.variant.startswith("taught")}
    assert used
    assert all(f"'key': '{keys_of(folder, 'teachers')[1]}'" in text for text in used)
    spaces = {"taught": {"initializer.path.cell.seed": {"choices": [0, 1]}}, "base": tune["tune"]["space"]}
    with pytest.raises(SpecError, match="other weights of cells cannot be tried as settings"):
        prepare(students(BASE, base=data, tune={"trials": 2, "spaces": spaces}), (), Options(folder, folder, device="cpu"))


def test_two_names_of_the_same_weights_are_no_two_variants(folder):
    spec = students(BASE, seeds=[0])
    spec["variants"]["again"] = students(BASE | {"seed": 0})["variants"]["taught"]
    _, [(message, _)] = problems(spec, folder)
    assert message == "it uses the same weights as 'taught', and differs in nothing else: comparing them would show nothing"
    spec["seeds"] = [0, 1]
    assert len(prepare(spec, (), Options(folder, folder, device="cpu")).cells) == 6


def test_a_stored_recipe_has_the_names_and_no_path(folder, tmp_path):
    key = planned_key(folder)
    with Store(folder) as store:
        recipe = store.cells(key)[0]["recipe"]
    found = recipe["initializer"]["path"]
    assert found["cell"] == BASE | {"seed": 0}
    assert found.keys() == {"cell", "key", "sha256"}
    assert canonical_recipe(default(), recipe)["initializer"]["path"] == found["sha256"]
    result = CliRunner().invoke(app, ["diff", key, planned_key(folder, 1), "--store", str(folder)], env={"COLUMNS": "200"})
    assert "initializer.path.cell.seed: 0 → 1" in result.stdout
    assert f"initializer.path.sha256: {found['sha256']} → " in result.stdout


def planned_key(folder, seed=0):
    return keys_of(folder, "students", "taught")[seed]


def test_the_report_says_whose_weights_were_used(folder):
    keys = keys_of(folder, "teachers")
    study = ablate.load_study("students", store=folder)
    assert [(one.study, one.variant, one.seed, one.key) for one in study.inputs] == [
        ("teachers", "base", s, keys[s]) for s in (0, 1)
    ]
    result = CliRunner().invoke(app, ["report", "students", "--store", str(folder), "--format", "markdown"])
    assert f"| teachers | base | 1 | {keys[1][:12]} |" in result.stdout


def test_models_are_loaded_and_measured_without_the_weights_that_they_began_with(folder):
    for key in keys_of(folder, "teachers").values():
        (folder / "weights" / f"{key}.safetensors").unlink()
    assert not ablate.load_model("students", "taught", 1, store=folder).training
    result = CliRunner().invoke(app, ["evaluate", "students", "--metric", "top5_accuracy", "--store", str(folder)])
    assert result.exit_code == 0, result.output
    assert ablate.load_study("students", store=folder).cells["top5_accuracy"].notna().all()


def test_a_model_that_is_built_from_other_weights_says_where_they_are_missing(folder):
    with Store(folder) as store:
        cell = cell_of(store, "students", "taught", 0)
        assert Path(cell.recipe["initializer"]["path"]["path"]).is_file()
        (folder / "weights" / f"{keys_of(folder, 'teachers')[0]}.safetensors").unlink()
        cell = cell_of(store, "students", "taught", 0)
    with pytest.raises(
        EnvironmentProblem, match="the weights of variant 'base', seed 0, of study 'teachers' are not in this store"
    ):
        build(default(), "initializer", cell.recipe["initializer"], None, None)


def test_weights_that_a_study_uses_stay_as_long_as_it_does(folder):
    teachers = keys_of(folder, "teachers")
    with Store(folder) as store:
        every = [*teachers.values(), *keys_of(folder, "teachers", "batch_norm=on").values()]
        size = (folder / "weights" / f"{teachers[0]}.safetensors").stat().st_size
        cells, _ = store.kept.make_room(0.0)
        assert set(store.kept.digests(every)) == set(teachers.values())
        assert cells == 6, "what is used by nobody had to go"
        assert store.kept.overfull(0.0) == (2 * size, 2 * size)
        removed = remove(store, "teachers")
        assert (removed.cells.count, removed.shared) == (2, 2)
        assert collect(store, dry_run=True).nothing
        assert remove(store, "students").cells.count == 6
        assert not store.kept.file_of(teachers[0]).exists()


def test_the_same_weights_are_the_same_file_each_time(folder):
    from ablate.engine.weights import save

    key = keys_of(folder, "teachers")[0]
    file = folder / "weights" / f"{key}.safetensors"
    with Store(folder) as store:
        _, form = load(file, key, store.kept.digests([key])[key])
    model = ablate.load_model("teachers", "base", 0, store=folder)
    for number in range(4):  # safetensors would give four orders
        save(folder / f"{number}.safetensors", key, model, form)
        assert (folder / f"{number}.safetensors").read_bytes() == file.read_bytes()


def test_nothing_of_the_data_can_be_a_cell(folder):
    spec = students(BASE)
    with pytest.raises(EnvironmentProblem, match="cannot be named in what the data is made of. Give the path of a file"):
        build(default(), "initializer", {"use": "weights", "path": {"cell": BASE | {"seed": "same"}}}, None, None)
    spec["variants"]["taught"]["initializer"]["path"]["cell"]["sed"] = 1
    with pytest.raises(SpecError, match="there is no such setting"):
        planned(spec, folder)
    spec["variants"]["taught"]["initializer"]["path"] = 3
    with pytest.raises(SpecError, match="expected a string or the weights of a cell, as "):
        planned(spec, folder)


def test_editors_know_the_form():
    schema = default().load("initializer", "weights").signature.schema()
    right, wrong = ({"path": {"cell": BASE | {"seed": seed}}} for seed in (3, "mine"))
    assert Draft202012Validator(schema).is_valid(right)
    assert not Draft202012Validator(schema).is_valid(wrong)
    assert "the weights of a cell, as" in CliRunner().invoke(app, ["show", "initializer", "weights"]).stdout


def test_finished_cells_of_other_seeds_tell_how_long_one_takes(folder):
    spec = students(BASE, base=SPEC["base"] | {"optimizer": {"use": "sgd", "lr": 1e-12}, "epochs": 1})
    with Store(folder) as store, store.access.transaction() as db:
        db.execute("UPDATE cells SET status = 'failed' WHERE key = ?", (planned_key(folder, 1),))
    options = Options(folder, folder, device="cpu")
    job = prepare(spec, (), options)
    with Store(folder) as store:
        found = estimate(replace(job, cells=[c for c in job.cells if c.variant == "taught"]), options, store)
    told = "finished cells of variant 'taught' on such a machine, without the seconds that workers take to start"
    assert (found.cells, found.sources) == (1, (told,))
