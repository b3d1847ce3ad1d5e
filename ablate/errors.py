"""Exceptions that users see, and the exit code that each of them ends the process with."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import IntEnum
from typing import TypeVar

from .plain import printable

MOST = 100  # problems that are told: who made more of them made one many times
LONGEST = 1000  # characters of one message
Found = TypeVar("Found")
Made = TypeVar("Made")


class ExitCode(IntEnum):
    """What the `ablate` process returns."""

    OK = 0
    FAILED_CELLS = 1
    USAGE = 2
    ENVIRONMENT = 3
    WORSE = 4
    INTERNAL = 70
    INTERRUPTED = 130


class AblateError(Exception):
    """An error with a message for the user: what is wrong, where, and what to do."""

    exit_code = ExitCode.ENVIRONMENT

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback: the message says where the mistake is."""
        return [f"{type(self).__name__}: {printable(str(self))}"]


class EnvironmentProblem(AblateError):
    """Something outside the spec is missing or broken: data, disk, device, network, an installed package."""


class DiskProblem(EnvironmentProblem):
    """A disk is full, broken or read-only: no mistake of a spec, whatever was being done for it."""


class StoreError(DiskProblem):
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
        outside: Whether the spec may be right, and what it names is missing or broken.
        close: Where a name is unknown, those that are like it, which the hint offers; None where no name is.
    """

    path: str
    message: str
    hint: str = ""
    outside: bool = False
    close: tuple[str, ...] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        text = f"{self.path or '(whole spec)'}: {self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


Checking = Generator[Problem, None, Made]  # yields what is wrong; with problems, what it returns is not to be used


def checked(steps: Generator[Found, None, Made]) -> tuple[Made, list[Found]]:
    """What a generator that yields problems returns, and all of them; in another such generator `yield from` does."""
    found: list[Found] = []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as end:
            return end.value, found


class SpecError(UsageError):
    """Everything that is wrong with a spec, at once."""

    def __init__(self, source: str, problems: Iterable[Problem]):
        self.source = source
        found = tuple(dict.fromkeys(problems))
        self.problems: Sequence[Problem] = found[:MOST]
        count = f"{len(found)}" if len(found) <= MOST else f"more than {MOST}"
        lines = [f"{source}: {count} problem{'s' if len(found) != 1 else ''}"]
        lines += [f"  {_cut(str(problem)).replace(chr(10), chr(10) + '  ')}" for problem in self.problems]
        if found and all(problem.outside for problem in found):
            self.exit_code = ExitCode.ENVIRONMENT
        super().__init__("\n".join(lines))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def describe(error: Exception) -> str:
    """An exception in a line; the type is left out where the message was written for users."""
    return str(error) if isinstance(error, (AblateError, ValueError)) else f"{type(error).__name__}: {error}"


def problem_of(path: str, error: Exception) -> Problem:
    """What an exception says of a place in the spec."""
    return Problem(path, describe(error), outside=isinstance(error, EnvironmentProblem))


def some_variants(names: Sequence[str]) -> str:
    """Names of variants, of which no more than three are told."""
    shown = ", ".join(repr(name) for name in names[:3])
    return f"variant {shown}" if len(names) == 1 else f"variants {shown}{f' and {len(names) - 3} more' * (len(names) > 3)}"


def in_variants(found: Iterable[tuple[str, Problem]]) -> Iterator[Problem]:
    """Each problem once, with the variants that have it; given by the name of each."""
    names: dict[Problem, dict[str, None]] = {}
    for name, problem in found:
        names.setdefault(problem, {})[name] = None
    for problem, having in names.items():
        yield replace(problem, message=f"{problem.message} (in {some_variants(list(having))})")


def close_names(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """At most three names that are like this one, the closest first."""
    spelled = {own.lower(): own for own in sorted(known)}
    if len(name) > 200 or len(spelled) > 2000:  # comparing takes time
        return ()
    return tuple(spelled[own] for own in get_close_matches(name.lower(), spelled, n=3, cutoff=0.6))


def did_you_mean(name: str, known: Iterable[str], limit: int = 8) -> str:
    """A hint that offers the close matches of `name`, or what there is when nothing is close."""
    names = sorted(known)
    if close := close_names(name, names):
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    if not names:
        return ""
    shown = ", ".join(names[:limit])
    return f"There is: {shown}{f' … ({len(names)} in all)' if len(names) > limit else ''}."
