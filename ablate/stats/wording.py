"""What stands beside a verdict, in few words: the same in the terminal, in every report and in the headline."""

from collections.abc import Iterator, Sequence

from .block_records import Across
from .headline import short
from .records import Effect

MOST_NAMED = 5  # variants in a sentence


def seeds(least: int | None, most: int | None, never: bool) -> str:
    """Such as `24–180 seeds, or never`; nothing where nobody can tell."""
    if least is None:
        return ""
    told = f"{least:,} seeds" if least == most else f"{least:,} seeds or more" if most is None else f"{least:,}–{most:,} seeds"
    return f"{told}, or never" if never else told


def seeds_of(effect: Effect) -> str:
    return seeds(effect.seeds_least, effect.seeds_most, effect.seeds_never)


def verdict(effect: Effect) -> str:
    """The verdict with what a reader must know of it."""
    beside = [
        f"{effect.where_it_trains} where it trains" if effect.where_it_trains else "",
        effect.unreached,
        effect.lost,
        f"of the reference, {effect.lost_reference}" if effect.lost_reference else "",
        seeds_of(effect),
        "by the steps of Holm" if effect.verdict in ("better", "worse") and effect.low < 0 < effect.high else "",
        f"{', '.join(effect.cautions)}; {robust(effect)}" if effect.cautions else "",
    ]
    word = "; ".join(filter(None, beside))
    return f"{effect.verdict} ({word})" if word else effect.verdict


def robust(effect: Effect) -> str:
    """The p-value that stands beside a caution."""
    if effect.p_robust != effect.p_robust:
        return "no robust p"
    return "robust p < 0.001" if effect.p_robust < 0.001 else f"robust p {effect.p_robust:.3f}"


def lost_runs(reference: str, comparisons: Sequence[Effect | Across]) -> Iterator[str]:
    """What became of the runs without a value: of the reference, and of the variants that were compared with it."""
    runs = {reference: comparisons[0].lost_reference} if comparisons else {}
    runs |= {one.variant: one.lost for one in comparisons}
    named = [f"{short(variant)}: {words}" for variant, words in runs.items() if words]
    yield from named[:MOST_NAMED]
    if len(named) > MOST_NAMED:
        yield f"{len(named) - MOST_NAMED} more variants lost runs"
    withheld = [f"{short(one.variant)} is {one.where_it_trains}" for one in comparisons if one.where_it_trains]
    if withheld:
        yield f"where they train, {', '.join(withheld[:MOST_NAMED])}{' …' if len(withheld) > MOST_NAMED else ''}"
