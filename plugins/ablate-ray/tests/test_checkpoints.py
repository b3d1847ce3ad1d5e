"""States at URLs: a real FTP server, a real S3 server (moto's) and the local filesystem, all on the loopback address."""

import signal
import threading

import pytest
from ablate_ray import checkpoints, worker
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from ablate.contracts import Environment
from ablate.errors import EnvironmentProblem, UsageError
from ablate.executors import Settings, order
from ablate.runner.driver import run_study
from ablate.runner.job import Options, prepare
from ablate.testing import misfits
from ablate.testing.misfits import Listener, table


@pytest.fixture
def file(tmp_path):
    return f"file://{tmp_path}/far away"


@pytest.fixture
def ftp(tmp_path):
    authorizers = pytest.importorskip("pyftpdlib.authorizers")
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import ThreadedFTPServer

    (tmp_path / "far away").mkdir()
    authorizer = authorizers.DummyAuthorizer()
    authorizer.add_user("me", "secret", tmp_path / "far away", perm="elradfmw")
    server = ThreadedFTPServer(("127.0.0.1", 0), type("Handler", (FTPHandler,), {"authorizer": authorizer}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"timeout": 0.1, "handle_exit": False})
    thread.start()
    yield f"ftp://me:secret@127.0.0.1:{server.address[1]}/states"
    server.close_all()
    thread.join()


@pytest.fixture
def s3(monkeypatch):
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    filesystem, _ = url_to_fs("s3://states", skip_instance_cache=True)
    filesystem.makedirs("states", exist_ok=True)
    yield "s3://states/of/cells"
    filesystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=["file", "ftp", "s3"])
def url(request):
    return request.getfixturevalue(request.param)


def names(url):
    """What lies there."""
    filesystem, path = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
    return [found.rpartition("/")[2] for found in filesystem.ls(path, detail=False)] if filesystem.exists(path) else []


@pytest.fixture
def cell(tmp_path):
    return prepare(misfits.study("well"), (), Options(tmp_path / "s", tmp_path / "data", 1, "cpu")).cells[0].cell


def messages(cell, place, tmp_path, stop_after=None):
    """The messages of a training that saves after every batch, and is stopped after so many."""
    settings = Settings(1, 1, "cpu", Environment(tmp_path / "data", download=False), tmp_path, checkpoint_seconds=0)
    asked = iter(range(1000))
    there = order(cell, settings) | {"checkpoint": place}
    return list(worker.messages(there, lambda: stop_after is not None and next(asked) >= stop_after))


def kinds(told):
    return [message["event"] for message in told]


def test_a_training_goes_on_from_its_state_at_a_url(cell, url, tmp_path):
    place = f"{url}/{cell.key}.safetensors"
    whole = messages(cell, str(tmp_path / "here.safetensors"), tmp_path)[-1]["result"]
    first = messages(cell, place, tmp_path, stop_after=6)
    assert kinds(first) == ["started", "epoch", "interrupted"]
    assert names(url) == [f"{cell.key}.safetensors"]
    rest = messages(cell, place, tmp_path)
    assert kinds(rest) == ["started", "epoch", "done"], "the first epoch is in the state"
    assert [rest[-1]["result"][what] for what in ("weights_sha256", "metrics")] == [whole["weights_sha256"], whole["metrics"]]
    checkpoints.remove(place)
    checkpoints.remove(place)
    assert names(url) == []


def test_half_a_state_is_not_read(cell, url, tmp_path):
    place = f"{url}/{cell.key}.safetensors"
    messages(cell, place, tmp_path, stop_after=6)
    filesystem, path = url_to_fs(place)
    content = filesystem.cat_file(path)
    filesystem.pipe_file(path, content[: len(content) // 2])
    filesystem.pipe_file(f"{path}.lost-1", content[:100])  # what a worker leaves that is killed while it writes
    assert kinds(messages(cell, place, tmp_path)) == ["started", "epoch", "epoch", "done"]
    checkpoints.remove(place)
    assert names(url) == []


@pytest.mark.parametrize("when", ["put_file", "mv"])
def test_a_worker_that_is_lost_while_it_writes_leaves_the_older_state(cell, file, tmp_path, monkeypatch, when):
    place = f"{file}/{cell.key}.safetensors"
    messages(cell, place, tmp_path, stop_after=1)
    filesystem, path = url_to_fs(place)
    before = filesystem.cat_file(path)

    def lost(*arguments):
        raise OSError("the network is gone")

    monkeypatch.setattr(type(filesystem), when, lost)
    told = messages(cell, place, tmp_path)
    assert kinds(told) == ["started", "failed"]
    assert told[-1]["error"].endswith("saved states cannot be written there: OSError: the network is gone")
    assert filesystem.cat_file(path) == before


def test_an_object_store_is_written_without_a_copy(s3, ftp, file):
    moves = {url: type(url_to_fs(url)[0]).mv is not AbstractFileSystem.mv for url in (s3, ftp, file)}
    assert list(moves.values()) == [False, True, True]


def test_a_study_that_is_stopped_goes_on_from_s3(s3, tmp_path):
    """With a cluster of its own, whose workers have this process's environment."""

    spec = misfits.study("slow", epochs=3, checkpoint_seconds=0)
    options = Options(tmp_path / "ray", tmp_path / "data", 1, "cpu", {"use": "ray", "checkpoints": s3})
    ears = Listener(lambda: signal.raise_signal(signal.SIGINT))
    _, stopped = run_study(spec, (), options, {"ears": ears}, lambda message: None)
    assert stopped
    assert len(names(s3)) == 1
    run_study(spec, (), options, {"ears": ears}, pytest.fail)
    assert ears.epochs == 6, "no epoch was trained twice"
    assert names(s3) == []
    run_study(spec, (), Options(tmp_path / "local", tmp_path / "data", 1, "cpu"), {}, pytest.fail)
    assert table(tmp_path / "ray") == table(tmp_path / "local")


def test_places_that_nodes_cannot_share_are_refused():
    with pytest.raises(UsageError, match="no other node sees the memory of a process"):
        checkpoints.check("memory://states")
    with pytest.raises(EnvironmentProblem, match="nonsense://x: saved states cannot be kept there: Protocol not known"):
        checkpoints.check("nonsense://x")


def test_a_password_is_not_told(ftp):
    with pytest.raises(EnvironmentProblem, match=r"^ftp://…@127.0.0.1:\d+/states: saved states cannot be kept there: ") as told:
        checkpoints.check(ftp.replace("secret", "wrong"))
    assert "wrong" not in str(told.value)
