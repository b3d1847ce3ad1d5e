"""Cells on a place that others write to: only what was given is believed, whatever becomes of objects and of requests."""

import base64
import json
import random
import threading
import time
import zlib
from types import SimpleNamespace

import fsspec
import pytest

from ablate.contracts import Cell
from ablate.errors import UsageError
from ablate.store import envelopes, objects, remote
from ablate.store.objects import Failed, Objects
from ablate.store.portable import packed
from ablate.store.remote import Remote
from tests.store.filled import result_of

SECRET = b"a key of the whole laboratory"
IDENTITY = {"engine": 2, "data": "d", "packages": {"torch": "2"}}


def cell(number):
    return Cell(f"{number:064x}", {"epochs": 2}, number, "cpu", IDENTITY)


def record(number, accuracy=0.5):
    result = result_of(accuracy)
    return {
        "key": cell(number).key, "recipe": {"epochs": 2, "path": "/elsewhere"}, "seed": number, "device": "cpu",
        "identity": IDENTITY, "started": 1.0, "finished": 2.0, "metrics": result.metrics, "weights_sha256": result.weights_sha256,
        "parameters": 7, "seconds": 1.0, "provenance": {"evaluated_images": 4}, "epochs": result.epochs,
    }  # fmt: skip


SAID = base64.b64decode(result_of(0.5).predictions)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(objects, "PAUSE_SECONDS", 0.0)


@pytest.fixture(params=["folder", "memory"])
def url(request, tmp_path):
    yield str(tmp_path / "shared") if request.param == "folder" else "memory://lab/ablate"
    fsspec.filesystem("memory").store.clear()


def opened(url, secret=None):
    made = Remote(Objects(url), secret)
    made.open()
    return made


def test_a_cell_comes_back_as_it_was_given(url):
    one, other = opened(url), opened(url)
    one.give(record(1), SAID)
    one.give(record(2), None)
    assert other.take(cell(1)) == ({**record(1), "recipe": cell(1).recipe}, SAID), (
        "with the recipe of here, whose paths may differ"
    )
    assert other.take(cell(2))[1] is None
    assert other.take(cell(3)) is None
    other.look()
    assert other.finished == one.finished == {cell(1).key, cell(2).key}
    assert (one.told.given, one.told.lost, other.told.refused) == (2, 0, {})


def test_ten_thousand_cells_are_known_by_one_listing(url, monkeypatch):
    place = Objects(url)
    for number in range(3):
        place.write(f"cells/{number:064x}", b"x")
    place.write("cells/notes.txt", b"mine")
    counted = unreliable(monkeypatch, lambda number: False)
    shared = Remote(Objects(url))
    shared.look()
    assert len(shared.finished) == 3
    assert [name for name in counted.asked if name != "invalidate_cache"] == ["ls"]


def test_what_is_there_is_not_written_again_and_what_was_refused_is(url):
    one, other = opened(url), opened(url)
    one.give(record(1, 0.5), None)
    other.give(record(1, 0.9), None)
    assert other.told.given == 0
    assert one.take(cell(1))[0]["metrics"]["accuracy"] == 0.5
    Objects(url).write(f"cells/{cell(1).key}", b"damaged")
    assert other.take(cell(1)) is None
    assert other.told.refused == {cell(1).key: "it is nothing that ablate wrote"}
    other.give(record(1, 0.5), None)
    assert opened(url).take(cell(1))[0]["metrics"]["accuracy"] == 0.5


def damage(data, others, draws):
    """One of the things that become of objects."""
    data, at = bytearray(data), draws.randrange(len(data))
    match draws.randrange(7):
        case 0:
            data[at] ^= 1 << draws.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at:at] = draws.randbytes(draws.randrange(1, 30))
        case 3:
            data[at : at + 40] = bytes(len(data[at : at + 40]))
        case 4:
            data = bytearray(draws.choice(others))  # of another cell
        case 5:
            data = bytearray(draws.randbytes(len(data)))
        case 6:
            data = bytearray(b"<html>503 Slow Down</html>")
    return bytes(data)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["digests", "signatures"])
def test_none_of_a_thousand_corrupted_objects_is_believed(secret, tmp_path):
    """Only what is the very same object again may be taken."""
    place, draws = Objects(str(tmp_path)), random.Random(1)
    whole = [envelopes.cell(record(number, number / 10), SAID if number % 2 else None, secret) for number in range(1, 9)]
    shared, believed = Remote(place, secret), 0
    for _ in range(1000):
        which = draws.randrange(len(whole))
        data = damage(whole[which], [other for other in whole if other is not whole[which]], draws)
        if data == whole[which]:
            continue
        place.write(f"cells/{cell(which + 1).key}", data)
        believed += shared.take(cell(which + 1)) is not None
    assert believed == 0
    assert len(shared.told.refused) == len(whole)


def forged(key, change):
    """An object with another content and the right digest, as somebody writes who knows the form."""
    told = {"cell": json.loads(packed(record(1))), "predictions": None}
    change(told)
    return envelopes.sealed(cell(1).key, zlib.compress(json.dumps(told).encode()), key)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda told: told["cell"].update(seed=2), "it is of another seed, device or identity"),
        (lambda told: told["cell"]["identity"].update(data="e"), "it is of another seed, device or identity"),
        (lambda told: told["cell"].update(key=cell(2).key), "it is of cell"),
        (lambda told: told["cell"].update(metrics={"accuracy": "1"}), "its 'metrics' is not what ablate writes"),
        (lambda told: told["cell"]["provenance"].update(evaluated_images="<b>"), "its 'provenance' is not what ablate writes"),
        (lambda told: told.update(predictions="AAAA"), "the predictions cannot be read"),
        (lambda told: told.update(predictions=7), "it is no cell: TypeError"),
        (lambda told: told.pop("cell"), "it is no cell: KeyError"),
        (lambda told: told["cell"].update(seconds=float("nan")), "NaN is no number"),
    ],
)
def test_a_cell_that_is_not_the_planned_one_is_refused(tmp_path, change, why):
    place = Objects(str(tmp_path))
    place.write(f"cells/{cell(1).key}", forged(None, change))
    shared = Remote(place)
    assert shared.take(cell(1)) is None
    assert why in shared.told.refused[cell(1).key]


def test_with_a_key_only_what_is_signed_with_it_is_believed(url):
    signed, plain, other = opened(url, SECRET), opened(url), opened(url, SECRET + b"2")
    for number, by in ((1, plain), (2, other)):
        by.give(record(number), None)
        assert signed.take(cell(number)) is None
        assert signed.told.refused[cell(number).key] == "it is not signed with this key"
    Objects(url).write(f"cells/{cell(3).key}", forged(SECRET, lambda told: None))
    assert signed.take(cell(3)) is None, "a signature is for one name"
    signed.give(record(1), None)
    assert signed.take(cell(1))[0]["metrics"] == record(1)["metrics"]


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(envelopes, "LARGEST", 10_000)
    content = zlib.compress(b" " * 1_000_000)
    with pytest.raises(ValueError, match="it has no end, or more than a cell can have"):
        envelopes.cell_in(cell(1).key, envelopes.sealed(cell(1).key, content, None), None)
    place = Objects(str(tmp_path))
    place.write("cells/large", bytes(100_000))
    assert len(place.read("cells/large", 10_000)) == 10_000


# Leases


def test_a_cell_has_one_machine(url):
    one, other = opened(url), opened(url)
    assert one.conditional
    assert (one.lease("a"), one.lease("a"), other.lease("a"), other.lease("b")) == ("mine", "mine", "held", "mine")
    assert other.holder("a") == one.owner.rpartition("-")[0]
    one.release("a")
    assert other.lease("a") == "held", "as long as it was told"
    third = opened(url)
    assert third.lease("a") == "mine"
    for each in (other, third):
        each.release_all()
    assert Objects(url).names("leases") == []


def test_a_hundred_machines_share_twenty_cells(tmp_path):
    """Each is leased to one, by creation in one step."""
    taken, lock = [], threading.Lock()

    def machine():
        shared = Remote(Objects(str(tmp_path)))
        shared.conditional = True
        for number in range(20):
            if shared.lease(str(number)) == "mine":
                with lock:
                    taken.append(number)

    threads = [threading.Thread(target=machine) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(20))


def test_a_lease_that_is_not_renewed_runs_out(url, monkeypatch):
    now = [time.time()]
    monkeypatch.setattr(remote.time, "time", lambda: now[0])
    one, two, three = opened(url), opened(url), opened(url)
    assert one.lease("a") == "mine"
    now[0] += remote.LEASE_SECONDS - 1
    one.renew()
    now[0] += 2
    assert two.lease("a") == "held"
    now[0] += remote.LEASE_SECONDS
    assert (two.lease("a"), three.lease("a")) == ("mine", "held")
    one.renew()  # it was only paused
    now[0] += 1
    assert three.lease("a") == "held"
    two.release("a")
    assert Objects(url).names("leases") == []


@pytest.mark.parametrize("content", [b"", b"{}", b"nonsense", envelopes.sealed("a.0", b'{"owner": "x", "until": 1e300}', None)])
def test_a_lease_without_end_ends(url, monkeypatch, content):
    now = [time.time()]
    monkeypatch.setattr(remote.time, "time", lambda: now[0])
    Objects(url).write("leases/a.0", content)
    shared = opened(url)
    assert shared.lease("a") == "held"
    now[0] += remote.LEASE_SECONDS + 1
    if b"1e300" in content:  # which is read anew, and says that it goes on: as of a machine that renews it
        assert shared.lease("a") == "held"
    else:
        assert shared.lease("a") == "mine"


def test_a_place_that_creates_what_is_there_leases_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Objects, "create", lambda self, name, data: (self.write(name, data), True)[1])
    shared = opened(str(tmp_path))
    assert not shared.conditional
    assert shared.lease("a") == "none"
    shared.give(record(1), None)
    assert shared.told.given == 1


# A place that is slow, fails, or is gone


class Unreliable:
    """A file system of which requests fail."""

    def __init__(self, fails):
        self.fails, self.asked = fails, []

    def __getattr__(self, name):
        found = getattr(self.real, name)
        if not callable(found):
            return found

        def call(*arguments, **more):
            self.asked.append(name)
            if self.fails(len(self.asked)):
                raise ConnectionError(f"no luck with {name}")
            return found(*arguments, **more)

        return call


def unreliable(monkeypatch, fails):
    """The file system of what is opened from now on; a request fails where this is true of its number."""
    find, made = fsspec.core.url_to_fs, Unreliable(fails)

    def found(url):
        made.real, root = find(url)
        return made, root

    monkeypatch.setattr("fsspec.core.url_to_fs", found)
    return made


def test_requests_that_fail_half_of_the_time_are_made_again(url, monkeypatch):
    real, draws = objects.in_time, random.Random(3)

    def half(request):
        if draws.random() < 0.5:
            raise ConnectionError("no luck")
        return real(request)

    monkeypatch.setattr(objects, "in_time", half)
    place = Objects(url)
    shared = Remote(place)
    for number in range(30):
        shared.give(record(number), None)
    taken = [shared.take(cell(number)) for number in range(30)]
    assert shared.told.lost <= 3
    assert sum(found is not None for found in taken) >= 24
    assert place.counts.tried_again > 30
    assert place.counts.reasons == {"ConnectionError": "no luck"}


def test_a_place_that_is_gone_is_not_asked_any_more(url, monkeypatch):
    broken = unreliable(monkeypatch, lambda number: True)
    place = Objects(url)
    shared = Remote(place)
    with pytest.raises(Failed):
        shared.open()
    for number in range(50):
        shared.give(record(number), None)
        assert shared.take(cell(number)) is None
        assert shared.lease(str(number)) == "none"
    assert len(broken.asked) <= 1 + objects.GONE_AFTER * objects.TRIES * 2
    assert (shared.told.lost, place.counts.failed) == (50, 101)
    later = time.monotonic() + objects.GONE_SECONDS
    monkeypatch.setattr(objects, "time", SimpleNamespace(monotonic=lambda: later, sleep=time.sleep))
    broken.fails = lambda number: False
    shared.give(record(1), None)
    assert shared.told.given == 1


def test_a_request_that_hangs_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(objects, "TRIES", 2)
    hangs = threading.Event()
    monkeypatch.setattr(fsspec.filesystem("file"), "ls", lambda *_, **__: hangs.wait(30))
    place = Objects(str(tmp_path))
    with pytest.raises(Failed):
        place.names("cells")
    hangs.set()
    assert "TimeoutError" in place.counts.reasons


def test_an_address_that_nobody_knows_is_refused():
    with pytest.raises(UsageError, match=r"--remote nope://x: Protocol not known: nope\. .* ablate-core\[remote\]"):
        Objects("nope://x")
