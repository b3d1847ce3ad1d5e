"""The report of a study as records: sections with tables, figures and sentences."""

from dataclasses import dataclass

import pandas as pd

from ablate.stats.records import Analysis
from ablate.study import Study

from .drawing import Picture
from .tables import Table
from .thumbnails import Thumbnail


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading.
        tables: Its tables.
        pictures: Its figures.
        items: Names, each with lines that belong to it.
        notes: Sentences about what is shown.
        thumbnails: Small pictures, which pages show.
        alone: What a reader must know of the tables where they stand without the notes.
        key: What the terminal and notebooks know it by; empty for what they leave out.
    """

    title: str
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    items: tuple[tuple[str, tuple[str, ...]], ...] = ()
    notes: tuple[str, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    alone: str = ""
    key: str = ""


@dataclass(frozen=True)
class Page:
    """The report of one study.

    Attributes:
        study: The study.
        analysis: What is concluded from it.
        summary: What `summarise` makes of it: one row a variant.
        sections: In the order in which they are read; `Comparison` has the verdicts, over the blocks where there are some, and of
            imported runs, how they were read is before it.
    """

    study: Study
    analysis: Analysis
    summary: pd.DataFrame
    sections: tuple[Section, ...]
