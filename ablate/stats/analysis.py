"""All that is concluded from a study."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from ablate.study import Compare, Study

from .attribution import attribution
from .block_headline import over_blocks
from .blocks import blocks
from .effects import effects, given_up
from .factorial import factorial
from .headline import headline, short, signed
from .images import images
from .main_effects import by_main_effects
from .per_image import per_image
from .records import Analysis, Effect
from .tuning import tuned
from .verdicts import Verdict
from .wording import MOST_NAMED, lost_runs, seeds

UNREACHED = {
    "same weights": "the weights and all numbers of each run are the reference's, so the change did not reach it",
    "same numbers": "all numbers of each run are the reference's, so the change did not reach it, or nothing that is measured "
    "shows it",
}


def analyse(study: Study) -> Analysis:
    """Effects, what belongs to the design, and the conclusion in a sentence."""
    comparisons, over = effects(study), blocks(study)
    terms = None if over else factorial(study)
    shares = None if over else attribution(study) or by_main_effects(study)
    sentence = over_blocks(study.compare, over) if over else headline(study, terms, shares)
    if sentence is None:
        sentence = answer(study.compare, comparisons)
    elif over is None:
        lost = lost_runs(study.compare.reference, comparisons)
        sentence = "; ".join([sentence.removesuffix("."), *lost, *_unreached(comparisons)]) + "."
    if study.tuning is not None:
        sentence += f" Every variant was tuned, by {study.tuning.trials} trials."
    return Analysis(comparisons, terms, shares, sentence, tuned(study), images(study), over, per_image(study), given_up(study))


def answer(compare: Compare, effects: Sequence[Effect]) -> str:
    """The conclusion in plain words: the best variant that is better by how much, what became of the others, what to do."""
    compared = [effect for effect in effects if not math.isnan(effect.difference) or effect.verdict != "undecided"]
    if not compared:
        return f"Nothing can be concluded: no variant can be compared with {short(compare.reference)}."
    reached = [effect for effect in compared if not effect.unreached]
    if reached and all(effect.verdict == "undecided" and min(effect.n, effect.n_reference) < 2 for effect in reached):
        nothing = "Nothing can be concluded: one seed tells no difference from noise, so run at least 3 seeds a variant"
        return "; ".join([nothing, *_unreached(compared)]) + "."
    undecided = [effect for effect in compared if effect.verdict == "undecided"]
    if len(compared) == 1:
        parts = [_one(compare, compared[0])]
    elif len(undecided) == len(compared):
        parts = [f"Nothing can be concluded: all {len(compared)} comparisons with {short(compare.reference)} are undecided"]
    else:
        parts = [_best(compare, compared), _counts(compared), *_unreached(compared)]
    return "; ".join([*parts, *lost_runs(compare.reference, effects), *_advice(undecided)]) + "."


def _one(compare: Compare, effect: Effect) -> str:
    """A study of one comparison."""
    if effect.verdict == "undecided":
        against = f"{short(effect.variant)} against {short(compare.reference)}"
        return f"Nothing can be concluded: {against} is undecided, {_size(compare, effect)}"
    if effect.verdict == "no change":
        return f"{short(effect.variant)} is no change of {short(compare.reference)}: {UNREACHED[effect.unreached]}"
    if effect.verdict == "no meaningful difference":
        start = f"{short(effect.variant)} makes no meaningful difference to {short(compare.reference)}"
        return f"{start}: {_size(compare, effect)}, with ± {compare.margin:g} of no importance"
    return f"{short(effect.variant)} is {effect.verdict} than {short(compare.reference)}: {_size(compare, effect)}"


def _best(compare: Compare, effects: Sequence[Effect]) -> str:
    better = [effect for effect in effects if effect.verdict == "better"]
    if not better:
        return f"No variant is shown to be better than {short(compare.reference)}"
    best = max(better, key=lambda effect: -1.0 if math.isnan(effect.difference) else abs(effect.difference))
    most = "is best and" if len(better) > 1 and not math.isnan(best.difference) else "is"
    return f"{short(best.variant)} {most} better than {short(compare.reference)}: {_size(compare, best)}"


def _size(compare: Compare, effect: Effect) -> str:
    """The difference with its interval, to three digits of its width.

    There is no interval without noise, before the first look, and by ranks, where a run without a value counts as the worst.
    """
    if math.isnan(effect.difference):
        return f"by ranks, as no run of one side has a value of {compare.metric}"
    if compare.failed == "worst" and (effect.lost or effect.lost_reference):
        return f"by ranks; where both train, {compare.metric} differs by {effect.difference:+z.4g}"
    if math.isnan(effect.low):
        return f"{compare.metric} differs by {effect.difference:+z.4g} (no interval)"
    level = f"{100 * (1 - compare.alpha):g} %" + (", all together:" if effect.low < effect.pointwise_low else " interval")
    numbers = signed(effect.difference, effect.low, effect.high)
    corrected = ""
    if not math.isnan(effect.corrected):
        corrected = f", {signed(effect.corrected, effect.low, effect.high)[0]} without the bias of stopping"
    return f"{compare.metric} differs by {numbers[0]}{corrected} ({level} {numbers[1]} to {numbers[2]})"


def _counts(effects: Sequence[Effect]) -> str:
    verdicts = Counter(effect.verdict for effect in effects)
    verb = {True: ("is", "makes"), False: ("are", "make")}
    counts = [
        f"{verdicts[verdict]} {verb[verdicts[verdict] == 1][verdict.startswith('no ')]} {verdict}"
        for verdict in get_args(Verdict)
        if verdicts[verdict]
    ]
    return f"of {len(effects)} comparisons, {' and '.join(', '.join(counts).rsplit(', ', 1))}"


def _unreached(effects: Sequence[Effect]) -> Iterator[str]:
    """Variants that are no change of the reference, at most five by name."""
    names: dict[str, list[str]] = {}
    for effect in effects:
        if effect.unreached:
            names.setdefault(effect.unreached, []).append(short(effect.variant))
    for words, same in names.items():
        more = f" and {len(same) - MOST_NAMED} more" * (len(same) > MOST_NAMED)
        yield f"{', '.join(same[:MOST_NAMED])}{more}: {UNREACHED[words]}"


def _advice(undecided: Sequence[Effect]) -> list[str]:
    """How many seeds a study with fresh ones would take to decide what is undecided, where that can be told."""
    decidable = [effect for effect in undecided if effect.seeds_least is not None]
    if not decidable:
        return ["nobody can tell how many seeds would decide it"] if any(e.where_it_trains is None for e in undecided) else []
    least = max(effect.seeds_least or 0 for effect in decidable)
    ends = [effect.seeds_most for effect in decidable]
    most = max((end for end in ends if end is not None), default=None)
    never = any(effect.seeds_never for effect in decidable)
    what = "it" if len(undecided) == 1 else "them" if len(decidable) == len(undecided) else f"{len(decidable)} of them"
    return [f"to decide {what} may take {seeds(least, None if None in ends else most, never)}, in a new study"]
