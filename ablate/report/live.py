"""The page of a study that runs: how far it is, above the report that there is so far."""

import time
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from ablate.errors import AblateError
from ablate.plain import printable, shorten
from ablate.store.following import Now, Training
from ablate.version import __version__
from ablate.writing import storable

from .tables import duration, plural
from .web import environment, policy, script

SCRIPTS = ("report.js", "live.js")
LONGEST = 400  # characters of a line of a message
POLICY = policy(*SCRIPTS, more="; connect-src 'self'; frame-ancestors 'none'")


def live_page(study: str, version: int, parts: Mapping[str, str]) -> str:
    """The whole page with its parts, which asks for what changes after this version."""
    shell = {"script": script(*SCRIPTS), "policy": policy(*SCRIPTS, more="; connect-src 'self'"), "made_by": __version__}
    made = {name: Markup(html) for name, html in parts.items()}  # noqa: S704, templates made them
    return storable(environment().get_template("live.html.jinja").render(study=study, at=version, parts=made, **shell))


def state_part(study: str, now: Now) -> str:
    """How far it is: counts, the time that is left, cells that are trained, and the logs of those that failed."""
    rows = [{**vars(cell), "latest": _latest(cell), "place": _place(cell), "at": _moment(cell)} for cell in now.training]
    failed = [{**vars(cell), "error": _briefly(cell.error), "log": _lines(cell.log)} for cell in now.failed]
    left = None if now.seconds_left is None else duration(now.seconds_left)
    told: dict[str, Any] = {"study": study, "now": now, "words": _words(now), "left": left, "training": rows, "failed": failed}
    return str(_module().state_part(**told))


def problem_part(error: Exception) -> str:
    """What keeps the page from being made anew."""
    message = str(error)
    if not isinstance(error, AblateError):
        message = f"{type(error).__name__}: {error}. This is an error in ablate itself: please report it."
    return str(_module().problem_part(message))


def _module() -> Any:
    return environment().get_template("state.html.jinja").module


def _briefly(message: str) -> str:
    """The first line of a message, which says what is wrong, and its last one, where programs say why."""
    lines = [line for line in message.splitlines() if line.strip()]
    return " … ".join(shorten(line, LONGEST) for line in (*lines[:1], *lines[1:][-1:]))


def _lines(text: str) -> Markup:
    """Text in its lines, escaped."""
    return escape(printable(text).strip("\n"))


def _words(now: Now) -> str:
    counts = now.counts
    ended = f"{counts['done']:,} of {plural(now.total, 'cell')} done"
    more = [f"{counts['failed']:,} failed"] if counts["failed"] else []
    if now.training:
        return ", ".join([ended, f"{counts['running']:,} in training", *more])
    if not now.total:
        return "The store has no such study."
    if open_ := counts["missing"] + counts["interrupted"]:
        return f"{', '.join([ended, *more])}. Nobody trains it now: the same `ablate run` goes on with the other {open_:,}"
    return ", ".join([ended, *more])


def _place(cell: Training) -> str:
    return f"{cell.epoch:,} of {cell.epochs:,}" if cell.epochs else f"{cell.epoch:,}"


def _moment(cell: Training) -> str:
    """When it was begun, which the page makes the time since then of."""
    return time.strftime("since %H:%M:%S", time.localtime(cell.started))


def _latest(cell: Training) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in list(cell.latest.items())[:4])
