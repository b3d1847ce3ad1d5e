"""Finished cells with fewer epochs, from whose kept states a study's cells go on."""

from collections.abc import Callable, Collection

from ablate.errors import Problem, some_variants
from ablate.report.tables import plural
from ablate.spec.identity import canonical_json
from ablate.spec.trainer import Extension, trainer_of
from ablate.store import Store

from .job import Job


def extensions(job: Job, pending: Collection[str], store: Store, warn: Callable[[str], None]) -> dict[str, Extension]:
    """What cells go on from, by key: of each the finished one with the most epochs whose state was kept.

    Where a recipe's training does not begin as that of the finished cell did, its cells begin anew, and the reason is said.
    """
    found: dict[str, Extension] = {}
    cells = {planned.cell.key: planned for planned in job.cells if planned.cell.key in pending}
    for key, planned in cells.items():
        shorter = store.shorter(planned.cell)
        digests = store.kept.states([other for _, other in shorter])
        for epochs, other in shorter:
            if other in digests:
                found[key] = Extension(store.kept.state_of(other).absolute(), other, digests[other], epochs)
    has_state = len(found)
    reasons: dict[Problem, dict[str, None]] = {}
    asked: dict[tuple[str, int], list[Problem]] = {}
    for key, extends in list(found.items()):
        planned = cells[key]
        question = canonical_json(planned.cell.recipe), extends.epochs
        if question not in asked:
            extendable = trainer_of(job.registry, planned.cell.recipe).extendable
            asked[question] = list(extendable(planned.cell, job.environment, job.device, extends.epochs)) if extendable else []
        for problem in asked[question]:
            reasons.setdefault(problem, {})[planned.variant] = None
            found.pop(key, None)
    if left := len(cells) - has_state:
        have, begin = ("has", "begins") if left == 1 else ("have", "begin")
        of = f"{left} of {plural(len(cells), 'cell')}"
        warn(f"{of} {have} no finished one with fewer epochs and a kept state, and {begin} anew")
    for problem, variants in reasons.items():
        place = f"base.{problem.path}" if problem.path else "base"
        begin = "begins" if len(variants) == 1 else "begin"
        warn(f"{some_variants(list(variants))} cannot go on from finished cells, and {begin} anew: {place}: {problem.message}")
    return found
