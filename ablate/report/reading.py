"""What the numbers of a report mean, in words."""

import math
from collections.abc import Mapping
from statistics import NormalDist

import pandas as pd

from ablate.blocking import grid_of
from ablate.plain import shorten
from ablate.stats.factor_records import JudgedBy
from ablate.stats.records import Analysis
from ablate.study import Stopping, Study

from .tables import plural

CORRECTIONS = {"holm": "Holm", "benjamini_hochberg": "Benjamini–Hochberg"}
METHODS = {"holm": "Holm's method", "benjamini_hochberg": "the method of Benjamini and Hochberg"}
TOGETHER = {"holm": ", all together", "benjamini_hochberg": ", each for itself"}  # what intervals of several hold
SOURCES: Mapping[JudgedBy, str] = {  # of the intervals of effects and shares; said where it is not what a reader expects
    "seeds": "",
    "residual": "from what the terms of the design leave, not from seeds",
    "contrasts": "from the contrasts of the design (Lenth 1989), not from seeds",
}
LOST = {
    "missing": "Runs that failed or diverged have no value. Where runs diverged, nothing is called better or equivalent that "
    "may owe it to the ones that are left.",
    "worst": "Runs that failed or diverged count as worse than all others: comparisons with one are judged by ranks "
    "(Wilcoxon), and have no interval.",
}
MOST_GIVEN_UP = 8  # comparisons that a sentence names
IMPORTED = "Imported, not planned before the run"


def level(study: Study) -> str:
    return f"{100 * (1 - study.compare.alpha):g} %"


def p_heading(study: Study) -> str:
    return f"p ({CORRECTIONS[study.compare.correction]})"


def interval_heading(study: Study) -> str:
    """Of the intervals of the comparison."""
    return f"{level(study)} interval{together(study)}"


def together(study: Study) -> str:
    """Whether the intervals of several comparisons hold all together, or each for itself."""
    return TOGETHER[study.compare.correction] if len(study.variants) > 2 else ""


def caption(study: Study) -> str:
    """What the numbers are."""
    text = f"{position(study)}; differences from {against(study)}"
    return f"{text}; published: {study.published['source']}." if study.published else f"{text}."


def given_up(study: Study, analysis: Analysis) -> tuple[str, ...]:
    """Which comparisons stopped for futility, in a sentence; nothing where none did."""
    found, rule = analysis.given_up, study.stopping
    if not found or rule is None or rule.futility is None:
        return ()
    named = [f"{shorten(one.variant, 60)!r} after {one.seeds} ({_chance(one.probability)})" for one in found[:MOST_GIVEN_UP]]
    named += [f"{len(found) - MOST_GIVEN_UP} more"] * (len(found) > MOST_GIVEN_UP)
    them = "it" if len(found) == 1 else "them"
    return (
        f"{plural(len(found), 'comparison')} got no more seeds, because all {rule.most} would have decided {them} with a "
        f"probability below {100 * rule.futility:g} % (futility): {', '.join(named)}.",
    )


def _chance(probability: float) -> str:
    return "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def against(study: Study) -> str:
    """What variants are compared with, in words."""
    compare = study.compare
    if not compare.blocks:
        return repr(compare.reference)
    return f"{grid_of(study.variants, compare.blocks, compare.reference).reference!r} in the same block"


def position(study: Study) -> str:
    """Which number of a run counts, and which way it is better."""
    unit = "epoch" if study.imported is None else "step"
    at = f"the last {unit}" if study.compare.at == "last" else f"{unit} {study.compare.at}"
    better = "larger" if study.compare.goal == "maximize" else "smaller"
    stepped = study.imported is None or bool(study.epochs[study.compare.metric].notna().any())
    text = f"{study.compare.metric}{f' at {at}' * stepped}, {better} is better"
    return text if study.imported is None else f"{IMPORTED}: {text}"


def covered(study: Study, analysis: Analysis) -> str:
    """Which chance the intervals cover, and how large the one is that they do not."""
    shares, factorial, images = analysis.attribution, analysis.factorial, analysis.images
    ends = [effect.low for effect in analysis.effects]
    ends += [share.low for share in (shares.shares if shares and shares.judged_by == "seeds" else ())]
    if study.imported:
        if any(map(math.isfinite, ends)) or (factorial and any(math.isfinite(term.low) for term in factorial.terms)):
            return "Intervals cover new seeds on the data that these runs were evaluated on, and not other data."
        return "There are no intervals, neither for new seeds nor for other data."
    size = "" if images is None else f"{images.least:,} "
    if images and images.least < images.most:
        size = f"{images.least:,} to {images.most:,} "
    by_seed, what = study.split == "by_seed", _evaluated(study, analysis)
    these = f"the {size}evaluation {what} that each seed drew" if by_seed else f"these {size}evaluation {what}"
    have_intervals = any(map(math.isfinite, ends))
    if have_intervals and by_seed:
        told = _covered_by_splits(size)
    elif have_intervals:
        told = f"Intervals cover new seeds on the same {size}evaluation {what}, and not other {what}."
    elif factorial and any(math.isfinite(term.low) for term in factorial.terms):
        source = "the contrasts of the design (Lenth 1989)" if factorial.lenth else "what the terms leave"
        told = f"Intervals are from {source}; they cover no new seeds and none but {these}."
    else:
        told = f"There are no intervals, neither for new seeds nor for other {what} than {these}."
    if images is None or not images.standard_error > 0 or (by_seed and have_intervals):
        return told
    half = NormalDist().inv_cdf(1 - study.compare.alpha / 2) * images.standard_error
    return (
        f"{told} So many others would move each rate, such as the reference's {images.rate:.4f}, by ± {half:.4f} "
        f"({level(study)} interval; binomial standard error {images.standard_error:.4f})."
    )


def _evaluated(study: Study, analysis: Analysis) -> str:
    """What metrics are measured on, as far as the runs tell: not every program is about images."""
    if study.epochs.get("images_per_second", pd.Series(dtype=float)).notna().any():
        return "images"
    return "data" if analysis.images is None else "examples"


def _covered_by_splits(size: str) -> str:
    """Splits of one pool share images, so their results differ less than those of other images would (Nadeau and Bengio 2003)."""
    return (
        f"Intervals cover new seeds, each with its own choice of {size}evaluation images from all images, and of the others to "
        "train on. For images that are not among these they are too narrow, because the choices share images (Nadeau and Bengio "
        "2003)."
    )


def reading(study: Study, analysis: Analysis) -> tuple[str, ...]:
    """Which test, correction, level and margin the verdicts come from."""
    seeds = (
        "What is undecided is shown neither to differ nor to be equivalent. Beside it stands how many seeds a variant a study "
        "with fresh seeds needs to decide it with a probability of 80 %, as a range that holds in 90 % of cases; “never” where "
        f"there may be no difference, and no margin to find that out. {_more_seeds(study)}"
    )
    beside = (
        "Where standard deviations differ by more than 3 times, a run lies away from the others or values are skewed, the t-test "
        "may err more often than it says; then the corrected p-value of a permutation test (robust p) stands beside the verdict."
    )
    more = (
        "CSV and JSON also have intervals for one comparison alone, bootstrap intervals (BCa), permutation tests and p-values of "
        "TOST."
    )
    return (
        _tests(study, analysis),
        f"{_margin(study, analysis)} {seeds}{_correlations(study, analysis)}",
        f"{LOST[study.compare.failed]} {beside} {more}",
    )


def _tests(study: Study, analysis: Analysis) -> str:
    compare, rule = study.compare, study.stopping
    test = "the t-test of the differences within each seed" if compare.paired else "Welch's t-test"
    within = "Within each block, differences" if compare.blocks else "Differences"
    tests = (
        f"{within} are tested by {test}; p-values are corrected for {plural(len(analysis.effects), 'comparison')} by "
        f"{METHODS[compare.correction]}, at level {compare.alpha:g}. {_intervals(study)}"
        "The effect size is Hedges' g, in standard deviations of one seed."
    )
    if not any(math.isfinite(effect.p_adjusted) for effect in analysis.effects):
        nothing = "Within each block nothing" if compare.blocks else "Nothing"
        tests = f"{nothing} is tested: no comparison has values enough to tell noise."
    return f"{tests}{_stops(rule)}" if rule else tests


def _stops(rule: Stopping) -> str:
    text = (
        f" Seeds were added, from {rule.least} to at most {rule.most}, as long as a comparison was undecided; p-values and "
        "intervals hold for all looks together (alpha spending, Lan and DeMets 1983). The corrected difference is the one of "
        "which chance would as often have shown more as less (median-unbiased): a rule stops when chance helps."
    )
    if rule.futility is None:
        return text
    return (
        f"{text} A comparison got no more seeds where all {rule.most} would have decided it with a probability below "
        f"{100 * rule.futility:g} % (futility; predictive probability, Spiegelhalter, Freedman and Blackburn 1986), "
        "which makes no error more likely."
    )


def _margin(study: Study, analysis: Analysis) -> str:
    margin, images = study.compare.margin, analysis.images
    if margin is None:
        who = "The spec names" if study.imported is None else "There is"
        return f"{who} no margin of importance, so no variant can be found equivalent to the reference."
    text = (
        f"Differences within ±{margin:g} are of no importance: “no meaningful difference” is what two one-sided "
        "tests (TOST) confirm."
    )
    if images is None or math.isnan(images.rate) or margin >= (1 - 1e-9) / images.least:
        return text
    one = f"one of {images.least:,} evaluation {_evaluated(study, analysis)}"
    return f"{text} That is less than {one}, so here nothing can be found equivalent."


def _more_seeds(study: Study) -> str:
    """Why none are to be added, and what to do instead."""
    if study.imported is None and study.compare.blocks:
        return "Seeds that are added to this study now would make its error rate void."
    if study.imported is None:
        return (
            "Seeds that are added to this study now would make its error rate void: "
            f"`ablate power {study.name} --follow-up FILE` writes a study with fresh ones."
        )
    return (
        f"{IMPORTED}: who chose metric, step, runs or reference after seeing the values errs more often than the level says, and "
        "so does who adds runs until something is found."
        + (
            ""
            if study.compare.blocks
            else " `ablate judge … --spec FILE` writes the study with fresh seeds that would decide it."
        )
    )


def _intervals(study: Study) -> str:
    if len(study.variants) < 3:
        return ""
    if study.compare.correction == "holm":
        return "Intervals hold all together (Bonferroni), so one may touch 0 where Holm's steps decide. "
    return "Each interval holds for itself, not all together. "


def _correlations(study: Study, analysis: Analysis) -> str:
    """How much pairing by seed can help, where seeds pair."""
    found = [effect.correlation for effect in analysis.effects if effect.correlation == effect.correlation]
    if not study.compare.paired or not found:
        return ""
    return f" Correlation between variant and reference over the seeds: {min(found):+.2f} to {max(found):+.2f}."
