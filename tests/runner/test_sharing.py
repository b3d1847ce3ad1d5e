"""Runs that share their cells: each is trained once, and nothing that a remote does fails a run or enters the store."""

import itertools
import random
import threading
from contextlib import contextmanager

import pytest

import ablate
from ablate.errors import UsageError
from ablate.registry.hooks import CellInfo
from ablate.runner.job import Options, prepare
from ablate.runner.sharing import SECRET, shared
from ablate.store import Store, envelopes, objects, portable, remote
from ablate.store.objects import Objects
from ablate.store.remote import Remote
from tests.conftest import SPEC
from tests.store.filled import fill, result_of


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(remote, "LOOK_SECONDS", 0.0)
    monkeypatch.delenv(SECRET, raising=False)


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "shared")


@pytest.fixture
def stores(tmp_path):
    """Two machines."""
    with Store(tmp_path / "one") as one, Store(tmp_path / "other") as other:
        yield one, other


def cells_of(store):
    job = prepare(SPEC, (), Options(data_dir=store.directory, device="cpu"))
    return [planned.cell for planned in job.cells]


def exchange(url, store, told):
    with shared(url, store, told.append) as sharing:
        sharing.exchange(cells_of(store))


@contextmanager
def machine(url, store, told):
    """A run, from its beginning to its end."""
    with shared(url, store, told.append) as sharing:
        sharing.exchange(cells_of(store))
        yield sharing


def finish(sharing, store, cell, accuracy=0.5):
    assert store.finish(cell.key, result_of(accuracy))
    sharing.cell_end(CellInfo(cell.key, ("base",), cell.seed, 2), "done")


def test_what_one_machine_has_the_other_takes(url, stores):
    one, other = stores
    told = []
    fill(one)
    exchange(url, one, told)
    exchange(url, other, told)
    exchange(url, other, told)
    assert [line.partition("shared: ")[2] for line in told] == [
        "0 cells taken, 3 given", "3 cells taken, 0 given", "0 cells taken, 0 given",
    ]  # fmt: skip
    keys = [cell.key for cell in cells_of(one)]
    assert other.stored(keys) == one.stored(keys)
    for key in other.stored(keys):
        assert portable.record_of(other.access, key) == portable.record_of(one.access, key)
        assert other.kept.predictions_of(key).read_bytes() == one.kept.predictions_of(key).read_bytes()


def test_a_cell_is_trained_by_one_machine(url, stores):
    one, other = stores
    told = []
    cell, second, *_ = cells_of(one)
    with machine(url, one, told) as here, machine(url, other, told) as there:
        assert here.claim(cell, {}) == "claimed"
        assert there.claim(cell, {}) == "held"
        assert there.claim(second, {}) == "claimed"
        finish(here, one, cell, 0.75)
        here.wait()
        assert there.claim(cell, {}) == "done"
        assert here.claim(second, {}) == "held"
        other.fail(second.key, "failed", "no luck", None)
        there.cell_end(CellInfo(second.key, ("base",), second.seed, 2), "failed")
        there.wait()
        with machine(url, one, []) as later:  # which knows no lease of before
            assert later.claim(second, {}) == "claimed"
    assert portable.record_of(other.access, cell.key)["metrics"]["accuracy"] == 0.75
    assert sum("this run waits for them, and trains them where nothing is heard" in line for line in told) == 2
    assert Objects(url).names("leases") == []


def test_a_cell_that_another_driver_of_the_store_trains_is_not_leased(url, stores):
    one, _ = stores
    cell = cells_of(one)[0]
    with Store(one.directory) as driver, machine(url, one, []) as sharing:
        driver.claim(cell, {})
        assert sharing.claim(cell, {}) == "held"
        assert Objects(url).names("leases") == []


def test_what_is_damaged_is_trained_here_and_written_anew(url, stores):
    one, other = stores
    told = []
    fill(one)
    exchange(url, one, told)
    first, second, third, _ = cells_of(one)
    place = Objects(url)
    data = place.read(f"cells/{first.key}", 10**6)
    place.write(f"cells/{first.key}", data[:-1])
    place.write(f"cells/{second.key}", data)
    with machine(url, other, told) as sharing:
        assert other.stored([cell.key for cell in (first, second, third)]) == {third.key}
        assert sharing.claim(first, {}) == "claimed"
        finish(sharing, other, first)
    assert "1 cell taken, 1 given; 2 cells there not believed (" in told[-1]
    assert "it is damaged" in told[-1]
    assert f"it is of cell {first.key[:12]}" in told[-1]
    assert place.read(f"cells/{first.key}", 10**6).startswith(b"ablate 1 ")
    assert envelopes.cell_in(first.key, place.read(f"cells/{first.key}", 10**6), None)[0]["metrics"]["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: record.update(metrics={"loss": 1.0}), "it has the metrics loss, and the recipe has accuracy, loss"),
        (lambda record: record["epochs"].pop(), "it has records of the epochs [1], and the recipe has 2 epochs"),
        (
            lambda record: record["provenance"].update(evaluated_images=5),
            "it has predictions of 4 images, and was evaluated on 5",
        ),
    ],
)
def test_a_result_that_no_training_of_the_cell_gives_is_not_stored(url, stores, change, why):
    """Even where its digest is right: whoever writes to the place may have written it."""
    one, other = stores
    fill(one)
    told, (cell, *_) = [], cells_of(one)
    record = portable.record_of(one.access, cell.key)
    change(record)
    said = one.kept.predictions_of(cell.key).read_bytes()
    Objects(url).write(f"cells/{cell.key}", envelopes.cell(record, said, None))
    exchange(url, other, told)
    assert other.stored([cell.key]) == set()
    assert not other.kept.predictions_of(cell.key).exists()
    assert f"1 cell there not believed ({why}" in told[-1]


def test_without_the_key_nothing_is_believed(url, stores, monkeypatch):
    one, other = stores
    told = []
    fill(one)
    exchange(url, one, told)
    monkeypatch.setenv(SECRET, "the laboratory's own")
    exchange(url, other, told)
    assert "0 cells taken, 0 given; 3 cells there not believed (it is not signed with this key)" in told[-1]
    monkeypatch.setenv(SECRET, "short")
    with pytest.raises(UsageError, match=r"ABLATE_REMOTE_KEY has 5 characters\. Give it at least 16"):
        exchange(url, other, told)


def test_a_place_that_cannot_be_reached_stops_nothing(tmp_path, stores):
    one, _ = stores
    (tmp_path / "file").write_text("no folder")
    told, (cell, *_) = [], cells_of(one)
    with machine(str(tmp_path / "file"), one, told) as sharing:
        assert sharing.claim(cell, {}) == "claimed"
        finish(sharing, one, cell)
    assert one.stored([cell.key]) == {cell.key}
    assert "cannot be reached (NotADirectoryError" in told[0]
    assert "1 cell could not be given: running the study again with --remote gives it" in told[-1]


def test_no_thread_is_left(url, stores):
    before = threading.active_count()
    fill(stores[0])
    exchange(url, stores[0], [])
    for thread in threading.enumerate():
        if thread.daemon and thread.name.endswith(("(_give)", "(_renew)")):
            thread.join(30)
    assert threading.active_count() <= before


def test_a_cell_that_is_removed_before_it_is_given_fails_nothing(url, stores):
    told, (one, _) = [], stores
    fill(one)
    with machine(url, one, told), one.access.transaction() as db:
        db.execute("DELETE FROM cells WHERE seed = 0")
    assert "0 cells taken, 1 given; 2 cells could not be given" in told[-1]


def test_a_password_in_an_address_is_not_said(stores):
    told = []
    with shared("memory://me:secret@lab/ablate", stores[0], told.append):
        pass
    assert told == ["remote memory://lab/ablate: 0 cells taken, 0 given"]


def test_leases_are_renewed_while_a_cell_is_trained(url, stores, monkeypatch):
    renewed = threading.Event()
    monkeypatch.setattr("ablate.runner.sharing.LEASE_SECONDS", 0.04)
    monkeypatch.setattr(Remote, "renew", lambda self: renewed.set())
    with machine(url, stores[0], []):
        assert renewed.wait(30)


@pytest.mark.slower
def test_a_run_takes_what_another_run_gave(url, tmp_path, spec, in_this_process):
    def run(name, **more):
        with pytest.warns(UserWarning, match="remote .*shared|finished cells") as told:
            study = ablate.run(spec, store=tmp_path / name, device="cpu", progress=False, remote=url, **more)
        said.extend(str(one.message) for one in told)
        return study, next(line for line in reversed(said) if line.startswith("remote "))

    said = []

    first, given = run("one")
    assert "0 cells taken, 4 given" in given
    second, taken = run("other")
    assert "4 cells taken, 0 given" in taken
    assert second.cells.drop(columns="seconds").equals(first.cells.drop(columns="seconds"))
    assert not (tmp_path / "other" / "drivers").exists(), "nothing was claimed"
    _, taken = run("kept", keep="weights")
    assert "4 cells taken without weights, 0 given" in taken
    bare = [line for line in said if line.startswith("4 of 4 finished cells have no weights kept")]
    assert [line.endswith("With --retrain they are; their results stay") for line in bare] == [True]
    for name in ("kept", "anew"):  # those that it has, and those that it takes
        run(name, keep="weights", retrain=True)
        with Store(tmp_path / name, create=False) as store:
            assert len(store.kept.digests(second.cells["key"])) == 4


# S3, from a server on this machine


class Unreliable:
    """A WSGI application that is late, fails half of the time, or changes what it sends."""

    def __init__(self, application):
        self.application, self.draws, self.way, self.lies, self.failures = application, random.Random(0), "well", 0, 0

    def __call__(self, environment, start_response):
        if "/cells/" in environment["PATH_INFO"] or "/leases/" in environment["PATH_INFO"]:
            if self.way == "fails" and self.draws.random() < 0.5:
                self.failures += 1
                start_response("500 Internal Server Error", [("Content-Length", "0")])
                return [b""]
            if self.way == "lies" and environment["REQUEST_METHOD"] == "GET":
                return self._lie(environment, start_response)
        return self.application(environment, start_response)

    def _lie(self, environment, start_response):
        """Another body than the object's; without the checksum by which clients of S3 would see that."""

        def start(status, headers, *more):
            start_response(status, [each for each in headers if not each[0].lower().startswith("x-amz-checksum")], *more)

        body = bytearray(b"".join(self.application(environment, start)))
        if body:
            body[self.draws.randrange(len(body))] ^= 1 << self.draws.randrange(8)
            self.lies += 1
        return [bytes(body)]


@pytest.fixture(scope="module")
def server():
    server_of = pytest.importorskip("moto.server", reason="needs a server of S3: pip install 'ablate-core[dev]'")
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
    from werkzeug.serving import make_server

    application = Unreliable(server_of.DomainDispatcherApplication(server_of.create_backend_app))
    served = make_server("127.0.0.1", 0, application, threaded=True)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{served.server_port}")
        for name, value in (("ACCESS_KEY_ID", "x" * 16), ("SECRET_ACCESS_KEY", "y" * 16), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("NO_PROXY", "127.0.0.1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("lab")
        yield application
        s3fs.S3FileSystem.clear_instance_cache()
    served.shutdown()


@pytest.fixture
def bucket(server, tmp_path):
    server.way = "well"
    yield f"s3://lab/{tmp_path.name}"
    server.way = "well"


@pytest.mark.slower
class TestS3:
    def test_machines_share_cells(self, bucket, stores):
        test_a_cell_is_trained_by_one_machine(bucket, stores)

    def test_what_one_has_the_other_takes_also_where_half_of_the_requests_fail(self, bucket, server, stores):
        one, other = stores
        told = []
        fill(one)
        server.way = "fails"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objects, "TRIES", 12)
            for store, _ in itertools.product(stores, range(2)):
                exchange(bucket, store, told)
        keys = [cell.key for cell in cells_of(one)]
        assert other.stored(keys) == one.stored(keys)
        assert server.failures >= 5

    def test_no_lie_enters_the_store(self, bucket, server, stores):
        one, other = stores
        told = []
        fill(one)
        exchange(bucket, one, told)
        right = {key: portable.record_of(one.access, key) for key in one.stored([cell.key for cell in cells_of(one)])}
        server.way = "lies"
        for _ in range(10):
            exchange(bucket, other, told)
        assert server.lies >= 30
        assert {key: portable.record_of(other.access, key) for key in other.stored(list(right))}.items() <= right.items()
        assert "not believed" in told[-1]

    def test_a_server_that_hangs_stops_no_run(self, bucket, stores, monkeypatch):
        one, _ = stores
        monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.001)
        told, (cell, *_) = [], cells_of(one)
        with machine(bucket, one, told) as sharing:
            assert sharing.claim(cell, {}) == "claimed"
            finish(sharing, one, cell)
        assert "cannot be reached (TimeoutError: no answer within 0.001 s)" in told[0]
        assert one.stored([cell.key]) == {cell.key}
