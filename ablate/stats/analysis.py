"""All that is concluded from a study."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from ablate.study import Compare, Study

from .attribution import attribution
from .effects import effects
from .factorial import factorial
from .headline import headline, signed
from .images import images
from .records import Analysis, Effect, Verdict
from .tuning import tuned


def analyse(study: Study) -> Analysis:
    """Effects, what belongs to the design, and the conclusion in a sentence."""
    found, terms, shares = effects(study), factorial(study), attribution(study)
    told = headline(study, terms, shares) or answer(study.compare, found)
    if study.tuning is not None:
        told += f" Every variant was tuned, by {study.tuning.trials} trials."
    return Analysis(found, terms, shares, told, tuned(study), images(study))


def answer(compare: Compare, effects: Sequence[Effect]) -> str:
    """The conclusion in plain words: the best variant that is better by how much, what became of the others, what to do."""
    told = [effect for effect in effects if not math.isnan(effect.difference)]
    if not told:
        return f"Nothing can be concluded: no variant can be compared with {compare.reference}."
    if all(min(effect.n, effect.n_reference) < 2 for effect in told):
        return "Nothing can be concluded: one seed tells no difference from noise, so run at least 3 seeds a variant."
    undecided = [effect for effect in told if effect.verdict == "undecided"]
    if len(told) == 1:
        parts = [_one(compare, told[0])]
    elif len(undecided) == len(told):
        parts = [f"Nothing can be concluded: all {len(told)} comparisons with {compare.reference} are undecided"]
    else:
        parts = [_best(compare, told), _counts(told)]
    return "; ".join([*parts, *_advice(undecided)]) + "."


def _one(compare: Compare, effect: Effect) -> str:
    """A study of one comparison."""
    if effect.verdict == "undecided":
        return f"Nothing can be concluded: {effect.variant} against {compare.reference} is undecided, {_size(compare, effect)}"
    if effect.verdict == "no meaningful difference":
        start = f"{effect.variant} makes no meaningful difference to {compare.reference}"
        return f"{start}: {_size(compare, effect)}, with ± {compare.margin:g} of no importance"
    return f"{effect.variant} is {effect.verdict} than {compare.reference}: {_size(compare, effect)}"


def _best(compare: Compare, effects: Sequence[Effect]) -> str:
    better = [effect for effect in effects if effect.verdict == "better"]
    if not better:
        return f"No variant is shown to be better than {compare.reference}"
    best = max(better, key=lambda effect: abs(effect.difference))
    most = "is best and" if len(better) > 1 else "is"
    return f"{best.variant} {most} better than {compare.reference}: {_size(compare, best)}"


def _size(compare: Compare, effect: Effect) -> str:
    """The difference with its interval, to three digits of its width; there is none without noise, or before the first look."""
    if math.isnan(effect.low):
        return f"{compare.metric} differs by {effect.difference:+.4g} (no interval)"
    level = f"{100 * (1 - compare.alpha):g} % interval"
    numbers = signed(effect.difference, effect.low, effect.high)
    return f"{compare.metric} differs by {numbers[0]} ({level} {numbers[1]} to {numbers[2]})"


def _counts(effects: Sequence[Effect]) -> str:
    found = Counter(effect.verdict for effect in effects)
    verb = {True: ("is", "makes"), False: ("are", "make")}
    counts = [
        f"{found[verdict]} {verb[found[verdict] == 1][verdict == 'no meaningful difference']} {verdict}"
        for verdict in get_args(Verdict)
        if found[verdict]
    ]
    return f"of {len(effects)} comparisons, {' and '.join(', '.join(counts).rsplit(', ', 1))}"


def _advice(undecided: Sequence[Effect]) -> list[str]:
    """How many seeds would probably decide what is undecided, where that can be told."""
    if not undecided:
        return []
    needed = [effect.seeds_needed for effect in undecided if effect.seeds_needed is not None]
    if not needed:
        return ["nobody can tell how many seeds would decide it"]
    what = "it" if len(undecided) == 1 else "them" if len(needed) == len(undecided) else f"{len(needed)} of them"
    return [f"about {max(needed):,} seeds a variant would probably decide {what}"]
