"""What a report says of factorial studies and of the attribution of a gain."""

import math

from ablate.stats.factor_records import AnovaRow, Attribution, Factorial, Share
from ablate.stats.factorial import LACK_OF_FIT, PURE_ERROR
from ablate.study import Study

from .reading import SOURCES, level, p_heading
from .tables import Table, interval, make_table, number, plural, probability

SHARES = {
    "shapley": "Shapley values from all combinations of the factors",
    "sampled orders": "means over {orders} of adding the factors",
    "given order": "gains in the given order of adding the factors; another order may give others",
    "main effects": "main effects, which are Shapley values where no three factors interact; they sum to the gain that follows",
}


def where_alone(found: Factorial | Attribution) -> str:
    """What the intervals of a table are from, where it stands without its notes; nothing where that is seeds."""
    lows = [row.low for row in (found.terms if isinstance(found, Factorial) else found.rows)]
    source = SOURCES[found.judged_by]
    return f"Intervals are {source}." if source and any(map(math.isfinite, lows)) else ""


def terms_table(study: Study, found: Factorial, digits: int) -> Table:
    """Main effects and interactions with their verdicts."""
    headings = ["effect", "verdict", "estimate", f"{level(study)} interval", p_heading(study), "not told apart from"]
    rows = [
        [
            term.name,
            term.verdict,
            number(term.estimate, f"+z.{digits}f"),
            interval(term.low, term.high, digits),
            probability(term.p_adjusted),
            ", ".join(term.aliases),
        ]
        for term in found.terms
    ]
    return make_table(headings, rows, ["verdict", "not told apart from"])


def variances_table(found: Factorial) -> Table:
    rows = [
        [
            row.source,
            f"{row.df:g}",
            f"{row.sum_squares:.4g}",
            number(row.f, ".2f"),
            probability(row.p),
            number(row.eta_squared, ".3f"),
        ]
        for row in found.anova
    ]
    return make_table(["source of variance", "df", "sum of squares", "F", "p", "partial η²"], rows)


def factorial_notes(study: Study, found: Factorial) -> tuple[str, ...]:
    """What was done, what the terms do not tell, and whether the noise is as the tests take it to be."""
    said = []
    if any(math.isfinite(term.low) for term in found.terms):
        said.append(
            "“better” and “worse” are of a level against the base level, on average over the other factors; “together”, of two "
            "levels against what each brings by itself. p-values are corrected for the number of effects, intervals are each "
            "effect's own."
        )
    *_, noise = found.anova
    if math.isfinite(found.residual_sd) and noise.df > 0:
        of = "between the seeds of a variant (pure error)" if noise.source == PURE_ERROR else "that the terms leave"
        said.append(f"The noise that they are judged by is the standard deviation {of}, {found.residual_sd:.4g}.")
    if found.lenth:
        one, together = found.lenth.margin, found.lenth.simultaneous
        said.append(
            f"The pseudo standard error of the {found.lenth.contrasts} contrasts is {found.lenth.pse:.4g}. An interval ends "
            f"{one:.4g} from the estimate; one that holds for all of them together would end {together:.4g} from it (Bonferroni)."
        )
    said += [_lack_of_fit(study, row) for row in found.anova if row.source == LACK_OF_FIT and math.isfinite(row.p)]
    tests = [("residuals normal (Shapiro–Wilk)", found.normality_p), ("equal variances (Brown–Forsythe)", found.equal_variance_p)]
    checks = [f"{name}: p = {probability(p)}" for name, p in tests if math.isfinite(p)]
    if checks:
        said.append(f"Checks of the noise: {'; '.join(checks)}.")
    return tuple(note for note in (*said, found.note) if note)


def _lack_of_fit(study: Study, row: AnovaRow) -> str:
    test = f"lack of fit, F = {row.f:.2f} with {row.df:g} df, p {'' if row.p < 0.001 else '= '}{probability(row.p)}"
    if row.p < study.compare.alpha:
        return (
            f"The terms above do not describe all differences between the variants ({test}): interactions of three or more "
            "factors, or those that are not in the table, are there too. So an effect holds on average, and may be another where "
            "the other factors stand still."
        )
    return f"The seeds show no difference between the variants beyond these terms ({test})."


def shares_table(study: Study, found: Attribution, digits: int) -> Table:
    """Every share, and their sum, with what the factor brings to the full recipe."""
    headings = ["factor", "share", f"{level(study)} interval", "% of the gain", "added last", f"its {level(study)} interval"]
    rows = [
        [
            share.factor,
            number(share.value, f"+z.{digits}f"),
            interval(share.low, share.high, digits),
            number(share.percent, ".0f"),
            number(share.last, f"+z.{digits}f"),
            interval(share.last_low, share.last_high, digits),
        ]
        for share in found.rows
    ]
    return make_table(headings, rows)


def shares_notes(study: Study, found: Attribution, digits: int) -> tuple[str, ...]:
    """How the gain was divided, what is beyond the noise, and where the full recipe says otherwise."""
    how = SHARES[found.method].format(orders=plural(found.orders, "order"))
    gain = found.rows[-1]
    said = [f"What each factor brings from {found.plain!r} to {found.full!r}: {how}."]
    if math.isnan(gain.low) and all(math.isnan(share.low) for share in found.shares):
        said.append("There are no intervals: nothing tells the noise between seeds.")
    else:
        source = f"are {SOURCES[found.judged_by]}" if SOURCES[found.judged_by] else "include the noise between seeds"
        said.append(f"Intervals {source}, and hold for each share by itself.")
        if found.judged_by == "contrasts":
            said.append("They take it that few effects are large.")
        if not gain.sure:
            said.append("The gain is not beyond its noise, so shares are no percentages of it.")
    if any(math.isfinite(share.last) for share in found.shares):
        said.append("“added last”: the full recipe less the full recipe without the factor.")
    said += [_contradiction(study, share, digits) for share in found.shares if share.contradicted]
    unsure = [share.factor for share in found.shares if share.alone_unsure]
    if unsure:
        said.append(f"Not shown to be missed where it alone is taken out of the full recipe: {', '.join(unsure)}.")
    return tuple(said)


def _contradiction(study: Study, share: Share, digits: int) -> str:
    part = "" if math.isnan(share.percent) else f", {share.percent:.0f} % of the gain"
    better = "better" if (share.last < 0) == (study.compare.goal == "maximize") else "worse"
    without = f"{better} by {abs(share.last):.{digits}f}" if share.last else "the same"
    return (
        f"A contradiction: {share.factor} has a share of {share.value:+z.{digits}f}{part}, and the full recipe is {without} "
        "without it. Another factor does its work there, or it is in the way of one."
    )
