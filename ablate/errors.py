"""Exceptions that users see, and the exit code that each of them ends the process with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """What the `ablate` process returns."""

    OK = 0
    FAILED_CELLS = 1
    USAGE = 2
    ENVIRONMENT = 3
    INTERNAL = 70
    INTERRUPTED = 130


class AblateError(Exception):
    """An error with a message for the user: what is wrong, where, and what to do."""

    exit_code = ExitCode.ENVIRONMENT


class EnvironmentProblem(AblateError):
    """Something outside the spec is missing or broken: data, disk, device, network, an installed package."""


class StoreError(EnvironmentProblem):
    """The store cannot be read or written."""


class UsageError(AblateError):
    """A command or a call asks for something that does not exist or does not fit."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a spec.

    Attributes:
        path: Where in the spec, as a dotted path such as `base.optimizer.lr`; empty for the whole file.
        message: What was found and what was expected.
        hint: What to do about it; may be empty.
    """

    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.path or '(whole spec)'}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


class SpecError(UsageError):
    """Everything that is wrong with a spec, at once."""

    def __init__(self, source: str, problems: Iterable[Problem]):
        self.source = source
        self.problems: Sequence[Problem] = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        lines = [f"{source}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  {str(problem).replace(chr(10), chr(10) + '  ')}" for problem in self.problems]
        super().__init__("\n".join(lines))


def describe(error: Exception) -> str:
    """An exception in a line; the type is left out where the message was written for users."""
    return str(error) if isinstance(error, (AblateError, ValueError)) else f"{type(error).__name__}: {error}"


def some_variants(names: Sequence[str]) -> str:
    """Names of variants, of which no more than three are told."""
    shown = ", ".join(repr(name) for name in names[:3])
    return f"variant {shown}" if len(names) == 1 else f"variants {shown}{f' and {len(names) - 3} more' * (len(names) > 3)}"


def did_you_mean(name: str, known: Iterable[str], limit: int = 8) -> str:
    """A hint that offers the close matches of `name`, or what there is when nothing is close."""
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    if not names:
        return ""
    shown = ", ".join(names[:limit])
    return f"There is: {shown}{f' … ({len(names)} in all)' if len(names) > limit else ''}."
