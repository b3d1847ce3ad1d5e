"""The conclusion in a sentence, where a design asks for more than comparisons with the reference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import floor, isnan, log10
from typing import Literal

from ablate.study import Compare, Study

from .factor_records import AnovaRow, Attribution, Factorial, Share, Term
from .factorial import LACK_OF_FIT, RESIDUAL
from .summary import values

MOST_NAMED = 3
LONGEST = 80  # characters of a name
ASKS: Mapping[str, Literal["effects", "shares", "comparisons"]] = {
    "ablate-core:factorial": "effects",
    "ablate-core:screening": "effects",
    "ablate-core:cumulative": "shares",
    "ablate-core:leave_one_out": "comparisons",
    "ablate-core:add_one_in": "comparisons",
    "ablate-core:one_at_a_time": "comparisons",
}


def headline(study: Study, factorial: Factorial | None, attribution: Attribution | None) -> str | None:
    """Main effects and interactions for factorial and screening designs, shares for cumulative ones; None for comparisons.

    Of another package's design, it is what the combinations that it runs can tell.
    """
    asks = ASKS.get((study.design or {}).get("use", ""))
    if factorial is not None and asks in ("effects", None):
        return _effects(study, factorial)
    if attribution is not None and asks in ("shares", None):
        return _shares(study, attribution)
    return None


def _effects(study: Study, found: Factorial) -> str:
    terms, compare = found.terms, study.compare
    if all(isnan(term.p) for term in terms):
        return f"Nothing can be concluded: there is no noise to judge the effects by; {_more_seeds(study)}."
    shown = sorted((term for term in terms if term.verdict.startswith(("better", "worse"))), key=lambda term: -abs(term.estimate))
    rest = [term for term in terms if term not in shown]
    what = f"{len(terms)} main effects and interactions on {compare.metric}"
    some = "None of" if not shown else "All" if not rest else f"{len(shown)} of"
    told = f"{some} {what} {_is(max(1, len(shown)))} shown{': ' if shown else ''}"
    told += _named([_effect(compare, term) for term in shown])
    if rest:
        told += f"{'.' if shown else ':'} {_counts(rest)}"
    if found.lenth:
        told += (
            ". Each variant has one value, so that they are judged by the contrasts of the design (Lenth 1989), not by seeds: "
            "run at least 3 seeds a variant to know the noise"
        )
    elif found.anova[-1].source == RESIDUAL:
        told += ". Each variant has one value, so that what the terms leave was taken for noise"
    return f"{told}.{_lack_of_fit(compare, found.anova)}"


def _more_seeds(study: Study) -> str:
    """What to do where there is no noise to judge by."""
    if values(study).dropna()["variant"].duplicated().any():
        return "the seeds of each variant agree, so run more"
    return "run at least 3 seeds a variant"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _named(sentences: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(sentences) - MOST_NAMED
    return "; ".join([*sentences[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _effect(compare: Compare, term: Term) -> str:
    how = f"are {term.verdict}" if "together" in term.verdict else f"is {term.verdict} on average"
    told = f"{short(term.name)} {how}, by {_size(compare, term)}"
    if len(term.aliases) == 1:
        told += f", unless it is {short(term.aliases[0])}"
    elif term.aliases:
        told += f", unless it is one of {len(term.aliases)} aliases"
    return told


def _counts(terms: Sequence[Term]) -> str:
    """Such as `3 are undecided and 1 makes no meaningful difference`."""
    verdicts = Counter(term.verdict for term in terms)
    nothing, undecided = verdicts["no meaningful difference"], verdicts["undecided"]
    parts = [f"{undecided} {_is(undecided)} undecided"] if undecided else []
    parts += [f"{nothing} {'makes' if nothing == 1 else 'make'} no meaningful difference"] if nothing else []
    return " and ".join(parts)


def _lack_of_fit(compare: Compare, rows: Sequence[AnovaRow]) -> str:
    if any(row.source == LACK_OF_FIT and row.p < compare.alpha for row in rows):
        return " They do not describe all differences between the variants (see lack of fit)."
    return ""


def _shares(study: Study, found: Attribution) -> str:
    gain, compare = found.rows[-1], study.compare
    way = f"from {short(found.plain)} to {short(found.full)} {compare.metric} changes by"
    if isnan(gain.low) or isnan(gain.high):
        return f"Nothing can be concluded: {way} {gain.value:+z.4g}, with no noise to judge it by; {_more_seeds(study)}."
    shares = sorted(found.shares, key=lambda share: -abs(share.value))
    sure = [share for share in shares if share.sure]
    named = _named([_share(share) for share in sure])
    told = f"{way[0].upper()}{way[1:]} {_size(compare, gain)}" if gain.sure else f"No gain is shown: {way} {_size(compare, gain)}"
    told += f"; beyond the noise, each by itself: {named}" if sure else "; no share is beyond the noise by itself"
    if against := [f"by {-share.last:+z.4g} without {short(share.factor)}" for share in sure if share.contradicted]:
        told += f". Yet the full recipe says otherwise: its {compare.metric} changes {_named(against)}"
    return f"{told}."


def _share(share: Share) -> str:
    part = "" if isnan(share.percent) else f" ({share.percent:.0f} %)"
    return f"{short(share.factor)} {signed(share.value, share.low, share.high)[0]}{part}"


def short(name: str) -> str:
    """A name as a sentence can have it."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _size(compare: Compare, found: Term | Share) -> str:
    value, low, high = signed(found.estimate if isinstance(found, Term) else found.value, found.low, found.high)
    return f"{value} ({100 * (1 - compare.alpha):g} % interval {low} to {high})"


def signed(value: float, low: float, high: float) -> list[str]:
    """A number and the ends of its interval, with signs, to three digits of its width."""
    digits = max(0, 2 - floor(log10(high - low)))
    return [f"{number:+z.{digits}f}" for number in (value, low, high)]
