"""Studies and cells go from one store to another whole, and nothing that is wrong comes along."""

import hashlib
import json
import random
import shutil
import struct
import zipfile

import pytest
from typer.testing import CliRunner

from ablate.cli import app, stores
from ablate.errors import AblateError, StoreError, UsageError
from ablate.runner.job import Options, prepare
from ablate.store import Store, archives, exchanging, portable, sources
from tests.conftest import SPEC
from tests.store.filled import fill, result_of

NOTHING = {name: [] for name in ("cells", "epochs", "studies", "study_cells", "evaluations")}, {}, {}  # as `content` tells it


def content(store):
    """All that a store has, by tables and files; times of opening and of use are not compared."""
    tables = {}
    for table, order in (("cells", "key"), ("epochs", "key, epoch"), ("studies", "name"), ("study_cells", "study, position")):
        tables[table] = [dict(row) for row in store.access.read(f"SELECT * FROM {table} ORDER BY {order}")]
    for row in tables["cells"]:
        row["provenance"] = json.loads(row["provenance"])  # SQLite writes it without spaces
    tables["evaluations"] = [store.evaluations.of_cell(row["key"]) for row in tables["cells"]]
    files = {
        path.relative_to(store.directory).as_posix(): path.read_bytes()
        for folder in ("weights", "predictions")
        for path in (store.directory / folder).glob("*")
    }
    return tables, files, store.kept.digests([row["key"] for row in tables["cells"]])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with a study of four cells, three of them finished, and its export."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch, Store(folder / "store") as store:
        patch.setattr("ablate.registry.remembered.cache_folder", lambda: folder / "remembered")
        fill(store)
        assert archives.export(store, "tiny", folder / "tiny.zip") == 3
    return folder


@pytest.fixture
def file(made, tmp_path):
    return shutil.copy(made / "tiny.zip", tmp_path / "tiny.zip")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "other") as store:
        yield store


def take(store, file):
    with archives.opened(file) as source:
        return exchanging.take_over(store, source)


def test_an_export_comes_back_as_it_was(made, file, store):
    taken = take(store, file)
    assert (taken.cells, taken.known, taken.weights, taken.predictions, taken.unproven) == (3, 0, 3, 3, 0)
    assert taken.studies == [("tiny", "tiny")]
    with Store(made / "store") as before:
        assert content(store) == content(before)
        assert list(store.spec("tiny")["base"]["train_transforms"]) == list(before.spec("tiny")["base"]["train_transforms"])
    assert store.study("tiny").cells["status"].tolist() == ["done", "done", "done", "missing"]
    again = take(store, file)
    assert (again.cells, again.known, again.weights, again.studies, again.others) == (0, 3, 0, [], [])


def test_the_same_study_is_the_same_file(made, file, tmp_path):
    with Store(made / "store") as store:
        archives.export(store, "tiny", tmp_path / "again.zip")
        with pytest.raises(UsageError, match=r"again\.zip exists"):
            archives.export(store, "tiny", tmp_path / "again.zip")
        with pytest.raises(UsageError, match="has no study 'tony'. Did you mean 'tiny'"):
            archives.export(store, "tony", tmp_path / "tony.zip")
    assert not (tmp_path / "tony.zip").exists()
    assert (tmp_path / "again.zip").read_bytes() == (made / "tiny.zip").read_bytes()


def test_stores_are_merged(made, store):
    fill(store, SPEC | {"name": "other", "seeds": 3}, accuracies=(0.5,))  # the first cell is that of the other store
    with Store(made / "store", create=False) as other:
        taken = exchanging.take_over(store, sources.source_of(other))
    assert (taken.cells, taken.known, taken.studies) == (2, 1, [("tiny", "tiny")])
    assert store.studies() == ["other", "tiny"]
    assert store.study("other").cells["status"].tolist() == ["done", "done", "done", *["missing"] * 3]


def test_another_result_of_a_key_is_told_and_not_taken(file, store):
    job = fill(store, accuracies=(0.5, 0.25))
    taken = take(store, file)
    key = job.cells[1].cell.key
    assert taken.others == [f"{key[:12]} (accuracy 0.25, loss none here, accuracy 0.6, loss none there)"]
    assert (taken.cells, taken.known) == (1, 1)
    assert store.study("tiny").cells["accuracy"].tolist()[:3] == [0.5, 0.25, 0.7]
    (line,) = stores.taken_warnings(taken)
    assert line.startswith(f"of 1 cell this store has another result, which stays as it is: {key[:12]} (accuracy 0.25")


def test_a_study_of_another_spec_keeps_its_name(file, store):
    fill(store, SPEC | {"seeds": 1}, accuracies=(0.5, 0.6))
    ((name, here),) = take(store, file).studies
    assert name == "tiny"
    assert here.startswith("tiny@")
    assert store.studies() == ["tiny", here]
    assert len(store.study("tiny").cells) == 2
    assert len(store.study(here).cells) == 4
    assert take(store, file).studies == []


def test_a_study_that_went_on_elsewhere_is_taken_as_far_as_it_is(made, file, store):
    fill(store, accuracies=(0.5,))
    with store.access.transaction() as db:
        db.execute("DELETE FROM study_cells WHERE position > 0")
    assert take(store, file).studies == [("tiny", "tiny")]
    assert len(store.study("tiny").cells) == 4


def test_what_failed_or_was_given_up_is_replaced_and_what_runs_is_left(file, store):
    job = prepare(SPEC, (), Options(data_dir=store.directory, device="cpu"))
    first, second, _, _ = (planned.cell for planned in job.cells)
    store.claim(first, {})
    store.fail(first.key, "failed", "no luck", "log")
    with Store(store.directory) as driver:
        driver.claim(second, {})
        taken = take(store, file)
        assert (taken.cells, taken.running) == (2, 1)
        assert driver.finish(second.key, result_of(0.1))
    assert store.study("tiny").cells["status"].tolist() == ["done", "done", "done", "missing"]
    assert store.logs(first.key) == (None, None)


def rewritten(file, change):
    """The archive with its files changed by `change(contents)`; digests are made anew, as somebody would who lies."""
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
    change(contents)
    digests = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in contents.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**contents, "manifest.json": json.dumps({"format": 1, "files": digests}).encode()}.items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED if name.endswith("json") else zipfile.ZIP_STORED)


def cells(change):
    """A change of the first cell of an archive."""

    def of(contents):
        name = min(name for name in contents if name.startswith("cells/"))
        told = json.loads(contents[name])
        change(told)
        contents[name] = json.dumps(told).encode()

    return of


def study(change):
    def of(contents):
        told = json.loads(contents["study.json"])
        change(told)
        contents["study.json"] = json.dumps(told).encode()

    return of


def setting(*path, to):
    def change(told):
        for name in path[:-1]:
            told = told[name]
        told[path[-1]] = to

    return change


LIES = {
    "a recipe of another key": (cells(setting("cell", "recipe", "epochs", to=3)), "its key is not that of its recipe"),
    "a seed of another key": (cells(setting("cell", "seed", to=77)), "its key is not that of its recipe"),
    "another cell's key": (cells(setting("cell", "key", to="0" * 64)), "it is of cell 000000000000"),
    "a metric that is text": (cells(setting("cell", "metrics", "accuracy", to="0.9")), "its 'metrics' is not what ablate writes"),
    "a metric without end": (cells(setting("cell", "metrics", "accuracy", to=float("inf"))), "not JSON compliant"),
    "a huge number": (cells(setting("cell", "metrics", "accuracy", to=10**400)), "it is no record of a cell: OverflowError"),
    "a name with NUL": (cells(setting("cell", "metrics", "a\0", to=1.0)), "has NUL"),
    "epochs twice": (cells(setting("cell", "epochs", 0, "epoch", to=2)), "its epochs are not in their order"),
    "a loss that is text": (cells(setting("cell", "epochs", 0, "train_loss", to="<b>")), "an epoch has a number that is none"),
    "images that are text": (cells(setting("cell", "provenance", "evaluated_images", to="many")), "its 'provenance' is not what"),
    "a field of its own": (cells(setting("cell", "status", to="done")), "nothing is called 'status'"),
    "weights of another digest": (cells(setting("kept_sha256", to="0" * 64)), "its weights are others"),
    "no cell at all": (cells(lambda told: told.clear()), "cell .*: 'cell'"),
    "a plan without variants": (study(lambda told: told["plan"].pop("variants")), "a study is not what ablate writes"),
    "a variant with half a surrogate": (study(setting("members", 0, 0, to="\ud800")), "half of a surrogate pair"),
    "a member that is no cell": (study(setting("members", 0, 2, to="../../x")), "has a cell that is none"),
    "a plan that cannot be shown": (study(setting("plan", "compare", "rows", to=1)), "cannot be shown"),
    "a path for a name": (lambda contents: contents.update({"../../evil": b"x"}), r"it has a file '\.\./\.\./evil'"),
    "an absolute name": (lambda contents: contents.update({"/etc/cron": b"x"}), "it has a file '/etc/cron'"),
    "a file of another sort": (lambda contents: contents.update({f"cells/{'a' * 64}.pkl": b"x"}), "which no export has"),
    "no study": (lambda contents: contents.pop("study.json"), r"it has no study\.json"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), LIES.values(), ids=LIES)
def test_what_no_store_writes_is_refused_whole(file, store, change, message):
    rewritten(file, change)
    with pytest.raises(StoreError, match=message) as error:
        take(store, file)
    assert "nothing was taken from it" in str(error.value).lower()
    assert content(store) == NOTHING


def test_many_mistakes_are_told_at_once(file, store):
    def every(contents):
        for name in [name for name in contents if name.startswith("cells/")]:
            contents[name] = b"{}"

    rewritten(file, every)
    with pytest.raises(StoreError) as error:
        take(store, file)
    assert str(error.value).count("cell ") == 3


def packed_otherwise(file, **how):
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo(how.get("name", f"cells/{'a' * 64}.json"))
        info.compress_type = how.get("compression", zipfile.ZIP_DEFLATED)
        archive.writestr(info, how.get("data", b"{}"))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"compression": zipfile.ZIP_LZMA}, "is packed in another way"),
        ({"name": f"weights/{'a' * 64}.safetensors", "compression": zipfile.ZIP_DEFLATED}, "is packed in another way"),
        ({"data": b" " * (portable.LARGEST + 1)}, "has 64,000,001 bytes"),
        ({"name": "study.json"}, "twice"),
        ({}, "it has other files than its manifest says"),
    ],
    ids=["another method", "compressed weights", "a bomb", "twice", "unlisted"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_of_another_sort_is_refused_before_it_is_unpacked(file, store, how, message):
    packed_otherwise(file, **how)
    with pytest.raises(StoreError, match=message):
        take(store, file)
    assert content(store) == NOTHING


def test_an_encrypted_archive_and_one_of_a_later_format_are_refused(file, store):
    data = bytearray(file.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 8 : at + 10] = struct.pack("<H", 1)
    file.write_bytes(data)
    with pytest.raises(StoreError, match="packed in another way"):
        take(store, file)
    file.write_bytes(b"PK")
    with pytest.raises(StoreError, match="cannot be read as an export of ablate: File is not a zip file"):
        take(store, file)
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("manifest.json", "study.json"):
            archive.writestr(name, json.dumps({"format": 2, "files": {}}), zipfile.ZIP_DEFLATED)
    with pytest.raises(StoreError, match="it has format 2, and this version of ablate reads 1"):
        take(store, file)


@pytest.mark.slower
def test_three_hundred_damaged_files_give_nothing_or_all_that_is_right(made, tmp_path):
    """Bytes that are turned, cut off, or moved: what is taken from such a file is what was exported, or nothing is."""
    whole = (made / "tiny.zip").read_bytes()
    with Store(made / "store") as before:
        right = content(before)
    draws, taken = random.Random(0), 0
    for number in range(300):
        data = bytearray(whole)
        at = draws.randrange(len(data))
        if number % 3 == 0:
            data[at] ^= 1 << draws.randrange(8)
        elif number % 3 == 1:
            del data[at : at + draws.randrange(1, 50)]
        else:
            data[at : at + 20] = data[-20:]
        (tmp_path / "damaged.zip").write_bytes(data)
        folder = tmp_path / "fresh"
        with Store(folder) as store:
            try:
                take(store, tmp_path / "damaged.zip")
                assert content(store) == right
                taken += 1
            except AblateError:
                assert content(store) == NOTHING
        shutil.rmtree(folder)
    assert taken < 100, "what does not count for its content, such as dates in the archive, may differ"


def test_keys_that_cannot_be_made_again_are_counted(file, store):
    rewritten(file, cells(lambda told: told["cell"]["identity"]["packages"].update({"torch": "1.0"})))
    taken = take(store, file)
    assert (taken.cells, taken.unproven) == (3, 1)
    (line,) = stores.taken_warnings(taken)
    assert "the keys of 1 cell could not be made again" in line


def test_the_commands_hand_a_study_on(made, tmp_path):
    def call(*words):
        done = CliRunner().invoke(app, ["store", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    out, there = tmp_path / "out.zip", tmp_path / "there"
    assert "3 finished cells" in call("export", "tiny", out, "--store", made / "store")
    told = call("import", out, "--store", there)
    assert "3 new cells, weights of 3, predictions of 3; 0 cells known before" in told
    assert "study 'tiny' is new here" in told
    assert "0 new cells; 3 cells known before" in call("merge", made / "store", "--store", there)
    for words, message in (
        (("merge", there), "is this store itself"),
        (("import", tmp_path / "nothing.zip"), "there is no such file"),
        (("merge", tmp_path / "nothing"), "nothing: there is no store. Give the directory of one"),
    ):
        result = CliRunner().invoke(app, ["store", *map(str, words), "--store", str(there)])
        assert message in str(result.exception)
