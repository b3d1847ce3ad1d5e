"""What a source gives: runs that somebody else made, as plain records."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ablate.contracts import Json

Status = Literal["done", "failed", "running", "interrupted"]
NOT_SET = "(not set)"  # what a run has of a setting that only others have


class Curve(NamedTuple):
    """A metric of one run.

    Attributes:
        steps: Whole numbers that rise; a single 0 where a number belongs to no step.
        values: One a step; NaN where there is none.
    """

    steps: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class Run:
    """One run, as its source knows it.

    Attributes:
        name: What a user finds it by: a line of a file, an id, a folder.
        settings: What it was run with, by name; a nested setting by its dotted path.
        metrics: What was measured, by name.
        status: Whether it came to its end.
        why: What is known of its failure; may be empty.
    """

    name: str
    settings: Mapping[str, Json]
    metrics: Mapping[str, Curve]
    status: Status = "done"
    why: str = ""


@dataclass(frozen=True)
class Runs:
    """All runs of a place.

    Attributes:
        runs: In the order of the source.
        notices: What was left out, and what was read in a way of its own: a sentence each, with a number.
        apart: Whether the source keeps settings and metrics apart. A table does not: a number there may be either, and is both.
        goals: Whether a larger or a smaller metric is better, where the source says so.
        spec: The spec of the study whose runs they are, where they are of ablate.
    """

    runs: tuple[Run, ...]
    notices: tuple[str, ...] = ()
    apart: bool = True
    goals: Mapping[str, Literal["maximize", "minimize"]] = field(default_factory=dict)
    spec: Json = None


@dataclass(frozen=True)
class Asked:
    """What a source is asked for, as far as the user has said it.

    Attributes:
        place: A path, an address, or what `ablate.judge` was given, such as a pandas frame.
        metric: The metric to be judged; None where nobody said it.
        factors: Settings that are to be compared.
        seed: The setting that has the seed; None where nobody said it.
        where: Settings by whose values the runs are chosen that are judged.
    """

    place: Any
    metric: str | None = None
    factors: tuple[str, ...] = ()
    seed: str | None = None
    where: tuple[str, ...] = ()


def flat(settings: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """Nested settings by their dotted paths; lists stay as they are, and so does what is empty."""
    found: dict[str, Json] = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) and value else {path: value}
    return found


def label(value: Json) -> str:
    """A setting's value as tables show it, and as two of them are compared: 1 and 1.0 are the same, and 1 and true are not."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def last(curve: Curve) -> Curve:
    """A curve without what a step had before it was written again: the later value counts. Steps are sorted."""
    found = dict(zip(curve.steps, curve.values, strict=True))
    order = sorted(found)
    return Curve(order, [found[step] for step in order])
