"""The long form of the tests in `tests/reliability`: `python -m tests.soak [AREA ...]`, with figures in docs/reliability.md.

Every other module of this package is an area. Its `rows(quick: bool)` tries the promises of that area, and yields what it found.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A promise and how it fared.

    Attributes:
        promise: In a few words.
        tried: How, and how often.
        found: The figures.
        kept: Whether the promise was kept.
    """

    promise: str
    tried: str
    found: str
    kept: bool
