"""The conclusion over blocks in a sentence."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from ablate.study import Compare

from .block_records import Across, Blocks
from .headline import short, signed
from .verdicts import Verdict
from .wording import MOST_NAMED, lost_runs


def over_blocks(compare: Compare, found: Blocks) -> str:
    """The best variant that is better by how much, what became of the others, and whether there are blocks enough to tell."""
    compared = [one for one in found.comparisons if not math.isnan(one.p_adjusted)]
    if not compared:
        return f"Nothing can be concluded: no variant has a value in a block in which {short(found.reference)} has one."
    decided = [one for one in compared if one.verdict != "undecided"]
    if not decided:
        which = (
            f"{short(compared[0].variant)} against {short(found.reference)} is"
            if len(compared) == 1
            else _all(len(compared), found.reference)
        )
        parts = [f"Nothing can be concluded: {which} undecided over {where(found)}"]
    elif len(compared) == 1:
        parts = [_one(compare, found, compared[0])]
    else:
        parts = [_best(compare, found, decided), _counts(compared)]
    return "; ".join([*parts, *_otherwise(compared), *lost_runs(found.reference, compared), *_too_few(found)]) + "."


def where(found: Blocks) -> str:
    """Such as `14 blocks (dataset)`."""
    most = max(one.n for one in found.comparisons)
    return f"{most} block{'' if most == 1 else 's'} ({' × '.join(map(short, found.factors))})"


def _all(count: int, reference: str) -> str:
    return f"all {count} comparisons with {short(reference)} are"


def _one(compare: Compare, found: Blocks, one: Across) -> str:
    if one.verdict == "no meaningful difference":
        start = f"{short(one.variant)} makes no meaningful difference to {short(found.reference)}"
        return f"{start} over {where(found)}: {_size(compare, one)}, with ± {compare.margin:g} of no importance"
    return f"{short(one.variant)} is {one.verdict} than {short(found.reference)} over {where(found)}: {_size(compare, one)}"


def _best(compare: Compare, found: Blocks, decided: Sequence[Across]) -> str:
    """Of those that are better, the one with the best mean rank."""
    better = [one for one in decided if one.verdict == "better"]
    if not better:
        return f"No variant is shown to be better than {short(found.reference)} over {where(found)}"
    best = min(better, key=lambda one: (found.ranks[one.variant], -one.wins))
    most = "has the best mean rank of those that are" if len(better) > 1 else "is"
    return f"{short(best.variant)} {most} better than {short(found.reference)} over {where(found)}: {_size(compare, best)}"


def _size(compare: Compare, one: Across) -> str:
    """In how many blocks, and the mean difference with its interval."""
    blocks = f"better in {one.wins}, worse in {one.losses}" + (f", the same in {one.ties}" if one.ties else "")
    if math.isnan(one.low):
        return f"{blocks}; on average {compare.metric} differs by {one.difference:+.4g} (no interval)"
    value, low, high = signed(one.difference, one.low, one.high)
    return f"{blocks}; on average {compare.metric} differs by {value} ({100 * (1 - compare.alpha):g} % interval {low} to {high})"


def _counts(compared: Sequence[Across]) -> str:
    verdicts = Counter(one.verdict for one in compared)
    words: dict[Verdict, str] = {
        "better": "better",
        "worse": "worse",
        "no meaningful difference": "without meaningful difference",
        "undecided": "undecided",
    }
    counts = [
        f"{verdicts[name]} {'is' if verdicts[name] == 1 else 'are'} {word}" for name, word in words.items() if verdicts[name]
    ]
    return f"of {len(compared)} comparisons, {' and '.join(', '.join(counts).rsplit(', ', 1))}"


def _otherwise(compared: Sequence[Across]) -> Iterator[str]:
    """Where ranks and the mean difference say different things."""
    differ = [f"{short(one.variant)} is {one.verdict_by_size}" for one in compared if one.verdict_by_size != one.verdict]
    if differ:
        more = f" and {len(differ) - MOST_NAMED} more" * (len(differ) > MOST_NAMED)
        yield f"by the mean difference alone, {', '.join(differ[:MOST_NAMED])}{more}"


def _too_few(found: Blocks) -> Iterator[str]:
    if max(one.n for one in found.comparisons) < found.needed:
        yield f"{where(found)} are too few for Wilcoxon's test, which takes {found.needed}"
