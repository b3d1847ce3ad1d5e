"""What the tests share."""

import copy
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from ablate.contracts import Environment
from ablate.executors import event_of, order
from ablate.executors.training import messages

SLOWER = (  # what starts processes, browsers or LaTeX, or tries thousands of inputs: most of the time; single tests are marked
    "docs",
    "executors/test_believing.py",
    "executors/test_guard.py",
    "executors/test_local.py",
    "executors/test_worker_logs.py",
    "engine/test_several_devices.py",
    "judging/test_judge_command.py",
    "reliability",
    "report/test_in_notebooks.py",
    "report/test_latex.py",
    "report/test_web.py",
    "runner/test_more_epochs.py",
    "stats/test_simulations.py",
    "test_bench.py",
    "cli/test_cli.py",
    "cli/test_completion.py",
    "cli/test_new_plugin.py",
    "test_notebook.py",
    "cli/test_output.py",
    "test_packaging.py",
    "test_pretended.py",
    "runner/test_planning.py",
    "registry/test_plugin.py",
    "test_readme.py",
    "registry/test_sources.py",
    "testing",
    "watch/test_in_browser.py",
)
SPEC: dict[str, Any] = {
    "name": "tiny",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": {"crop": None, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 2,
    },
    "factors": {"batch_norm": {"on": {"model": {"batch_norm": True}}}},
    "seeds": 2,
}


def pytest_configure(config: pytest.Config) -> None:
    """Files that are named on the command line are run, whichever part they belong to."""
    named = not hasattr(config, "workerinput") and config.args_source is pytest.Config.ArgsSource.ARGS
    if named and config.option.markexpr == "not slow and not slower":
        config.option.markexpr = "not slow"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of the other part are not imported, which takes longer than some of their tests."""
    wanted = config.option.markexpr
    if collection_path.suffix != ".py" or wanted not in ("not slow and not slower", "slower"):
        return None
    whole = _is_slower(collection_path)
    other = not whole and "mark.slower" not in collection_path.read_text("utf-8") if wanted == "slower" else whole
    return other or None


def _is_slower(path: Path) -> bool:
    here = Path(__file__).parent
    return path.is_relative_to(here) and path.relative_to(here).as_posix().startswith(SLOWER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the second part of the tests, which `pytest -m slower` runs."""
    for item in items:
        if _is_slower(item.path) and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.slower)


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests replace parts of components, which no other process is to remember."""
    monkeypatch.setattr("ablate.registry.remembered.cache_folder", lambda: tmp_path / "remembered")


@pytest.fixture
def spec() -> dict[str, Any]:
    """A study of two variants with two seeds, trained in a second."""
    return copy.deepcopy(SPEC)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a document to a file."""

    def write(document: Any, name: str = "spec.json") -> Path:
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are trained here as a worker would train them, which takes longer to import torch than they take."""

    def run(settings: Any, take: Any, stop: Any) -> Any:
        while (cell := take()) is not None:
            for message in messages(json.loads(json.dumps(order(cell, settings))), stop.is_set):
                if message is not None:
                    yield event_of(cell.key, message)

    monkeypatch.setattr("ablate.runner.driver.build", lambda registry, kind, spec, workers: nullcontext(run))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "data", download=False)


@pytest.fixture
def images() -> torch.Tensor:
    """64 images of smooth noise, uint8 [64, 3, 32, 32], which look more like photographs than white noise does."""
    noise = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, size=32, mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)
