"""What is known of a component without importing it, and the one place where it is imported."""

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Protocol

from ablate.errors import EnvironmentProblem, UsageError

from .params import Factory, Signature

KINDS: Mapping[str, str] = {
    "trainer": "ablate.trainers",
    "dataset": "ablate.datasets",
    "model": "ablate.models",
    "initializer": "ablate.initializers",
    "optimizer": "ablate.optimizers",
    "scheduler": "ablate.schedulers",
    "transform": "ablate.transforms",
    "loss": "ablate.losses",
    "metric": "ablate.metrics",
    "step": "ablate.steps",
    "sampler": "ablate.samplers",
    "design": "ablate.designs",
    "tuner": "ablate.tuners",
    "executor": "ablate.executors",
    "source": "ablate.sources",
}
HOOK = "hook"  # what only listens; no kind of component, but listed with them
HOOKS = "ablate.hooks"
_ANYWHERE = ("model", "scheduler", "transform", "loss", "metric")  # what the parts of a recipe that follow its images can hold
NESTED: Mapping[
    str, Sequence[str]
] = {  # kinds that a component of a kind can hold: what they are given is there when it is built
    "trainer": ("dataset", "initializer", "optimizer", "step", "sampler", *_ANYWHERE),  # as specs: it builds them itself
    "dataset": ("dataset", "transform"),
    "model": _ANYWHERE,
    "initializer": ("initializer", *_ANYWHERE),
    "optimizer": ("optimizer", *_ANYWHERE),
    "scheduler": _ANYWHERE,
    "transform": ("transform",),
    "loss": _ANYWHERE,
    "metric": _ANYWHERE,
    "step": ("step", *_ANYWHERE),
    "sampler": ("sampler",),
    "design": ("design",),
    "tuner": ("tuner",),
    "executor": ("executor",),
    "source": ("source",),
}


NO_MODULE = "there is no module"


class UnknownComponent(UsageError):
    """No installed package has a component of this name, or several have."""


class BrokenComponent(EnvironmentProblem):
    """A component that is declared but cannot be used."""


@dataclass(frozen=True)
class Component:
    """What is known of a component without importing it.

    Attributes:
        kind: One of `KINDS`, or `HOOK`.
        name: As a spec writes it after `use`.
        target: `module:attribute` of its factory.
        distribution: Name of the distribution that declares it.
        version: Version of that distribution.
        problem: Why it cannot be used, as far as metadata tells; empty when nothing is known against it.
    """

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    problem: str = ""

    @property
    def qualified_name(self) -> str:
        """The name that no other distribution can claim: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]


class Memory(Protocol):
    """What imports have told earlier; `remembered.Memory` keeps it in files."""

    def recall(self, component: Component, /) -> Mapping[str, Any] | None: ...
    def note(self, component: Component, entry: str, name: str, value: Any, /) -> None: ...


@dataclass(frozen=True)
class Loaded:
    """A component with its factory and what a spec may set on it.

    Attributes:
        component: What its package declares.
        signature: What a spec may set.
        imported: Its factory; None where it is imported when it is called.
        memory: Where what it told earlier is kept.
        said: What its factory says of itself, by attribute, as far as that is known without it.
    """

    component: Component
    signature: Signature
    imported: Factory | None = None
    memory: Memory | None = field(default=None, compare=False)
    said: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def factory(self) -> Factory:
        """What builds it.

        Raises:
            BrokenComponent: Its package fails to import.
        """
        if self.imported is None:
            made: Factory = import_target(self.component)
            return made
        return self.imported

    def choices(self, parameter: str) -> list[str]:
        """The names that a parameter of a family may have; empty where it is not one.

        Raises:
            BrokenComponent: The function that lists them fails.
        """
        known = self.memory.recall(self.component) if self.memory else None
        if known and parameter in known["families"]:
            return list(known["families"][parameter])
        return self._listed(parameter)

    def has(self, parameter: str, name: Any) -> bool:
        """Whether a family has a member of this name. That it has none is never taken from what was told earlier."""
        return name in self.choices(parameter) or (self.memory is not None and name in self._listed(parameter))

    def _listed(self, parameter: str) -> list[str]:
        family = self.signature.parameters[parameter].choices
        try:
            names = [str(name) for name in family.list()] if family else []
        except Exception as error:  # anybody's code
            raise broken(self.component, f"listing its {parameter} failed: {type(error).__name__}: {error}") from error
        if family and self.memory:
            self.memory.note(self.component, "families", parameter, names)
        return names

    def says(self, attribute: str, spec: Mapping[str, Any]) -> Any:
        """What the factory says of itself by an attribute: a value, or a function of a resolved spec; None where it says nothing.

        Raises:
            BrokenComponent: The function fails.
        """
        if attribute in self.said:
            return self.said[attribute]
        value = getattr(self.factory, attribute, None)
        try:
            return value(spec) if callable(value) else value
        except Exception as error:  # anybody's code
            raise broken(self.component, f"asking for its {attribute} failed: {type(error).__name__}: {error}") from error


def import_target(component: Component) -> Any:
    """The object that an entry point names.

    Raises:
        BrokenComponent: The entry point is malformed, or importing its module fails, in whatever way.
    """
    if component.problem:
        gone = component.problem.startswith(NO_MODULE)
        raise broken(component, component.problem, f"Install {component.distribution} again." if gone else "")
    module, _, attributes = component.target.partition(":")
    try:
        value = importlib.import_module(module)
        for attribute in attributes.split(".") if attributes else []:  # hooks may be a whole module
            value = getattr(value, attribute)
    except KeyboardInterrupt:
        raise
    except ModuleNotFoundError as error:
        own = error.name and f"{module}.".startswith(f"{error.name}.")
        remedy = f"Install {component.distribution} again." if own else ""
        raise broken(component, f"importing {component.target} failed: ModuleNotFoundError: {error}", remedy) from error
    except BaseException as error:  # a third party's module may fail in any way, even by sys.exit, and that must be told
        raise broken(component, f"importing {component.target} failed: {type(error).__name__}: {error}") from error
    return value


def broken(component: Component, reason: str, remedy: str = "") -> BrokenComponent:
    return BrokenComponent(
        f"{component.kind} {component.name!r} of {component.distribution} {component.version} cannot be used: {reason}. "
        f"{remedy or f'Update or uninstall {component.distribution}.'}"
    )


@cache
def normalized(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
