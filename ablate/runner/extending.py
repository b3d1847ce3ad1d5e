"""Finished cells with fewer epochs, from whose kept states a study's cells go on."""

from collections.abc import Callable, Collection
from dataclasses import replace

from ablate.errors import Problem, SpecError, some_variants
from ablate.report.tables import plural
from ablate.spec.identity import canonical_json
from ablate.spec.trainer import Extension, trainer_of
from ablate.store import Store

from .job import Job

INSTEAD = (
    "Leave --extend out, and all cells are trained from their beginning; or run the spec first without these variants and with "
    "--extend, and then whole and without it."
)


def extensions(job: Job, pending: Collection[str], store: Store, warn: Callable[[str], None]) -> dict[str, Extension]:
    """What cells go on from, by key: of each the finished one with the most epochs whose state was kept.

    Raises:
        SpecError: A recipe's training does not begin as that of the finished cell did.
    """
    found: dict[str, Extension] = {}
    cells = {planned.cell.key: planned for planned in job.cells if planned.cell.key in pending}
    for key, planned in cells.items():
        shorter = store.shorter(planned.cell)
        digests = store.kept.states([other for _, other in shorter])
        for epochs, other in shorter:
            if other in digests:
                found[key] = Extension(store.kept.state_of(other).absolute(), other, digests[other], epochs)
    problems: dict[Problem, dict[str, None]] = {}
    asked: dict[tuple[str, int], list[Problem]] = {}
    for key, extends in found.items():
        planned = cells[key]
        question = canonical_json(planned.cell.recipe), extends.epochs
        if question not in asked:
            extendable = trainer_of(job.registry, planned.cell.recipe).extendable
            asked[question] = list(extendable(planned.cell, job.environment, job.device, extends.epochs)) if extendable else []
        for problem in asked[question]:
            problems.setdefault(problem, {})[planned.variant] = None
    if problems:
        raise SpecError(job.plan.spec.source, [_told(problem, list(names)) for problem, names in problems.items()])
    if left := len(cells) - len(found):
        warn(f"{plural(left, 'cell')} of {len(cells)} have no finished one with fewer epochs and a kept state, and begin anew")
    return found


def _told(problem: Problem, variants: list[str]) -> Problem:
    message = f"a finished cell cannot be trained on: {problem.message} (in {some_variants(variants)})"
    return replace(problem, path=f"base.{problem.path}" if problem.path else "base", message=message, hint=INSTEAD)
