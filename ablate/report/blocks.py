"""What a report says of variants over blocks, such as datasets."""

import math
from collections.abc import Iterator

from ablate.stats.block_headline import where
from ablate.stats.block_records import Across, Blocks, Friedman
from ablate.study import Study

from .reading import METHODS, TOGETHER, level, p_heading, position
from .tables import Table, decimals, interval, make_table, number, plural, probability

MOST_NAMED = 8
FAR = 10.0  # times as large are the values of one block as those of another, where they have no common scale


def verdicts_table(study: Study, found: Blocks) -> Table:
    """Every variant with its verdict over the blocks, best mean rank first."""
    digits = decimals(one.difference for one in found.comparisons)
    compared = {one.variant: one for one in found.comparisons}
    headings = ["variant", "verdict", "blocks", "mean rank", "better–same–worse", p_heading(study), "difference"]
    rows = []
    for name, rank in sorted(found.ranks.items(), key=lambda item: (math.isnan(item[1]), item[1])):
        one = compared.get(name)
        if one is None:
            rows.append([name, "reference", "", number(rank, ".3f"), "", "", "", ""])
            continue
        rows.append(
            [
                name,
                _verdict(one),
                str(one.n),
                number(rank, ".3f"),
                f"{one.wins}–{one.ties}–{one.losses}",
                probability(one.p_adjusted),
                number(one.difference, f"+.{digits}f"),
                interval(one.low, one.high, digits),
            ]
        )
    return make_table([*headings, _interval_heading(study, found)], rows, ["verdict"])


def _interval_heading(study: Study, found: Blocks) -> str:
    return f"{level(study)} interval{TOGETHER[study.compare.correction] if len(found.comparisons) > 1 else ''}"


def _verdict(one: Across) -> str:
    """The verdict with what a reader must know of it."""
    beside = [
        f"{one.where_it_trains} where it trains" if one.where_it_trains else "",
        one.lost,
        f"of the reference, {one.lost_reference}" if one.lost_reference else "",
        f"by the mean difference alone {one.verdict_by_size}" if one.verdict_by_size != one.verdict else "",
    ]
    word = "; ".join(filter(None, beside))
    return f"{one.verdict} ({word})" if word else one.verdict


def sizes_table(study: Study, found: Blocks) -> Table:
    """What the random effects are, and the tests that decide nothing or only the mean difference."""
    digits = decimals(one.difference for one in found.comparisons)
    headings = [
        "variant",
        "by the mean difference",
        f"its {p_heading(study)}",
        "sd between blocks",
        "sd of a seed",
    ]
    rows = [
        [
            one.variant,
            one.verdict_by_size,
            probability(one.p_difference),
            number(one.between_sd, f".{digits}f"),
            number(one.seed_sd, f".{digits}f"),
            interval(one.predicted_low, one.predicted_high, digits),
            probability(one.p_nemenyi),
        ]
        for one in found.comparisons
    ]
    return make_table([*headings, f"another block, {level(study)}", "p (Nemenyi)"], rows, ["by the mean difference"])


def over(study: Study, found: Blocks) -> str:
    """What the tables are of, where they stand without the notes."""
    return f"Over {where(found)}, against {found.reference!r}; {study.compare.metric}, the mean of the seeds in each block."


def block_notes(study: Study, found: Blocks) -> tuple[str, ...]:
    """What the numbers are, what was left out, and whether there are blocks enough."""
    return tuple(_notes(study, found))


def _notes(study: Study, found: Blocks) -> Iterator[str]:
    yield (
        f"{position(study)}, over {where(found)}; the value of a variant in a block is the mean of its seeds. "
        f"Everything is against {found.reference!r} in the same block."
    )
    yield from _left_out(study, found)
    yield from _too_few(study, found)
    if found.friedman is not None:
        yield _friedman(study, found.friedman, len(found.ranked))
    yield _tests(study, found)
    yield from _size(study, found)


def _left_out(study: Study, found: Blocks) -> Iterator[str]:
    if len(found.ranks) > 2 and found.friedman is None:
        yield "Fewer than two blocks have a value of every variant, so nothing can be better or worse by ranks."
    if found.incomplete:
        named = [f"{block} ({', '.join(names[:3])}{' …' * (len(names) > 3)})" for block, names in found.incomplete[:MOST_NAMED]]
        more = f" and {len(found.incomplete) - MOST_NAMED} more" if len(found.incomplete) > MOST_NAMED else ""
        yield (
            f"Left out of the ranks, because a variant has no value there: {', '.join(named)}{more}. Comparisons of the other "
            "variants with the reference have these blocks."
        )
        lacking = {name for _, names in found.incomplete for name in names}
        if len(lacking) == 1 and len(found.comparisons) > 1 and found.reference not in lacking and study.imported is not None:
            yield f"They count where {lacking.pop()} is left out: --where with !=."


def _too_few(study: Study, found: Blocks) -> Iterator[str]:
    most = max(one.n for one in found.comparisons)
    if most < found.needed:
        yield (
            f"{plural(most, 'block')} {'is' if most == 1 else 'are'} too few: the smallest p-value of Wilcoxon's test is "
            f"{found.least_p:.3g} there, and for {plural(len(found.comparisons), 'comparison')} at level "
            f"{study.compare.alpha:g} it takes {found.needed} blocks. So nothing can be better or worse by ranks."
        )


def _friedman(study: Study, test: Friedman, blocks: int) -> str:
    f = "all blocks agree" if math.isinf(test.f) else f"F = {test.f:.2f} with {test.df} and {test.df_noise} df"
    told = (
        f"Friedman's test over {blocks} blocks: χ² = {test.chi_square:.2f} with {test.df} df, p {_p(test.p_chi_square)}; {f} "
        f"(Iman and Davenport 1980), p {_p(test.p)}, which counts."
    )
    if test.p < study.compare.alpha:
        return f"{told} So the variants differ, and each is compared with the reference."
    return f"{told} It does not show that the variants differ, so that none is called better or worse by ranks."


def _p(p: float) -> str:
    return probability(p) if p < 0.001 else f"= {probability(p)}"


def _tests(study: Study, found: Blocks) -> str:
    several = len(found.comparisons) > 1
    corrected = f", corrected for {len(found.comparisons)} comparisons by {METHODS[study.compare.correction]}" if several else ""
    told = f"Verdicts are of Wilcoxon's signed-rank test of the blocks{corrected} (Demšar 2006)."
    if several and not math.isnan(found.critical_difference):
        told += (
            f" Nemenyi's test of mean ranks, with a critical difference of {found.critical_difference:.3f}, stands beside it and "
            "decides nothing: what it says of two variants depends on which others are there (Benavoli et al. 2016)."
        )
    return told


def _size(study: Study, found: Blocks) -> Iterator[str]:
    told = (
        "Differences are means of a random-effects model (DerSimonian and Laird 1986), with the interval of Hartung and "
        "Knapp (2001); “another block” is where the difference of one more block like these, with as many seeds, would lie."
    )
    if any(math.isnan(one.seed_sd) for one in found.comparisons):
        told += " Nothing tells the noise of a seed, so that the standard deviation between blocks has it in it."
    if study.compare.margin is None:
        told += " There is no margin of importance, so nothing can be found equivalent."
    else:
        told += f" “No meaningful difference” is a mean difference that TOST confirms to be within ±{study.compare.margin:g}."
    yield told
    if found.scales > FAR:
        yield (
            f"The values of {found.reference!r} are {found.scales:,.0f} times as large in one block as in another. That "
            f"changes no rank; mean differences are mostly of the blocks where {study.compare.metric} is large."
        )
    yield "All of this is about other blocks of which these are a fair sample, and not about other seeds."
