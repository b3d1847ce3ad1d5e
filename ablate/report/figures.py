"""What the figures of a study show."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ablate.contracts import Factor
from ablate.plain import shorten
from ablate.stats.factor_records import Attribution, Factorial, JudgedBy
from ablate.stats.records import Effect
from ablate.stats.summary import values
from ablate.study import Study

from .drawing import Mark, Panel, Picture, Series, line_style, series_id
from .reading import SOURCES, against, together
from .style import COLORS, DASHES, GREY, INK
from .tables import decimals, interval, number

if TYPE_CHECKING:  # matplotlib is there when axes are
    from matplotlib.axes import Axes

MOST_ROWS = 40  # of a forest plot
LINE = 24  # characters of a name
MOST_CURVES = 12  # that have a colour of their own
MOST_INTERACTIONS = 6
VERDICTS = {
    "better": Mark("better", COLORS[0], marker="^"),
    "worse": Mark("worse", COLORS[1], marker="v"),
    "no meaningful difference": Mark("no meaningful difference", COLORS[2], marker="s"),
    "better together": Mark("better together", COLORS[0], marker="^"),
    "worse together": Mark("worse together", COLORS[1], marker="v"),
    "undecided": Mark("undecided", GREY, marker="o"),
    "no change": Mark("no change", GREY, marker="x"),
}
GAIN, LOSS, TOGETHER = Mark("better", COLORS[0]), Mark("worse", COLORS[1]), Mark("all together", GREY)  # bars


@dataclass(frozen=True)
class Row:
    """A line of a forest plot: what the table beside it has.

    Attributes:
        name: At the left.
        value: Where its mark stands, or its bar ends; bars begin at 0.
        low: Lower end of its interval; NaN where there is none.
        high: Its upper end.
        mark: How it is drawn; a bar where it has no symbol.
    """

    name: str
    value: float
    low: float
    high: float
    mark: Mark


def effects_picture(study: Study, effects: Sequence[Effect]) -> tuple[Picture, ...]:
    """The forest plot: every variant's difference with its interval, and the margin as a band."""
    rows = [Row(e.variant, e.difference, e.low, e.high, VERDICTS[e.verdict]) for e in effects]
    caption = f"Difference in {study.compare.metric} from {against(study)}"
    label = f"difference in {study.compare.metric}"
    return forest(study, "effects", caption, label, rows, study.compare.margin, together(study))


def terms_picture(study: Study, found: Factorial) -> tuple[Picture, ...]:
    """Main effects and interactions as a forest plot."""
    rows = [Row(t.name, t.estimate, t.low, t.high, VERDICTS[t.verdict]) for t in found.terms]
    caption = f"Main effects and two-way interactions on {study.compare.metric}"
    label = f"change of {study.compare.metric}"
    return forest(study, "terms", caption, label, rows, study.compare.margin, _source(found.judged_by))


def attribution_picture(study: Study, found: Attribution) -> tuple[Picture, ...]:
    """What each factor brings, and what they bring together, as bars."""
    if not np.isfinite(found.gain):
        return ()
    towards = 1 if study.compare.goal == "maximize" else -1
    rows = [Row(s.factor, s.value, s.low, s.high, GAIN if s.value * towards >= 0 else LOSS) for s in found.rows]
    rows[-1] = replace(rows[-1], mark=TOGETHER)
    caption = f"What each factor brings from {found.plain!r} to {found.full!r} (blue is better, orange is worse)"
    label = f"change of {study.compare.metric}"
    return forest(study, "attribution", caption, label, rows, which=_source(found.judged_by))


def _source(judged_by: JudgedBy) -> str:
    return f" {SOURCES[judged_by]}" if SOURCES[judged_by] else ""


def _level(study: Study) -> str:
    return f"{100 * (1 - study.compare.alpha):g} %"


def forest(
    study: Study, name: str, caption: str, label: str, rows: Sequence[Row], margin: float | None = None, which: str = ""
) -> tuple[Picture, ...]:
    """A line for each of the rows that has a value; the numbers are those of the table."""
    rows = [row for row in rows if np.isfinite(row.value)]
    if not rows:
        return ()
    if any(np.isfinite(row.low) for row in rows):
        caption += f", with {_level(study)} intervals{which}"
    if margin is not None:
        caption += f"; the band is the margin of ±{margin:g}"
    if len(rows) > MOST_ROWS:
        caption += f". The {MOST_ROWS} largest of {len(rows)} are drawn"
        largest = {row.name for row in sorted(rows, key=lambda row: -abs(row.value))[:MOST_ROWS]}
        rows = [row for row in rows if row.name in largest]
    names = [wrapped(row.name) for row in rows]
    lines = [max(1.3, text.count("\n") + 1.4) for text in names]
    places = np.cumsum(lines) - np.array(lines) / 2

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        if margin is not None:
            axes.axvspan(-margin, margin, color=INK, alpha=0.09, linewidth=0)
        axes.axvline(0, color=INK, linewidth=0.8)
        for index, (place, row) in enumerate(zip(places, rows, strict=True)):
            if row.mark.marker:
                looks: dict[str, Any] = {"color": row.mark.color, "marker": row.mark.marker, "markersize": 5.5}
                axes.plot(row.value, place, linestyle="none", gid=series_id(index), **looks)
            else:
                axes.barh(place, row.value, height=0.9, color=row.mark.color, linewidth=0)
            color = row.mark.color if row.mark.marker else INK
            axes.hlines(place, row.low, row.high, color=color, linewidth=1.6, gid=series_id(index, "interval"))
        axes.set_yticks(places, names)
        axes.set_ylim(sum(lines), 0)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(4))  # long names leave room for no more
        axes.set_xlabel(shorten(label, 60))

    key = tuple(mark for mark in dict.fromkeys(VERDICTS.values()) if mark in {row.mark for row in rows})
    series = tuple(Series(row.name, told=_told(row)) for row in rows)
    return (Picture(name, f"{caption}.", (Panel(draw, 4.7, 0.65 + 0.17 * sum(lines), series),), key),)


def _told(row: Row) -> str:
    digits = decimals([row.value, row.low, row.high])
    ends = "" if np.isnan(row.low) else f" {interval(row.low, row.high, digits)}"
    return f"{number(row.value, f'+z.{digits}f')}{ends}, {row.mark.label}"


def wrapped(name: str, line: int = LINE) -> str:
    """A name in lines of so many characters, broken after commas where there are some, and in longer parts after other signs."""
    parts = [part for part in re.split(r"(?<=[,\s])", shorten(name, 120)) if part]
    signs = r"(?<=[_=/.])"
    shorter = [piece for part in parts for piece in ([part] if len(part) <= line else re.split(signs, part))]
    lines = [""]
    for piece in chain.from_iterable(textwrap.wrap(part, line, drop_whitespace=False) for part in shorter):
        if len(lines[-1]) + len(piece.rstrip()) <= line:
            lines[-1] += piece
        else:
            lines.append(piece)
    return "\n".join(line.rstrip() for line in lines if line.strip()) or " "


def curves_picture(study: Study, summary: pd.DataFrame) -> tuple[Picture, ...]:
    """Training loss and the metric at each epoch: a line for the mean of each variant, a band from its least to its most."""
    epochs = study.epochs
    shown = [
        name for name in dict.fromkeys(["train_loss", study.compare.metric]) if name in epochs and epochs[name].notna().any()
    ]
    if not shown:
        return ()
    curves = [(name, curve) for panel in shown for name, curve in study.published.get(panel, {}).items()]
    marks = variant_marks(study, summary)
    caption = "Mean of each variant at each epoch, with a band from its least to its most"
    if epochs.groupby("variant")["seed"].nunique().max() < 2:
        caption = "Each variant at each epoch"
    if len(marks) < len(study.variants):
        caption += (
            f". In colour: the reference and the {len(marks) - 1} variants with the largest differences; "
            f"in grey, without bands: the other {len(study.variants) - len(marks)}"
        )
    if any(isinstance(curve, list) for _, curve in curves):
        caption += "; crosses: published"
    drawn = {*epochs["variant"], *(name for name, curve in curves if isinstance(curve, list))}
    marks = {name: mark for name, mark in marks.items() if name in drawn}
    panels = [Panel(partial(_curves, study, name, marks), 4.2, 3.1, _series(study, name, marks)) for name in shown]
    return (Picture("curves", f"{caption}.", tuple(panels), tuple(marks.values())),)


def variant_marks(study: Study, summary: pd.DataFrame) -> dict[str, Mark]:
    """The variants that have a colour: all, or the reference and those that differ most."""
    table = summary.set_index("variant")["difference"].abs()
    others = [variant.name for variant in study.variants if variant.name != study.compare.reference]
    if len(others) >= MOST_CURVES:
        largest = set(table[others].nlargest(MOST_CURVES - 1).index)
        others = [name for name in others if name in largest]
    styles = [Mark(name, COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]) for i, name in enumerate(others)]
    reference = study.compare.reference
    return {reference: Mark(reference, INK, ())} | {mark.label: mark for mark in styles}


def _by_epoch(epochs: pd.DataFrame, panel: str) -> pd.DataFrame:
    """Mean, least and most of each variant at each epoch."""
    return epochs.dropna(subset=[panel]).groupby(["variant", "epoch"])[panel].agg(["mean", "min", "max"])


def _series(study: Study, panel: str, marks: dict[str, Mark]) -> tuple[Series, ...]:
    marked = study.epochs[study.epochs["variant"].isin(list(marks))]
    means = {name: own.droplevel(0) for name, own in _by_epoch(marked, panel)["mean"].groupby("variant")}
    return tuple(
        Series(name, tuple(means[name].index), tuple(means[name]), along="epoch") if name in means else Series(name)
        for name in marks
    )


def _curves(study: Study, panel: str, marks: dict[str, Mark], axes: "Axes") -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import MaxNLocator

    summary = _by_epoch(study.epochs, panel)
    present = set(summary.index.get_level_values("variant"))
    others = [variant.name for variant in study.variants if variant.name in present - marks.keys()]
    grey = [summary.loc[name]["mean"] for name in others]
    if grey:
        lines = [np.column_stack([mean.index, mean]) for mean in grey]
        axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.5, alpha=0.35))
    for index, (name, mark) in enumerate(marks.items()):
        if name in present:
            table = summary.loc[name]
            looks: dict[str, Any] = {"linestyle": line_style(mark.dashes or ()), "marker": "." if len(table) < 15 else ""}
            axes.plot(table.index, table["mean"], color=mark.color, linewidth=1.4, gid=series_id(index), **looks)
            band: dict[str, Any] = {"alpha": 0.12, "linewidth": 0, "gid": series_id(index, "band")}
            axes.fill_between(table.index, table["min"], table["max"], color=mark.color, **band)
        curve = study.published.get(panel, {}).get(name)
        if isinstance(curve, list):
            crosses: dict[str, Any] = {"marker": "x", "markersize": 5, "gid": series_id(index, "published")}
            axes.plot(range(1, len(curve) + 1), curve, color=mark.color, linestyle="none", **crosses)
    axes.autoscale_view()
    axes.set_xlabel("epoch")
    axes.set_title(shorten(panel.replace("_", " "), 50), loc="left", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()


def interactions_picture(study: Study, found: Factorial) -> tuple[Picture, ...]:
    """For pairs of factors, the mean at each level of one, with a line for each level of the other."""
    numbers = values(study).dropna()
    numbers = numbers[numbers["variant"].isin([variant.name for variant in study.variants if variant.levels])]
    pairs = [pair for pair in combinations(study.factors, 2) if _complete(study, numbers, pair)]
    if not pairs:
        return ()
    p = {term.name: term.p for term in found.terms}
    pairs.sort(key=lambda pair: min((p.get(name, 1.0) for name in _contrasts(*pair)), default=1.0))
    caption = f"Mean {study.compare.metric} at the levels of two factors, averaged over the others"
    if np.isfinite(found.residual_sd):
        caption += ", with the standard error that the noise gives it"
    if len(pairs) > MOST_INTERACTIONS:
        caption += f". The {MOST_INTERACTIONS} of {len(pairs)} pairs with the smallest p-values are drawn"
    panels = [
        Panel(partial(_interaction, study, numbers, pair, found.residual_sd), 3.1, 2.6) for pair in pairs[:MOST_INTERACTIONS]
    ]
    return (Picture("interactions", f"{caption}.", tuple(panels)),)


def _levels(study: Study, numbers: pd.DataFrame, factor: Factor) -> pd.Series:
    """The level of a factor in each row."""
    return numbers["variant"].map({variant.name: variant.levels.get(factor.name) for variant in study.variants})


def _complete(study: Study, numbers: pd.DataFrame, pair: tuple[Factor, Factor]) -> bool:
    """Whether there is a value for each combination of the levels of two factors."""
    found = set(zip(*(_levels(study, numbers, factor) for factor in pair), strict=True))
    return set(product(*((factor.base, *factor.others) for factor in pair))) <= found


def _contrasts(one: Factor, other: Factor) -> list[str]:
    """The names that the terms of an interaction have."""
    return [f"{one.name}={a} × {other.name}={b}" for a, b in product(one.others, other.others)]


def _interaction(study: Study, numbers: pd.DataFrame, pair: tuple[Factor, Factor], sd: float, axes: "Axes") -> None:
    one, other = pair
    levels = [one.base, *one.others]
    along, across = (_levels(study, numbers, factor) for factor in pair)
    for index, level in enumerate([other.base, *other.others]):
        variants = numbers[across == level].groupby([along, "variant"])["value"].agg(["mean", "count"]).groupby(level=0)
        mean = variants["mean"].mean().reindex(levels)
        error = sd * variants["count"].agg(lambda n: np.sqrt((1 / n).sum()) / len(n)).reindex(levels)
        color = INK if index == 0 else COLORS[(index - 1) % len(COLORS)]
        style = line_style(DASHES[index % len(DASHES)])
        label = shorten(f"{other.name} = {level}", 40)
        looks: dict[str, Any] = {"color": color, "linestyle": style, "marker": "o", "markersize": 4, "label": label}
        axes.errorbar(range(len(levels)), mean, error if np.isfinite(sd) else None, capsize=2, **looks)
    axes.set_xticks(range(len(levels)), [shorten(level, max(4, 40 // len(levels))) for level in levels])
    axes.set_xlim(-0.3, len(levels) - 0.7)
    axes.set_xlabel(shorten(one.name, 40))
    axes.set_ylabel(shorten(study.compare.metric, 30))
    axes.grid(axis="y")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderpad=0)
