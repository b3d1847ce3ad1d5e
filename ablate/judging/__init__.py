"""Runs that exist already, made by anybody's code, to the same verdicts as those of a study.

A source (a component) gives the runs of a place; `reading` finds what they differ in, and refuses what cannot be compared;
`importing` makes a `Study` of them, which statistics and reports take as they are. Nothing here imports torch.
"""

from .finding import read
from .importing import Judgement, study_of
from .reading import Wanted

__all__ = ["Judgement", "Wanted", "read", "study_of"]
