"""What a consumer's type checker makes of the installed package: mypy, in strict mode."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ablate

RIGHT = """
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import ablate
import pandas as pd
from ablate.errors import AblateError, SpecError
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.registry.params import Choices, Fraction, Nested, Positive, PositiveInt
from ablate.contracts import Data, DataInfo, Environment, Horizon, Result
from ablate.results import Results
from ablate.testing import ModelContract, OptimizerContract


def best(study: Results) -> str:
    effects: pd.DataFrame = study.effects()
    study.figure("curves").savefig("curves.pdf")
    names: list[str] = [effect.variant for effect in study.analysis().effects if effect.verdict == "better"]
    return study.analysis().answer if effects.empty else ", ".join(names)


def main(spec: Mapping[str, Any]) -> str:
    try:
        study = ablate.run(spec, overrides=["seeds=2"], jobs=2, executor={"use": "local"}, progress=False)
    except SpecError as error:
        return "; ".join(problem.hint for problem in error.problems)
    except AblateError as error:
        return str(int(error.exit_code))
    return best(study) + best(ablate.load_study("quickstart", store="ablate-store"))


@hookimpl
def epoch_end(cell: CellInfo, record: dict[str, Any]) -> None:
    print(", ".join(cell.variants), cell.seed + 1, record["accuracy"])


@hookimpl
def cell_end(cell: CellInfo, status: str, result: Result | None) -> None:
    print(cell.key, status, result.seconds if result else None)


class Handle:
    def fingerprint(self) -> str:
        return ""

    def load(self) -> Data:
        raise NotImplementedError


def dataset(environment: Environment, /, *, size: PositiveInt = 16, part: Literal["a", "b"] = "a") -> Handle:
    print(environment.data_dir / part, size + 1)
    return Handle()


def scheduler(horizon: Horizon, /, *, warmup: Fraction = 0.1, peak: Positive = 1.0) -> Any:
    steps = horizon.epochs * horizon.steps_per_epoch
    return lambda step: min(peak, step / (warmup * steps + 1))


Arch = Annotated[str, Choices(lambda: ["a", "b"])]


def model(info: DataInfo, /, *, arch: Arch = "a", part: Annotated[Any, Nested("model")] = None) -> Any:
    return (arch.upper(), info.channels * info.height * info.width, part)


class TestModel(ModelContract):
    component = {"use": "mine", "arch": "a"}


class TestOptimizer(OptimizerContract):
    component = {"use": "mine", "lr": 0.1}
"""
WRONG = """
import ablate
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.registry.params import Positive
from ablate.contracts import Horizon
from ablate.testing import OptimizerContract

study = ablate.run("spec.json", seeds=2)  # call-arg
ablate.run(1)  # arg-type
ablate.load_study()  # call-arg
study.cell  # attr-defined
study.effects().no_such_method()  # operator
for effect in study.analysis().effects:
    effect.verdict = "better"  # misc
    effect.verdict == "fine"  # comparison-overlap
study.figure(2)  # arg-type


@hookimpl
def cell_start(cell: CellInfo) -> str:
    return cell.seed  # return-value


def scheduler(horizon: Horizon, /, *, peak: Positive = "1") -> int:  # assignment
    horizon.steps  # attr-defined
    return 1


class TestOptimizer(OptimizerContract):
    component = 3  # assignment
"""
CONFIG = """[mypy]
strict = true
[mypy-torch.*,numpy.*,matplotlib.*,scipy.*,sklearn.*,torchvision.*,_pytest.*,rich.*,jsonschema.*]
follow_imports = skip
"""  # what they say of themselves is theirs, and reading torch takes longer than all else


@pytest.fixture
def check(tmp_path, request):
    """Checks a module in strict mode, in an environment in which the package is installed; returns (line, code) of each error."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(environment), "platbase": str(environment)}))
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    (site / "ablate").symlink_to(Path(ablate.__file__).parent, target_is_directory=True)
    python = next((environment / "bin").glob("python"), None) or environment / "Scripts" / "python.exe"
    (tmp_path / "mypy.ini").write_text(CONFIG)

    def check(source):
        (tmp_path / "consumer.py").write_text(source)
        cache = request.config.cache.mkdir("mypy")
        flags = ["--config-file", "mypy.ini", "--python-executable", python, "--cache-dir", cache, "--no-error-summary"]
        command = [sys.executable, "-m", "mypy", *flags, "consumer.py"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        errors = re.findall(r"^(.+):(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
        assert done.returncode == bool(errors), done.stdout + done.stderr
        assert {path for path, _, _ in errors} <= {"consumer.py"}, done.stdout
        return [(int(line), code) for _, line, code in errors]

    return check


def test_strict_mypy_accepts_a_consumer_and_finds_its_mistakes(check):
    assert check(RIGHT) == []
    wrong = enumerate(WRONG.splitlines(), start=1)
    assert check(WRONG) == [(number, line.rpartition("# ")[2]) for number, line in wrong if "  # " in line]
