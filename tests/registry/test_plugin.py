"""A plugin is installed with pip, found, validated, run, and uninstalled again."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "ablate-example"
version = "1.2.3"
[project.entry-points."ablate.optimizers"]
sign_sgd = "ablate_example:sign_sgd"
[project.entry-points."ablate.transforms"]
invert = "ablate_example:invert"
[project.entry-points."ablate.models"]
linear = "ablate_example:linear"
[project.entry-points."ablate.hooks"]
good = "ablate_example:Good"
misspelt = "ablate_example:Misspelt"
[tool.setuptools]
py-modules = ["ablate_example"]
"""
MODULE = '''
import torch
from ablate.registry.hooks import hookimpl
from ablate.registry.params import Positive, Unit
from torch import nn


class Good:
    @hookimpl
    def cell_end(status):
        print("done", status)


class Misspelt:
    @hookimpl
    def cell_ended(status):
        print("never", status)


class SignSGD(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad.sign(), alpha=-group["lr"])


def sign_sgd(model, /, *, lr: Positive = 0.001) -> torch.optim.Optimizer:
    """Steps of the sign of the gradient.

    Args:
        lr: Learning rate.
    """
    return SignSGD(model.parameters(), {"lr": lr})


def invert(*, p: Unit = 0.5):
    """Inverts some images.

    Args:
        p: Probability for each image.
    """
    def apply(images, generator):
        chosen = torch.rand(len(images), generator=generator) < p
        return torch.where(chosen[:, None, None, None], 255 - images, images)
    return apply


def linear(info, /) -> nn.Module:
    """One linear layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(info.channels * info.height * info.width, info.classes))
'''


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment of its own that sees the packages of this one, so that pip changes nothing here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    scheme = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def test_a_plugin_comes_and_goes(environment, spec, write, tmp_path):
    def call(*arguments, code=0):
        done = subprocess.run([environment, "-m", *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "ablate_example.py").write_text(MODULE)
    spec["base"] |= {"model": {"use": "linear"}, "optimizer": {"use": "sign_sgd", "lr": 0.003}}
    spec["factors"] = {"invert": {"on": {"train_transforms": {"crop": {"use": "invert"}}}}}
    path = write(spec)

    assert "no installed package provides model 'linear'" in call("ablate", "check", path, code=2)
    call("pip", "install", "--no-deps", "--no-build-isolation", "--quiet", source)
    assert "ablate-example 1.2.3" in call("ablate", "list", "optimizer")
    assert "ablate-example 1.2.3" in call("ablate", "list", "hooks")
    (told,) = [line for line in call("ablate", "list", "hooks", "--load").splitlines() if "unknown hook" in line]
    assert told.startswith("hook  misspelt  ablate-example 1.2.3  ")
    assert "Steps of the sign of the gradient." in call("ablate", "show", "optimizer", "sign_sgd")
    wrong = call("ablate", "check", path, "--set", "base.optimizer.lr=-1", code=2)
    assert "base.optimizer.lr: found -1, expected a number > 0 (ablate-example 1.2.3: optimizer 'sign_sgd')" in wrong
    assert "done accuracy" in call("ablate", "run", path, "--device", "cpu")
    cells = json.loads(call("ablate", "report", "tiny", "--format", "json"))["cells"]
    assert [cell["status"] for cell in cells] == ["done"] * 4

    call("pip", "uninstall", "--yes", "--quiet", "ablate-example")
    assert "ablate-example" not in call("ablate", "list")
    assert "no installed package provides model 'linear'" in call("ablate", "check", path, code=2)
    assert "invert=on" in call("ablate", "report", "tiny"), "results outlive the plugin"
