"""Random histories of several drivers on one store, against a model that is a dict."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ablate.contracts import Cell, Result
from ablate.store import Store
from ablate.study import Compare, VariantInfo

KEYS = [letter * 64 for letter in "abcd"]
DRIVERS = 3


def result(number):
    return Result([{"epoch": 1, "train_loss": 1.0, "n": number}], {"accuracy": number / 100}, f"w{number}", 1.0, 7)


class Drivers(RuleBasedStateMachine):
    """The model: for each key its status, its owner, its attempts, and the number of its result."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.drivers = {}
        self.cells = {}
        self.studies = {}
        self.results = 0
        for number in range(DRIVERS):
            self.open(number)
        self.reader = Store(Path(self.folder.name))

    def open(self, number):
        self.drivers[number] = Store(Path(self.folder.name))

    def teardown(self):
        for store in [*self.drivers.values(), self.reader]:
            store.__exit__()
        self.folder.cleanup()

    @rule(number=st.integers(0, DRIVERS - 1), key=st.sampled_from(KEYS))
    def claim(self, number, key):
        status, owner, attempts, _ = self.cells.get(key, ("missing", None, 0, None))
        told = self.drivers[number].claim(Cell(key, {}, 0, "cpu", {}), {"n": number})
        if status == "done":
            assert told == "done"
        elif status == "running" and owner is not None:
            assert told == "held"
        else:
            assert told == "claimed"
            self.cells[key] = ("running", number, attempts + 1, None)

    def held_by(self, number):
        return [key for key, (status, owner, _, _) in self.cells.items() if status == "running" and owner == number]

    @rule(number=st.integers(0, DRIVERS - 1), key=st.sampled_from(KEYS))
    def finish(self, number, key):
        """Only the driver that holds a cell records its result."""
        self.results += 1
        recorded = self.drivers[number].finish(key, result(self.results))
        assert recorded == (key in self.held_by(number))
        if recorded:
            self.cells[key] = ("done", None, self.cells[key][2], self.results)

    @rule(number=st.integers(0, DRIVERS - 1), key=st.sampled_from(KEYS), status=st.sampled_from(["failed", "interrupted"]))
    def fail(self, number, key, status):
        self.drivers[number].fail(key, status, "why \udc80", None)
        if key in self.held_by(number):
            self.cells[key] = (status, None, self.cells[key][2], None)

    @rule(number=st.integers(0, DRIVERS - 1), key=st.sampled_from(KEYS))
    def epoch(self, number, key):
        self.drivers[number].record_epoch(key, {"epoch": 1, "train_loss": 2.0, "n": -1})

    @rule(number=st.integers(0, DRIVERS - 1))
    def crash(self, number):
        """The system drops the lock and the connection; the lock file stays, and what the driver held is free."""
        store = self.drivers[number]
        store.__exit__()
        lock = store.directory / "drivers" / f"{store.drivers.own}.lock"
        if self.held_by(number):
            lock.touch()
        for key in self.held_by(number):
            self.cells[key] = ("running", None, self.cells[key][2], None)
        self.open(number)

    @rule(number=st.integers(0, DRIVERS - 1))
    def leave(self, number):
        """A driver that ends holds nothing any more."""
        self.drivers[number].__exit__()
        for key in self.held_by(number):
            self.cells[key] = ("running", None, self.cells[key][2], None)
        self.open(number)

    @rule(number=st.integers(0, DRIVERS - 1), name=st.sampled_from("xy"), keys=st.lists(st.sampled_from(KEYS), min_size=1))
    def save_study(self, number, name, keys):
        plan = {
            "question": "?",
            "compare": vars(Compare("accuracy", "last", "v0")),
            "variants": [vars(VariantInfo(f"v{i}", {}, ())) for i in range(len(keys))],
            "metrics": ["accuracy"],
            "published": {},
        }
        self.drivers[number].save_study(name, {}, plan, [(f"v{i}", i, key) for i, key in enumerate(keys)])
        self.studies[name] = keys

    @precondition(lambda self: self.studies)
    @invariant()
    def studies_join_what_is_known(self):
        for name, keys in self.studies.items():
            study = self.reader.study(name)
            assert study.cells["key"].tolist() == keys
            for row in study.cells.itertuples():
                status, owner, _, number = self.cells.get(row.key, ("missing", None, 0, None))
                assert row.status == ("interrupted" if status == "running" and owner is None else status)
                assert (row.accuracy == number / 100) if number else row.accuracy != row.accuracy
            done = [(f"v{i}", self.cells[key][3]) for i, key in enumerate(keys) if self.cells.get(key, "?")[0] == "done"]
            told = study.epochs[study.epochs["variant"].isin([variant for variant, _ in done])]
            assert [(row.variant, row.n) for row in told.itertuples()] == done, "the epochs of a result are its own"

    @invariant()
    def nothing_is_lost_and_attempts_are_counted(self):
        rows = self.reader.access.read("SELECT key, status, attempt FROM cells")
        assert {row["key"]: (row["status"], row["attempt"]) for row in rows} == {
            key: (status, attempts) for key, (status, _, attempts, _) in self.cells.items()
        }
        done = {key for key, cell in self.cells.items() if cell[0] == "done"}
        assert self.reader.stored(KEYS) == done


TestDrivers = Drivers.TestCase
TestDrivers.settings = settings(max_examples=20, stateful_step_count=20, deadline=None, derandomize=True)
