"""A study and its progress in a Jupyter notebook, on light and on dark ground. The templates escape every name."""

import time
from typing import Self

from ablate.plain import printable
from ablate.study import Study

from .content import page
from .web import environment

SHOWN = ("runs", "comparison", "terms", "attribution", "failures")  # keys of sections
UPDATE_SECONDS = 0.2  # least time between two changes: each is a message to the browser
MOST_NOTES = 10


def study_html(study: Study) -> str:
    """Question, answer, the tables that the terminal shows, and failed cells, as a fragment of a page."""
    made = page(study)
    sections = [section for section in made.sections if section.key in SHOWN]
    return environment().get_template("study.html.jinja").render(page=made, sections=sections)


class Output:
    """The progress of a run as one output of a cell, which changes in place; what a saved notebook keeps is its last state.

    It needs no widgets, so that it works wherever a notebook is shown. Use it as a context manager.
    """

    def __init__(self) -> None:
        self._done, self._total = 0.0, 0
        self._state, self._latest = "starting", ""
        self._notes: list[str] = []
        self._next = 0.0

    def __enter__(self) -> Self:
        from IPython.display import display

        self._handle = display(self._bundle(), raw=True, display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._state:  # the run has not come to its end, and says why itself
            self.end("")

    def line(self, message: str, style: str = "", state: str = "") -> None:
        if style:
            self._notes.append(message)
        else:
            self._latest = message
        self._show(at_once=bool(style))

    def update(self, done: float, total: int, state: str, latest: str) -> None:
        self._done, self._total, self._state = done, total, state
        self._latest = latest or self._latest
        self._show()

    def end(self, message: str) -> None:
        self._state, self._latest = "", message
        self._show(at_once=True)

    def _show(self, at_once: bool = False) -> None:
        if at_once or time.monotonic() >= self._next:
            self._next = time.monotonic() + UPDATE_SECONDS
            self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        """The output for front ends that show HTML, and for those that do not."""
        notes = self._notes[:MOST_NOTES]
        if len(self._notes) > MOST_NOTES:
            notes.append(f"… and {len(self._notes) - MOST_NOTES} more")
        lines = [line for line in (self._state, self._latest, *notes) if line]
        template = environment().get_template("progress.html.jinja")
        html = template.render(done=self._done, total=self._total, state=self._state, latest=self._latest, notes=notes)
        return {"text/html": html, "text/plain": printable("\n".join(lines))}
