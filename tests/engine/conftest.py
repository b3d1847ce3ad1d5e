"""What the tests of the engine share."""

import inspect

import own_components
import pytest

from ablate import registry
from ablate.registry import KINDS

KIND_OF = {
    "training": "step",
    "samples": "sampler",
    "info": "model",
    "model": "optimizer",
    "classes": "metric",
}  # by what a factory is given first


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The factories of `own_components` as an installed plugin."""
    info = tmp_path / "site" / "own_components-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own_components\nVersion: 1.0\n")
    text = ""
    for name, factory in inspect.getmembers(own_components, inspect.isfunction):
        first = next(iter(inspect.signature(factory).parameters.values()), None)
        positional = first is not None and first.kind is first.POSITIONAL_ONLY
        kind = KIND_OF[first.name] if positional else "transform"
        text += f"[{KINDS[kind]}]\n{name} = own_components:{name}\n"
    (info / "entry_points.txt").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry.default.cache_clear()
    own_components.SEEN.clear()
    yield own_components
    registry.default.cache_clear()
