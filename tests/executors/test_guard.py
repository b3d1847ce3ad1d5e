"""The guard ends as its command did, and with it everything that came of the command."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablate.executors import guard

CHILD = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], {how}); "
LINUX = pytest.mark.skipif(not guard.CHILDREN.exists(), reason="only Linux says who the children are")


def guarded(code):
    command = [sys.executable, "-IS", guard.__file__, sys.executable, "-c", code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def runs(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(7)", 7),
        ("os.abort()", -6),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 15)", -15),
    ],
)
def test_it_ends_as_the_command_does(end, code):
    reset = "import os, signal, sys; signal.signal(15, signal.SIG_DFL); "
    assert guarded(reset + end).wait(60) == code


def test_the_command_has_the_streams():
    process = guarded("print(input()[::-1], flush=True); input()")
    process.stdin.write("message\n")
    process.stdin.flush()
    assert process.stdout.readline() == "egassem\n"
    process.stdin.close()
    process.wait(60)


@LINUX
@pytest.mark.parametrize("how", ["", "start_new_session=True"])
@pytest.mark.parametrize("end", ["sys.exit(3)", "import os; os.abort()", "import re; re.match('(a*)*b', 'a' * 64)"])
def test_nothing_that_came_of_the_command_is_left(how, end):
    """Whether the command ends by itself or, hanging where no Python runs, by the end of its input; the child has no parent."""
    middle = CHILD.format(how=how) + "print(p.pid, flush=True)"
    process = guarded(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}]); {end}")
    child = int(process.stdout.readline())
    if "match" in end:
        assert runs(child)
        process.stdin.close()
    process.wait(60)
    assert not runs(child)
    assert process.returncode == {"s": 3, "o": -6, "r": -9}[end.removeprefix("import ")[0]]


@LINUX
def test_signals_to_a_whole_job_do_not_reach_the_command():
    process = guarded("print('begun', flush=True); input(); print('went on', flush=True)")
    assert process.stdout.readline() == "begun\n"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
        for command in guard_children(process.pid):
            subprocess.run(["kill", f"-{number.value}", command], check=True)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "went on\n"
    process.stdin.close()
    process.wait(60)


@LINUX
def test_the_command_ends_with_a_killed_guard():
    process = guarded("print('begun', flush=True); input()")
    assert process.stdout.readline() == "begun\n"
    (command,) = guard_children(process.pid)
    process.kill()
    process.wait(60)
    end = time.monotonic() + 30
    while runs(command):
        assert time.monotonic() < end, "the command outlived its guard"
        time.sleep(0.02)


def guard_children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
