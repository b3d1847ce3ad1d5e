"""What every component has to keep, of whatever kind: found, documented, its settings checked before it is built."""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pytest
import torch
from docstring_parser import parse

from ablate.contracts import Environment
from ablate.errors import AblateError, Problem, checked, describe
from ablate.registry import KINDS, BrokenComponent, Loaded, UnknownComponent, build, default
from ablate.spec.recipe import resolve_component
from ablate.spec.validation import expected

from .values import edges, out_of_range, valid

NEGATIVE = (-1e6, -1.0, -1e-6)
LIST = (
    "import json, sys; from ablate.cli import app; app(['list'], standalone_mode=False); print(json.dumps(sorted(sys.modules)))"
)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class ComponentContract:
    """The part that all kinds have in common; a plugin's test is a subclass of the contract of its kind.

    Attributes:
        kind: The kind; each contract has its own.
        component: What a spec would say: `use`, and the parameters that are to be tried, at least those without a default.
    """

    kind: ClassVar[str]
    component: Mapping[str, Any]

    def engine_arguments(self) -> tuple[Any, ...]:
        """What the engine gives the factory."""
        return ()

    @pytest.fixture(params=DEVICES)
    def device(self, request: pytest.FixtureRequest) -> torch.device:
        """Every device that there is."""
        return torch.device(request.param)

    def loaded(self) -> Loaded:
        """The component, imported."""
        try:
            return default().load(self.kind, self.component["use"])
        except UnknownComponent as error:
            _fail(f"{error}\nDeclare it in pyproject.toml, and install the package again:\n\n{self._declaration()}")
        except BrokenComponent as error:
            _fail(str(error))

    def _declaration(self) -> str:
        name = self.component["use"].rpartition(":")[2]
        return f'[project.entry-points."{KINDS[self.kind]}"]\n{name} = "module:function"\n'

    def resolve(self, **settings: Any) -> tuple[dict[str, Any], list[Problem]]:
        """The component with all of its parameters, and what is wrong with them."""
        self.loaded()
        return checked(resolve_component(default(), self.kind, {**self.component, **settings}, "component"))

    def make(self, *engine_arguments: Any, **settings: Any) -> Any:
        """Builds the component, with other settings than those of `component` where they are given."""
        resolved, found = self.resolve(**settings)
        if found:
            _fail("`component` of this test is not what a spec may say:\n" + "\n".join(map(str, found)))
        return self.built(resolved, *(engine_arguments or self.engine_arguments()))

    def built(self, resolved: dict[str, Any], *engine_arguments: Any) -> Any:
        """What the factory gives for a component with all of its parameters."""
        return build(default(), self.kind, resolved, *engine_arguments)

    def test_it_is_found_through_its_entry_point(self) -> None:
        loaded = self.loaded()
        assert callable(loaded.factory), f"{loaded.component.target} is not a function: let the entry point name the factory."

    def test_what_a_spec_says_is_accepted_and_builds(self) -> None:
        self.make()

    def test_it_and_each_of_its_parameters_are_documented(self) -> None:
        loaded = self.loaded()
        factory, signature = loaded.component.target, loaded.signature
        assert signature.summary, f"{factory} has no docstring: say in its first line what it is."
        bare = [name for name, parameter in signature.parameters.items() if not parameter.doc]
        assert not bare, f"{factory} does not document {', '.join(bare)}: add a line for each under `Args:` of its docstring."
        known = inspect.signature(loaded.factory).parameters
        strange = [param.arg_name for param in parse(inspect.getdoc(loaded.factory) or "").params if param.arg_name not in known]
        assert not strange, f"{factory} documents {', '.join(strange)}, which it does not take: correct `Args:` of its docstring."

    def test_defaults_are_in_range(self) -> None:
        for name, parameter in self.loaded().signature.parameters.items():
            if parameter.required:
                continue
            assert valid(parameter.schema, parameter.default), (
                f"the default of {name} is {parameter.default!r}, and its annotation allows {expected(parameter.schema)}: "
                "change one of them."
            )
            if parameter.choices and parameter.default is not None:
                known = list(parameter.choices.list())
                assert parameter.default in known, f"the default of {name}, {parameter.default!r}, is not among its choices."

    def test_values_out_of_range_are_refused_before_anything_is_built(self) -> None:
        for name, parameter in self.loaded().signature.parameters.items():
            for value in out_of_range(parameter.schema):
                _, found = self.resolve(**{name: value})
                assert found, f"{name} = {value!r} is accepted, and its annotation allows {expected(parameter.schema)}."
            if any(edge in parameter.schema for edge in ("minimum", "exclusiveMinimum")):
                continue
            if parameter.schema.get("type") in ("number", "integer"):
                refusals = [self._refusal(name, value) for value in _negative(parameter.schema)]
                assert not all(refusals), (
                    f"{name} may be negative, as its annotation says, and the factory refuses that: {refusals[0]}. Annotate it "
                    "with `Positive`, `NonNegative` or a `Bound` of ablate.registry.params, so that `ablate check` tells it."
                )

    def _refusal(self, name: str, value: Any) -> str:
        """Why the factory refuses a value; empty where it does not."""
        try:
            self.make(**{name: value})
        except Exception as error:  # whatever the factory raises
            return describe(error) or type(error).__name__
        return ""

    def test_values_in_range_build_or_are_refused_with_a_message(self) -> None:
        for name, parameter in self.loaded().signature.parameters.items():
            for value in edges(parameter.schema):
                try:
                    message = message_of(partial(self.make, **{name: value}), ValueError, AblateError)
                except Exception as error:  # whatever else the factory raises is what this is about
                    _fail(
                        f"{name} = {value!r} is allowed by its annotation, and the factory fails with {type(error).__name__}: "
                        f"{error}\nNarrow the annotation, or raise a ValueError that says what is wrong."
                    )
                assert message != "", f"{name} = {value!r} is refused without a message: say what is wrong with it."

    def test_listing_does_not_import_it(self) -> None:
        module = self.loaded().component.module
        assert module not in modules_of_listing(), (
            f"`ablate list` imports {module}: something of the package runs when Python starts, such as a .pth file. Remove it; "
            "the entry point is enough to be found."
        )


class ReadingContract(ComponentContract):
    """The part of those kinds that read data.

    Where it needs files, override the fixture `environment`, and put them into its `data_dir`. A `component` with paths in it can
    be set there as `self.component`.
    """

    @pytest.fixture
    def environment(self, tmp_path: Path) -> Environment:
        """A directory of its own, and no network."""
        return Environment(tmp_path / "data", download=False)

    @pytest.fixture(autouse=True)
    def _remember(self, environment: Environment) -> None:
        self._environment = environment


def _fail(message: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(message, pytrace=False)


def _negative(schema: Mapping[str, Any]) -> list[float]:
    return [int(value) for value in NEGATIVE[:2]] if schema["type"] == "integer" else list(NEGATIVE)


@cache
def modules_of_listing() -> frozenset[str]:
    """What is imported after `ablate list`, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, env=environment, check=False)  # noqa: S603, no shell
    if done.returncode:
        _fail(f"`ablate list` fails:\n{done.stderr}")
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def message_of(call: Callable[[], Any], *expected_types: type[Exception]) -> str | None:
    """The message with which a call is refused; None where it is not refused.

    Any other exception is not caught.
    """
    try:
        call()
    except expected_types as error:
        return str(error)
    return None
