"""Learning curves as a figure."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablate.errors import EnvironmentProblem
from ablate.study import Study

MOST_IN_LEGEND = 20


def learning_curves(study: Study, path: Path) -> None:
    """Training loss and the metric at each epoch: a line for the mean of each variant, a band from its least to its most.

    Raises:
        EnvironmentProblem: The file cannot be written.
    """
    metric = study.compare.metric
    panels = [name for name in dict.fromkeys(["train_loss", metric]) if name in study.epochs and study.epochs[name].notna().any()]
    names = [variant.name for variant in study.variants]
    figure = Figure(figsize=(5.2 * max(1, len(panels)), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for index, name in enumerate(names):
            rows = study.epochs[study.epochs["variant"] == name].dropna(subset=[panel])
            if rows.empty:
                continue
            grouped = rows.groupby("epoch")[panel]
            color, style = f"C{index % 10}", ("-", "--", ":", "-.")[index // 10 % 4]
            mean = grouped.mean()
            axes.plot(mean.index, mean, color=color, linestyle=style, marker="." if len(mean) < 30 else "", label=_plain(name))
            axes.fill_between(mean.index, grouped.min(), grouped.max(), color=color, alpha=0.15, linewidth=0)
            _published(axes, study, panel, name, color)
        axes.set_xlabel("epoch")
        axes.set_ylabel(_plain(panel.replace("_", " ")))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.suptitle(_plain(study.name))
    if panels:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles[:MOST_IN_LEGEND],
            labels[:MOST_IN_LEGEND],
            loc="outside lower center",
            ncols=min(3, len(labels)),
            frameon=False,
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written: {error}.") from error


def _published(axes: Axes, study: Study, panel: str, name: str, color: str) -> None:
    curve = study.published.get(panel, {}).get(name)
    if isinstance(curve, list):
        axes.plot(
            range(1, len(curve) + 1),
            curve,
            color=color,
            linestyle="none",
            marker="x",
            alpha=0.7,
            label=_plain(f"{name} (published)"),
        )


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
