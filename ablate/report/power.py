"""What helps to plan a study, in the terminal: its power, and how it judges a placebo."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ablate.stats.placebo import Placebo
from ablate.stats.power import Detectable, Needed, Noise

from .console import table, text


def power_view(noise: Noise, wanted: float, detectable: Sequence[Detectable], needed: Sequence[Needed]) -> RenderableType:
    """What each number of seeds shows, and what each difference needs; ranges are those of the noise."""
    return Group(*_power(noise, wanted, detectable, needed))


def _power(noise: Noise, wanted: float, detectable: Sequence[Detectable], needed: Sequence[Needed]) -> Iterator[RenderableType]:
    if noise.df:
        line = f"noise: {noise.sd:.4g} between seeds, 95 % interval {noise.low:.4g} to {noise.high:.4g} ({noise.df} df)"
    else:
        line = f"noise: {noise.sd:.4g} between seeds, as given"
    if noise.correlation == noise.correlation:
        line += f"; results of one seed correlate at {noise.correlation:+.2f} over the variants"
    yield text(line)
    yield Text()
    yield text(f"The smallest difference that is found with a probability of {wanted:.0%}:", "bold")
    rows = [[str(d.n), f"{d.difference:.4g}", _range(d.low, d.high, ".4g", noise)] for d in detectable]
    yield table(["seeds a variant", "difference", "with the noise's interval"], rows, numeric=True)
    yield Text()
    yield text(f"The seeds a variant that find a difference with a probability of {wanted:.0%}:", "bold")
    rows = [[f"{n.difference:.4g}", _count(n.n), _range(n.low, n.high, "", noise)] for n in needed]
    yield table(["difference", "seeds a variant", "with the noise's interval"], rows, numeric=True)


def _count(seeds: int | None) -> str:
    return "too many" if seeds is None else str(seeds)


def _range(low: float | None, high: float | None, form: str, noise: Noise) -> str:
    if not noise.df:
        return ""
    ends = ["too many" if end is None else format(end, form) for end in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def placebo_view(found: Placebo) -> RenderableType:
    """How often a study of nothing finds something."""
    interval = "" if found.low == found.high else f", 95 % interval {found.low:.1%} to {found.high:.1%}"
    wrong = sum(verdict in ("better", "worse") for verdict in found.verdicts)
    return Group(
        text(f"False differences in this placebo: {wrong} of {len(found.verdicts)}.", "bold"),
        text(
            f"Of {found.studies:,} ways to share the same results out to the variants, {found.false:,} find a difference: "
            f"{found.rate:.1%}{interval}; {found.alpha:.0%} is what the study allows."
        ),
    )
