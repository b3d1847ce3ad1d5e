"""The `ablate` command. Heavy modules are imported inside the command that needs them."""

import os
import sys

from ablate.errors import AblateError, ExitCode
from ablate.writing import DISK_ERRORS, REMEDY

from . import studies, results, packages, measuring  # isort: skip  # the order of the commands in --help
from .common import app, complain

__all__ = ["app", "main", "measuring", "packages", "results", "studies"]


def main() -> None:
    """Entry point: turns what goes wrong into a message and an exit code."""
    debug = "--debug" in sys.argv[1:]
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a full disk still has a message
    except KeyboardInterrupt:
        complain("interrupted", ExitCode.INTERRUPTED)
    except AblateError as error:
        if debug:
            raise
        complain(str(error), error.exit_code)
    except BrokenPipeError:  # such as `ablate list | head`
        sys.stderr.close()
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left of the output cannot be written at the end either
            where = error.filename or "the output, or a temporary file"
            complain(f"{where}: cannot be written: {error}. {REMEDY}", ExitCode.ENVIRONMENT)
        message = f"{type(error).__name__}: {error}\nThis is an error in ablate itself: --debug shows where; please report it."
        complain(message, ExitCode.INTERNAL)
