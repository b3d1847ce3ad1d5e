"""Trainers that break their contract."""

import json
import random
import subprocess
import sys
import uuid
from dataclasses import replace

from ablate.contracts import Result
from ablate.errors import Problem
from ablate.spec.trainer import Facts, Interrupted, Trainer
from ablate.writing import replaced

CAUGHT = {
    "open_to_all": ("test_an_unknown_field_is_refused", "must be positional-only (what the engine gives) or keyword-only"),
    "complaining": ("test_what_it_says_before_training_has_the_right_form", "`problems` finds something wrong with `component`"),
    "mumbling": ("test_what_it_says_before_training_has_the_right_form", "give an `ablate.errors.Problem` for each"),
    "talking_to_itself": ("test_what_it_says_before_training_has_the_right_form", "give a list of sentences"),
    "never_the_same": ("test_its_identity_is_json_and_the_same_every_time", "compute it from the recipe and files alone"),
    "unwritable": (
        "test_its_identity_is_json_and_the_same_every_time",
        "`identity` gives {'files': ('train.py',)}, which is not",
    ),
    "forgetting": (
        "test_the_metrics_are_those_that_it_declares",
        "the result has the metrics score, and `metrics` of the trainer",
    ),
    "surprising": ("test_the_metrics_are_those_that_it_declares", "a record has extra, which `metrics` of the trainer does not"),
    "diverging": ("test_the_metrics_are_those_that_it_declares", "a metric is no finite number: {'score': nan}"),
    "sparing": ("test_the_metrics_are_those_that_it_declares", "the record of epoch 2 has none of the metrics"),
    "from_zero": ("test_epochs_count_from_one", "the result has the epochs [0, 1, 2, 3, 4, 5]: count from 1"),
    "silent": ("test_epochs_count_from_one", "it yields records of the epochs [], and the result has [1, 2, 3, 4, 5, 6]"),
    "short": ("test_epochs_count_from_one", "it gives 6 records, and `epochs` of the trainer is 7"),
    "unseeded": ("test_the_same_seed_gives_the_same_numbers", "Draw all that is random from generators that are made of"),
    "deaf": ("test_another_seed_gives_another_result", "draw what is random from `cell.seed`"),
    "unstoppable": ("test_it_stops_when_it_is_asked", "it was asked to stop before it began, and has trained to its end"),
    "slow_to_stop": ("test_it_stops_when_it_is_asked", "it has yielded 100 times since it was asked to stop, and goes on"),
    "lost": ("test_it_stops_when_it_is_asked", "`reached` gives 1: give finished epochs"),
    "starting_over": ("test_interrupted_it_ends_as_it_would_have", "interrupted after 0 yields, it ends with other numbers"),
    "stumbling": ("test_interrupted_it_ends_as_it_would_have", "interrupted again and again, it ends with other numbers"),
    "half_saving": ("test_a_failure_leaves_nothing_behind", "it cannot go on from what it has saved"),
    "leaving": ("test_a_failure_leaves_nothing_behind", "a failure leaves its processes"),
    "calm": ("test_a_failure_leaves_nothing_behind", "an exception in it is lost, and it ends as if all was well"),
    "shaking": ("test_it_leaves_the_global_generators_as_they_are", "it leaves a global generator in another state"),
}
EPOCHS = 6


def scores(cell, environment, device, controls, draw=lambda seed, epoch: random.Random(f"{seed}/{epoch}").random(), first=1):
    """As a trainer should: six epochs, each with a score that its seed gives, and the state whole after each."""
    records = json.loads(controls.checkpoint.read_text()) if controls.checkpoint.exists() else []
    for epoch in range(first + len(records), first + EPOCHS):
        records.append({"epoch": epoch, "score": draw(cell.seed, epoch)})
        controls.check()
        with replaced(controls.checkpoint) as temporary:
            temporary.write_text(json.dumps(records))
        if controls.should_stop():
            raise Interrupted
        yield records[-1]
    return Result(records, {"score": records[-1]["score"]}, None, 0.0, None)


SOUND = Trainer(metrics={"score": False}, train=scores, epochs=EPOCHS)


def changed(change):
    """Trains soundly, and then changes the result."""

    def train(*given):
        return change((yield from scores(*given)))

    return replace(SOUND, train=train)


def open_to_all(registry, /, **fields):
    """Takes whatever there is."""
    return SOUND


def complaining(registry, /):
    """Finds fault with what is right."""
    return replace(SOUND, problems=lambda: [Problem("epochs", "are too few")])


def mumbling(registry, /):
    """Says what it has to say in plain text."""
    return replace(SOUND, remarks=lambda facts, device: ["it is large"])


def talking_to_itself(registry, /):
    """A text where a list of them is expected."""
    return replace(SOUND, facts=lambda environment: Facts("12 files are left out"))


def never_the_same(registry, /):
    """Another trainer each time."""
    return replace(SOUND, identity=lambda device: {"name": uuid.uuid4().hex})


def unwritable(registry, /):
    """An identity that comes back from JSON as another one."""
    return replace(SOUND, identity=lambda device: {"files": ("train.py",)})


def forgetting(registry, /):
    """Declares more than it measures."""
    return replace(SOUND, metrics={"score": False, "loss": True})


def surprising(registry, /):
    """Measures more than it declares."""
    return changed(lambda result: replace(result, epochs=[record | {"extra": 1.0} for record in result.epochs]))


def diverging(registry, /):
    """A metric that is no number."""
    return replace(SOUND, train=lambda *given: scores(*given, draw=lambda seed, epoch: float("nan")))


def sparing(registry, /):
    """An epoch without metrics, and no word why."""
    return changed(lambda result: replace(result, epochs=[result.epochs[0], {"epoch": 2}, *result.epochs[2:]]))


def from_zero(registry, /):
    """Epochs as a loop counts them."""
    return replace(SOUND, train=lambda *given: scores(*given, first=0))


def silent(registry, /):
    """Yields places to be interrupted at, and no records."""

    def train(*given):
        steps = scores(*given)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            yield None

    return replace(SOUND, train=train)


def short(registry, /):
    """An epoch less than it says."""
    return replace(SOUND, epochs=EPOCHS + 1)


def unseeded(registry, /):
    """Draws from Python's generator."""
    return replace(SOUND, train=lambda *given: scores(*given, draw=lambda seed, epoch: random.random()))


def deaf(registry, /):
    """Draws the same for every seed."""
    return replace(SOUND, train=lambda *given: scores(*given, draw=lambda seed, epoch: random.Random(epoch).random()))


def unstoppable(registry, /):
    """Never asks whether it is to stop."""

    def train(cell, environment, device, controls):
        return scores(cell, environment, device, replace(controls, should_stop=lambda: False))

    return replace(SOUND, train=train)


def slow_to_stop(registry, /):
    """Waits for something before it stops."""

    def train(*given):
        yield from [None] * 200
        return (yield from scores(*given))

    return replace(SOUND, train=train)


def lost(registry, /):
    """Says an epoch where an epoch and a batch are expected."""
    return replace(SOUND, reached=lambda controls, key: 1)


def starting_over(registry, /):
    """Draws one number after the other, and begins again with the first when it goes on."""

    def train(cell, environment, device, controls):
        generator = random.Random(cell.seed)
        return scores(cell, environment, device, controls, draw=lambda seed, epoch: generator.random())

    return replace(SOUND, train=train)


def stumbling(registry, /):
    """Goes on as it should, but for the second time."""

    def train(cell, environment, device, controls):
        sittings = controls.checkpoint.with_suffix(".sittings")
        count = len(sittings.read_text()) if sittings.exists() else 0
        sittings.write_text("x" * (count + 1))
        return scores(cell, environment, device, controls, draw=lambda seed, epoch: seed + epoch + (count if count > 1 else 0))

    return replace(SOUND, train=train)


def half_saving(registry, /):
    """Looks whether all is as planned when half of its state is written."""

    def train(cell, environment, device, controls):
        state = controls.checkpoint.with_suffix(".json")
        if state.exists():
            json.loads(state.read_text())
        with state.open("w") as file:
            file.write('{"weights": ')
            file.flush()
            controls.check()
            file.write("[]}")
        return (yield from scores(cell, environment, device, controls))

    return replace(SOUND, train=train)


def leaving(registry, /):
    """Starts a process, and ends it when all goes well."""

    def train(*given):
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
        result = yield from scores(*given)
        process.kill()
        process.wait()
        return result

    return replace(SOUND, train=train)


def calm(registry, /):
    """Goes on whatever happens."""

    def train(*given):
        steps = scores(*given)
        while True:
            try:
                record = next(steps)
            except StopIteration as end:
                return end.value or Result([], {}, None, 0.0, None)
            except RuntimeError:
                continue
            try:
                yield record
            except Exception:
                continue

    return replace(SOUND, train=train)


def shaking(registry, /):
    """Sets Python's generator."""

    def train(cell, *given):
        random.seed(cell.seed)
        return (yield from scores(cell, *given))

    return replace(SOUND, train=train)
