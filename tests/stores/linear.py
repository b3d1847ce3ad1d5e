"""The plugin of the kept stores: a model small enough for its checkpoint to be kept."""

from pathlib import Path

from torch import nn

from ablate.contracts import DataInfo


def linear(info: DataInfo, /) -> nn.Module:
    """One layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(info.channels * info.height * info.width, info.classes))


def install(site: Path) -> Path:
    """Makes a folder that has the plugin when it is on Python's path."""
    information = site / "kept_linear-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "kept_linear.py").write_text(Path(__file__).read_text())
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: kept-linear\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[ablate.models]\nkept_linear = kept_linear:linear\n")
    return site
