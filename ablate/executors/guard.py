"""Runs a command, and ends it with everything that it started: `python guard.py COMMAND...`.

A worker runs other people's code, which may crash, hang where no Python runs, or start processes of its own. So each worker has a
guard: a small process that imports nothing of this package. When standard input ends, because the driver closed it or died, or
when the command ends by itself, nothing that came of the command is left, and the guard ends as the command did.

On Linux a process whose parent is gone becomes a child of the guard, whatever group or session it has moved to. Elsewhere only
the command itself is ended.
"""

import ctypes
import os
import resource
import select
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of <linux/prctl.h>
CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def main(command: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they reach a whole terminal or job; the driver says what becomes of workers
    if CHILDREN.exists():
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    news, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    worker = os.fork()
    if worker == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # for the case that the guard itself is killed
        os.execv(command[0], command)  # noqa: S606
    codes: dict[int, int] = {}
    events = select.poll()
    events.register(0, 0)  # its end is told unasked; what comes there is for the worker
    events.register(news, select.POLLIN)
    while worker not in codes and all(file != 0 for file, _ in events.poll()):
        os.read(news, 4096)
        _reap(codes, os.WNOHANG)
    while True:
        for child in _children(worker, codes):
            os.kill(child, signal.SIGKILL)
        if not _reap(codes, 0):
            break
    _end_like(codes[worker])


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _reap(codes: dict[int, int], options: int) -> bool:
    """Takes the exit codes of ended children, with `WNOHANG` of all, else of the next; False where there is no child."""
    while True:
        try:
            child, status = os.waitpid(-1, options)
        except ChildProcessError:
            return False
        if child == 0:
            return True
        codes[child] = os.waitstatus_to_exitcode(status)
        if not options:
            return True


def _children(worker: int, codes: dict[int, int]) -> list[int]:
    if CHILDREN.exists():
        return [int(child) for child in CHILDREN.read_text().split()]
    return [] if worker in codes else [worker]


def _end_like(code: int) -> None:
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the worker has left its core, if any
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
