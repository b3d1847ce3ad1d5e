"""What `ablate.run` and its like return: a study that can be asked for its conclusions and figures, and that a notebook shows."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from .errors import UsageError, did_you_mean
from .study import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from .stats.records import Analysis


@dataclass(frozen=True, repr=False)
class Results(Study):
    """A study with its results so far. A notebook shows it as its question, the answer, and the table of verdicts.

    Its attributes are those of `ablate.study.Study`.
    """

    @classmethod
    def of(cls, study: Study) -> "Results":
        return cls(**{field.name: getattr(study, field.name) for field in fields(Study)})

    def _repr_html_(self) -> str:
        from ablate.report.notebook import study_html

        return study_html(self)

    def analysis(self) -> "Analysis":
        """What is concluded: the answer in a sentence, every comparison, and what belongs to the design, as plain records."""
        from ablate.stats.analysis import analyse

        return analyse(self)

    def effects(self) -> "pd.DataFrame":
        """Every variant but the reference, one row each in the order of the spec, against the reference (of its block).

        The columns are the attributes of `ablate.stats.records.Effect`: `variant`, `n`, `difference`, `low`, `high`,
        `p_adjusted`, `verdict` and so on, in units of the study's metric.
        """
        import pandas as pd

        from ablate.stats.effects import effects
        from ablate.stats.records import Effect

        names = [field.name for field in fields(Effect)]
        return pd.DataFrame([vars(effect) for effect in effects(self)], columns=names)

    def figure(self, name: str = "effects") -> "Figure":
        """A figure of the report, for a notebook to show, to be changed, or to be saved with `savefig`.

        Args:
            name: `effects` (every variant's difference with its interval), `curves` (each epoch), `cost` (the metric against
                seconds and parameters, where these differ), and where the design has them `terms`, `interactions` and
                `attribution`; with blocks `ranks`, the critical-difference diagram.

        Raises:
            UsageError: The study has no such figure.
        """
        from ablate.report.content import page
        from ablate.report.drawing import figure

        pictures = {picture.name: picture for section in page(self).sections for picture in section.pictures}
        if name not in pictures:
            raise UsageError(f"study {self.name!r} has no figure {name!r}. {did_you_mean(name, pictures)}".strip())
        return figure(pictures[name])
