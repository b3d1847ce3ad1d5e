"""What a trainer has to keep: numbers that follow from the cell alone, interrupted or not, and nothing left by failures."""

import json
import math
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ablate.contracts import EPOCH_NOTES, EPOCH_NUMBERS, Cell, Result
from ablate.errors import Problem, checked, describe
from ablate.plan.comparing import metric_problems
from ablate.registry import default
from ablate.spec.identity import canonical_recipe, make_cell, recipe_digest, recipe_identity
from ablate.spec.patch import changes
from ablate.spec.recipe import resolve
from ablate.spec.trainer import Controls, Facts, Interrupted, Trainer, trainer_of

from .component import ReadingContract
from .processes import descendants, running
from .randomness import global_generators, global_states
from .sittings import Failure, Places, Sitting, numbers

PLACES = 12  # that a training is interrupted at, or fails at
HOUR = 3600.0
SAVE_AND_STOP = "save the state, and raise `ablate.spec.trainer.Interrupted`."


class TrainerContract(ReadingContract):
    """From the registry and the fields of a recipe to an `ablate.spec.trainer.Trainer`.

    `component` is a recipe, as small as it can be, with two epochs or more: it is trained a hundred times.

    Attributes:
        patience: How often it may yield after it was asked to stop.
    """

    kind: ClassVar[str] = "trainer"
    patience: int = 100

    def resolve(self, **settings: Any) -> tuple[dict[str, Any], list[Problem]]:
        self.loaded()
        return checked(resolve(default(), {**self.component, **settings}, "component", {}))

    def built(self, resolved: dict[str, Any], *engine_arguments: Any) -> Trainer:
        return trainer_of(default(), resolved)

    def cell(self, seed: int = 0) -> Cell:
        """The cell of `component` and a seed, on a CPU."""
        trainer, (recipe, _) = self.make(), self.resolve()
        identity = recipe_identity(default(), recipe, trainer.fingerprint(self._environment), "cpu")
        return make_cell(recipe, recipe_digest(canonical_recipe(default(), recipe), "cpu", identity), seed, "cpu", identity)

    def train(self, cell: Cell, checkpoint: Path, stop_after: float = math.inf) -> Sitting:
        """Trains a cell, from its checkpoint where it has one, until it ends or has stopped.

        Args:
            cell: Of this trainer.
            checkpoint: File of its state.
            stop_after: So many yields after which it is asked to stop.
        """
        sitting = Sitting()
        controls = Controls(checkpoint, HOUR, lambda: sitting.yields >= stop_after)
        steps = self.make().train(cell, self._environment, "cpu", controls)
        try:
            while True:
                record = next(steps)
                sitting.yields += 1
                sitting.records += [] if record is None else [deepcopy(record)]
                if sitting.yields > stop_after + self.patience:
                    pytest.fail(
                        f"it has yielded {self.patience} times since it was asked to stop, and goes on: ask "
                        f"`controls.should_stop()` at every yield, {SAVE_AND_STOP}",
                        pytrace=False,
                    )
        except StopIteration as end:
            sitting.result = end.value
        except Interrupted:
            assert stop_after < math.inf, "it raises `Interrupted`, and nobody has asked it to stop."
        finally:
            steps.close()
        return sitting

    def whole(self, checkpoint: Path, seed: int = 0) -> Result:
        """What a training without interruptions gives."""
        result = self.train(self.cell(seed), checkpoint).result
        assert isinstance(result, Result), f"it ends with {result!r}: let its generator return an `ablate.contracts.Result`."
        return result

    def continued(self, cell: Cell, checkpoint: Path) -> Result:
        """What a training gives that goes on from its checkpoint."""
        try:
            result = self.train(cell, checkpoint).result
        except Exception as error:  # whatever the trainer raises
            pytest.fail(
                f"it cannot go on from what it has saved: {describe(error)}\nWrite a state with ablate.writing.replaced, so that "
                "it is whole or not there, and begin anew where there is none.",
                pytrace=False,
            )
        assert result is not None
        return result

    def test_an_unknown_field_is_refused(self) -> None:
        _, found = self.resolve(no_such_field=1)
        assert any("no_such_field" in problem.path for problem in found), "a field that it does not have is accepted."

    def test_what_it_says_before_training_has_the_right_form(self) -> None:
        trainer, notices = self.make(), list[Problem]()
        facts = trainer.facts(self._environment)
        assert isinstance(facts, Facts), f"`facts` gives {facts!r}: give an `ablate.spec.trainer.Facts`."
        sentences = [isinstance(notice, str) and "\n" not in notice and notice.strip() for notice in facts.notices]
        assert not isinstance(facts.notices, str), f"the notices of `facts` are {facts.notices!r}: give a list of sentences."
        assert all(sentences), f"the notices of `facts` are {list(facts.notices)!r}: give a sentence in a line each."
        wrong = {
            "problems": [*metric_problems(trainer), *trainer.problems()],
            "device_problems": list(trainer.device_problems("cpu")),
            "preflight": list(trainer.preflight(self._environment, "cpu", None, notices)),
        }
        for name, found in {**wrong, "remarks": list(trainer.remarks(facts, "cpu")), "preflight notices": notices}.items():
            others = [problem for problem in found if not isinstance(problem, Problem)]
            assert not others, f"`{name}` gives {others[0]!r}: give an `ablate.errors.Problem` for each."
        for name, found in wrong.items():
            assert not found, f"`{name}` finds something wrong with `component` of this test: {found[0]}"

    def test_its_identity_is_json_and_the_same_every_time(self) -> None:
        one, other = self.make(), self.make()
        for name, first, second in (
            ("identity", one.identity("cpu"), other.identity("cpu")),
            ("fingerprint", one.fingerprint(self._environment), other.fingerprint(self._environment)),
            ("data", one.data, other.data),
        ):
            assert _is_json(first), (
                f"`{name}` gives {first!r}, which is not as JSON has it: use dicts with text as keys, lists, text and numbers."
            )
            assert first == second, f"`{name}` gives {first!r}, and then {second!r}: compute it from the recipe and files alone."

    def test_the_metrics_are_those_that_it_declares(self, tmp_path: Path) -> None:
        trainer, result = self.make(), self.whole(tmp_path / "state")
        declared = set(trainer.metrics)
        assert set(result.metrics) == declared, (
            f"the result has the metrics {_listed(result.metrics)}, and `metrics` of the trainer has {_listed(declared)}."
        )
        for record in [*result.epochs, result.metrics]:
            if strange := record.keys() - declared - {*EPOCH_NUMBERS, *EPOCH_NOTES}:
                pytest.fail(f"a record has {_listed(strange)}, which `metrics` of the trainer does not have.", pytrace=False)
            bad = {name: record[name] for name in declared & record.keys() if not _is_finite(record[name])}
            assert not bad, f"a metric is no finite number: {bad}. Raise an error where training diverges."
        assert _is_json(result.to_json()), (
            "the result is not as JSON has it: use float() and int() for numbers of NumPy and torch."
        )
        for record in result.epochs:
            lacking, why = declared - record.keys(), trainer.not_told_at(record["epoch"])
            assert bool(lacking) == bool(why), (
                f"the record of epoch {record['epoch']} has {_listed(declared - lacking)} of the metrics, and `not_told_at` says "
                f"{why!r}: let it say why there are none, and nothing where there are."
            )

    def test_epochs_count_from_one(self, tmp_path: Path) -> None:
        trainer, sitting = self.make(), self.train(self.cell(), tmp_path / "state")
        assert sitting.result is not None
        epochs = [record.get("epoch") for record in sitting.result.epochs]
        assert epochs == list(range(1, len(epochs) + 1)), f"the result has the epochs {epochs}: count from 1."
        yielded = [record.get("epoch") for record in sitting.records]
        assert yielded == epochs, f"it yields records of the epochs {yielded}, and the result has {epochs}: yield each once."
        assert trainer.epochs in (None, len(epochs)), (
            f"it gives {len(epochs)} records, and `epochs` of the trainer is {trainer.epochs}: give as many as it says, or None "
            "where that is not known before."
        )

    def test_the_same_seed_gives_the_same_numbers(self, tmp_path: Path) -> None:
        self._skip_where_nothing_repeats()
        results = []
        for number in (1, 2):
            with global_generators(number):
                results.append(numbers(self.whole(tmp_path / f"{number}")))
        assert results[0] == results[1], (
            f"a cell gives other numbers when it is trained again: {_difference(*results)}. Draw all that is random from "
            "generators that are made of `cell.seed`, or say `repeats=False`."
        )

    def test_another_seed_gives_another_result(self, tmp_path: Path) -> None:
        results = [numbers(self.whole(tmp_path / f"{seed}", seed)) for seed in (0, 1)]
        assert results[0] != results[1], "two seeds give the same numbers: draw what is random from `cell.seed`."

    def test_it_stops_when_it_is_asked(self, tmp_path: Path) -> None:
        cell, controls = self.cell(), Controls(tmp_path / "state")
        asked = self.train(cell, controls.checkpoint, stop_after=0)
        assert asked.result is None, (
            "it was asked to stop before it began, and has trained to its end: ask `controls.should_stop()` at every yield, "
            f"{SAVE_AND_STOP}"
        )
        reached = self.make().reached(controls, cell.key)
        if reached is None:
            return
        pair = isinstance(reached, tuple) and [isinstance(number, int) and number >= 0 for number in reached] == [True, True]
        assert pair, f"`reached` gives {reached!r}: give finished epochs, and batches of the next one; or None."

    def test_interrupted_it_ends_as_it_would_have(self, tmp_path: Path) -> None:
        self._skip_where_nothing_repeats()
        cell = self.cell()
        whole = self.train(cell, tmp_path / "whole")
        assert whole.result is not None
        expected = numbers(whole.result)
        for place in _spread(whole.yields):
            checkpoint = tmp_path / f"{place}"
            self.train(cell, checkpoint, stop_after=place)
            self._same(expected, self.continued(cell, checkpoint), f"interrupted after {place} yields")
        often = tmp_path / "often"
        for _ in _spread(whole.yields):
            self.train(cell, often, stop_after=1)
        self._same(expected, self.continued(cell, often), "interrupted again and again")

    def test_a_failure_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """Something that it calls or yields to fails once; then no process of it runs on, and it can be trained again."""
        cell = self.cell()
        expected = numbers(self.whole(tmp_path / "whole"))
        places = self._failing(cell, tmp_path / "counted", math.inf).count
        before = descendants()
        for place in _spread(places):
            checkpoint = tmp_path / f"{place}"
            failed = self._failing(cell, checkpoint, place)
            left = running((failed.processes | descendants()) - before)
            assert not left, f"a failure leaves its processes {left} behind: end in a `finally` what it has started."
            ended = self.continued(cell, checkpoint)
            if self.make().repeats:
                self._same(expected, ended, "trained again after a failure")

    def test_it_leaves_the_global_generators_as_they_are(self, tmp_path: Path) -> None:
        self.whole(tmp_path / "first")  # what is drawn when a library is imported
        with global_generators(1):
            before = global_states()
            self.whole(tmp_path / "second")
            assert global_states() == before, (
                "it leaves a global generator in another state, for the next cell of the process: draw from generators of its "
                "own, or put the states of Python's, NumPy's and torch's back."
            )

    def _skip_where_nothing_repeats(self) -> None:
        if not self.make().repeats:
            pytest.skip("it says that the same cell does not give the same numbers")

    def _same(self, expected: dict[str, Any], result: Result, how: str) -> None:
        other = _difference(expected, numbers(result))
        assert not other, (
            f"{how}, it ends with other numbers: {other}. Save all that the rest of a training follows from, or draw it from "
            "`cell.seed` and the epoch."
        )

    def _failing(self, cell: Cell, checkpoint: Path, place: float) -> Places:
        """Trains until it fails at this one of its places; to its end where there are not so many."""
        here = Places(place)
        steps = self.make().train(cell, self._environment, "cpu", Controls(checkpoint, 0.0, here, here))
        try:
            next(steps)
            while True:
                try:
                    here()
                except Failure as failure:
                    steps.throw(failure)
                else:
                    next(steps)
        except StopIteration:
            assert here.count <= place, "an exception in it is lost, and it ends as if all was well: raise what it cannot mend."
        except Exception:  # the failure, in whatever words it is told
            if here.count <= place:
                raise
        return here


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    return "; ".join(changes(one, other)[:3])


def _spread(count: int) -> list[int]:
    """All numbers below `count`, or some of them from the first to the last where they are many."""
    return list(range(count)) if count <= PLACES else [index * (count - 1) // (PLACES - 1) for index in range(PLACES)]


def _is_json(value: Any) -> bool:
    """Whether it is the same when it was written as JSON and read again."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
