"""The `ablate` command. Heavy modules are imported inside the command that needs them."""

import atexit
import gc
import sys

from typer import Exit

from ablate.errors import AblateError, ExitCode
from ablate.writing import DISK_ERRORS, REMEDY

from . import output  # isort: skip
from . import beginning, running, planning, watching, judging, results, trained, stores, packages, measuring  # isort: skip  # the order of the commands in --help
from .common import app, complain

__all__ = [
    "app",
    "beginning",
    "judging",
    "main",
    "measuring",
    "packages",
    "planning",
    "results",
    "running",
    "stores",
    "trained",
    "watching",
]


def main() -> None:
    """Entry point: turns what goes wrong into a message and an exit code."""
    output.prepare()
    gc.set_threshold(200_000, 20, 50)  # a command keeps most of what it makes, and looking through it takes time
    atexit.register(gc.freeze)  # or the interpreter's last collection goes through all that was imported: a fifth of `judge`
    try:
        _run()
    except SystemExit as end:
        lost = output.failure()
        if lost and not end.code:
            complain(f"the output cannot be written: {lost}. What was stored is kept. {REMEDY}", ExitCode.ENVIRONMENT)
        raise


def _run() -> None:
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except SystemExit as end:
        if _interrupted(end):
            complain("interrupted", ExitCode.INTERRUPTED)
        raise
    except KeyboardInterrupt:
        complain("interrupted", ExitCode.INTERRUPTED)
    except AblateError as error:
        if debug:
            raise
        complain(str(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            where = error.filename or "a temporary file"
            complain(f"{where}: cannot be written: {error}. {REMEDY}", ExitCode.ENVIRONMENT)
        message = f"{type(error).__name__}: {error}\nThis is an error in ablate itself: --debug shows where; please report it."
        complain(message, ExitCode.INTERNAL)


def _interrupted(end: SystemExit) -> bool:
    """Whether it is what typer makes of Ctrl-C, without a word."""
    return isinstance(end.__context__, Exit) and isinstance(end.__context__.__cause__, KeyboardInterrupt)
