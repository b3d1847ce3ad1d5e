"""What helps to plan a study, in the terminal: its power, how it judges a placebo, and how long it takes."""

from collections.abc import Callable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ablate.contracts import Estimate
from ablate.stats.placebo import Placebo
from ablate.stats.power import Detectable, Needed, Noise

from .console import indented, table, text
from .tables import duration, plural


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
    yield text(f"The smallest difference that is found with a probability of {_percent(wanted)}:", "bold")
    rows = [[str(d.n), f"{d.difference:.4g}", _range(d.low, d.high, ".4g", noise)] for d in detectable]
    yield table(["seeds a variant", "difference", "with the noise's interval"], rows, numeric=True)
    yield Text()
    yield text(f"The seeds a variant that find a difference with a probability of {_percent(wanted)}:", "bold")
    rows = [[f"{n.difference:.4g}", _count(n.n), _range(n.low, n.high, "", noise)] for n in needed]
    yield table(["difference", "seeds a variant", "with the noise's interval"], rows, numeric=True)


def _count(seeds: int | None) -> str:
    return "too many" if seeds is None else str(seeds)


def _range(low: float | None, high: float | None, form: str, noise: Noise) -> str:
    if not noise.df:
        return ""
    ends = ["too many" if end is None else format(end, form) for end in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def _percent(part: float) -> str:
    return f"{100 * part:.3g} %"


def placebo_view(found: Placebo) -> RenderableType:
    """How often a study of nothing finds something."""
    interval = "" if found.low == found.high else f", 95 % interval {_percent(found.low)} to {_percent(found.high)}"
    wrong = sum(verdict in ("better", "worse") for verdict in found.verdicts)
    return Group(
        text(f"False differences in this placebo: {wrong} of {len(found.verdicts)}.", "bold"),
        text(
            f"Of {found.studies:,} ways to share the same results out to the variants, {found.false:,} find a difference: "
            f"{_percent(found.rate)}{interval}; {_percent(found.alpha)} is what the study allows."
        ),
    )


def time_view(found: Estimate, price: float | None) -> RenderableType:
    """How long a study takes, what it costs, and what says so."""
    return Group(*_time(found, price))


def _time(found: Estimate, price: float | None) -> Iterator[RenderableType]:
    if not found.cells:
        yield text("time: nothing is left to train")
        return
    what = f"for {plural(found.cells, 'cell')}" + (f", {found.jobs} at once" if found.jobs > 1 else "")
    if found.low is None or found.high is None:
        yield text(f"time: unknown {what}", "bold")
    else:
        yield text(f"time: {_about(found.seconds, found.low, found.high, duration)} {what}", "bold")
        if price is not None:
            ends = [None if seconds is None else seconds / 3600 * price for seconds in (found.seconds, found.low, found.high)]
            yield text(f"money: {_about(ends[0], ends[1] or 0.0, ends[2] or 0.0, '{:,.2f}'.format)} at {price:g} an hour", "bold")
    lines = [*(f"told by {source}" for source in found.sources), *(f"not known of {reason}" for reason in found.unknown)]
    yield from (indented(line) for line in lines)


def _about(middle: float | None, low: float, high: float, form: Callable[[float], str]) -> str:
    ends = f"{form(low)} to {form(high)}"
    return ends if middle is None else f"about {form(middle)} ({ends})"
