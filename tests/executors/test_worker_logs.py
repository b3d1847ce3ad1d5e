"""What the local executor knows of a worker without training anything: its log, its messages, its end."""

import subprocess
import sys
import tempfile

import pytest

from ablate.executors import workers
from ablate.executors.workers import Pool, Training, Worker, parsed

ECHO = "import sys\nfor line in sys.stdin: print(line, end='', file=sys.stderr, flush=True); print(flush=True)"


@pytest.fixture
def worker():
    """A process that writes what it is told into its log."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1
        )
        made = Worker(process, log)
        yield made
        made.end()
        process.wait(60)


def say(worker, text):
    worker.process.stdin.write(f"{text}\n")
    worker.process.stdout.readline()


def test_the_log_of_a_training_is_what_was_printed_during_it(worker, monkeypatch):
    say(worker, "before")
    training = Training(None, 0.0, worker.log_size())
    say(worker, "during \N{SNOWMAN}")
    assert worker.log_of(training) == "during \N{SNOWMAN}"
    monkeypatch.setattr(workers, "LOG_BYTES", 3)
    say(worker, "1234")
    assert worker.log_of(training) == "34", "the last of it"


def test_a_log_that_begins_anew_takes_no_place(worker):
    training = worker.trainings["key"] = Training(None, 0.0, worker.log_size())
    say(worker, "x" * 10_000)
    worker.forget_log()
    assert worker.log_size() == 0
    say(worker, "more")
    assert worker.log_size() == 5, "the process writes at the new end"
    assert worker.log_of(training) == "more"


@pytest.mark.parametrize("line", ["\ufffd\x00", "17", "[]", "{}", '{"event": "done"', ""])
def test_what_is_no_message_is_known(line):
    assert parsed(line) is None
    assert parsed('{"event": "ready"}') == {"event": "ready"}


def test_a_worker_that_has_ended_is_sent_nothing(worker):
    pool = Pool()
    worker.end()
    pool.send(worker, do="stop")
    worker.process.wait(60)
    pool.send(worker, do="stop")
    assert worker.process.returncode == 0
