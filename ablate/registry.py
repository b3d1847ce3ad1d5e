"""Finds components through entry points, and loads one only when something names it.

Discovery reads the metadata of installed distributions and imports nothing, so that listing is fast and no plugin can break it.
"""

import importlib
import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from .errors import EnvironmentProblem, UsageError, did_you_mean
from .families import suggestion
from .params import Factory, Nested, Signature, SignatureError, signature

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
_TARGET = re.compile(r"^(?P<module>\w+(\.\w+)*)(:(?P<attribute>\w+(\.\w+)*))?$")


_NO_MODULE = "there is no module"


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


@dataclass(frozen=True)
class Loaded:
    """A component with its factory and what a spec may set on it."""

    component: Component
    factory: Factory
    signature: Signature

    def choices(self, parameter: str) -> list[str]:
        """The names that a parameter of a family may have; empty where it is not one.

        Raises:
            BrokenComponent: The function that lists them fails.
        """
        family = self.signature.parameters[parameter].choices
        try:
            return [str(name) for name in family.list()] if family else []
        except Exception as error:  # anybody's code
            raise _broken(self.component, f"listing its {parameter} failed: {type(error).__name__}: {error}") from error

    def says(self, attribute: str, spec: Mapping[str, Any]) -> Any:
        """What the factory says of itself by an attribute: a value, or a function of a resolved spec; None where it says nothing.

        Raises:
            BrokenComponent: The function fails.
        """
        value = getattr(self.factory, attribute, None)
        try:
            return value(spec) if callable(value) else value
        except Exception as error:  # anybody's code
            raise _broken(self.component, f"asking for its {attribute} failed: {type(error).__name__}: {error}") from error


@dataclass
class Registry:
    """The components that are installed.

    Attributes:
        components: All of them by kind and name; several where distributions claim one name.
        hooks: Entry points of hook implementations.
        unreadable: One message for each distribution whose metadata cannot be read.
    """

    components: Mapping[str, Mapping[str, Sequence[Component]]]
    hooks: Sequence[Component] = ()
    unreadable: Sequence[str] = ()
    _loaded: dict[tuple[str, str], Loaded] = field(default_factory=dict)

    def all(self, kind: str) -> list[Component]:
        """Every component of a kind, or every hook, sorted by name."""
        if kind == HOOK:
            return sorted(self.hooks, key=lambda component: component.qualified_name)
        return [component for name in self.names(kind) for component in self.components[kind][name]]

    def names(self, kind: str) -> list[str]:
        return sorted(self.components.get(kind, ()))

    def find(self, kind: str, name: str) -> Component:
        """The component that `name` or `distribution:name` means.

        Raises:
            UnknownComponent: There is none, or several distributions claim the name.
        """
        distribution, _, short = name.rpartition(":")
        candidates = self.components.get(kind, {}).get(short, ())
        if distribution:
            candidates = [c for c in candidates if normalized(c.distribution) == normalized(distribution)]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            owners = " and ".join(f"{c.distribution} {c.version}" for c in candidates)
            names = " or ".join(f'"use": "{c.qualified_name}"' for c in candidates)
            raise UnknownComponent(f"{kind} {name!r} is provided by {owners}. Choose with {names}.")
        if distribution and not self._gives_anything(distribution):
            gone = f"{distribution} is not installed here. Install {distribution} again."
            raise UnknownComponent(f"no installed package provides {kind} {name!r}: {gone}")
        hint = suggestion(self, kind, name)
        raise UnknownComponent(f"no installed package provides {kind} {name!r}. {hint}".strip())

    def _gives_anything(self, distribution: str) -> bool:
        given = (component for names in self.components.values() for found in names.values() for component in found)
        return any(normalized(component.distribution) == normalized(distribution) for component in given)

    def find_hook(self, name: str) -> Component:
        """The listener that `name` or `distribution:name` means.

        Raises:
            UnknownComponent: There is none, or several distributions have the name.
        """
        found = [hook for hook in self.hooks if name in (hook.name, hook.qualified_name)]
        if len(found) != 1:
            names = [hook.qualified_name for hook in found or self.hooks]
            raise UnknownComponent(
                f"{'several packages have' if found else 'there is no'} hook {name!r}. {did_you_mean('', names)}"
            )
        return found[0]

    def load(self, kind: str, name: str) -> Loaded:
        """Imports a component and reads its signature.

        Raises:
            UnknownComponent: There is no single component of this name.
            BrokenComponent: Its package fails to import, or its factory's signature is not one that a spec can set.
        """
        component = self.find(kind, name)
        key = (kind, component.qualified_name)
        if key not in self._loaded:
            factory = import_target(component)
            try:
                self._loaded[key] = Loaded(component, factory, _fitting(kind, signature(factory)))
            except Exception as error:  # of anybody's code: annotations in quotes are evaluated here
                raise _broken(component, f"its signature cannot be read: {error}") from error
        return self._loaded[key]


def _fitting(kind: str, found: Signature) -> Signature:
    """The signature of a component of this kind, whose parameters are such as it can have.

    Raises:
        SignatureError: One cannot be built, or would be missing in a cell's identity.
    """
    for parameter in found.parameters.values():
        if parameter.nested and parameter.nested.kind not in NESTED[kind]:
            held = parameter.nested.kind
            why = f"where a {kind} is built, there is not what a {held} is given" if held in KINDS else "there is no such kind"
            raise SignatureError(
                f"parameter {parameter.name!r} is a nested {held!r}: {why}. A {kind} can hold: {', '.join(NESTED[kind])}"
            )
        if parameter.path and parameter.path.kind == "folder" and kind != "dataset":
            raise SignatureError(
                f"parameter {parameter.name!r} is a folder, whose content only the fingerprint of a dataset covers. "
                f"A {kind} can have a FilePath"
            )
    return found


Given = Mapping[str, tuple[Any, ...]]  # what the engine gives a factory, by kind


def build(registry: Registry, kind: str, spec: Mapping[str, Any], *engine_arguments: Any, nested: Given | None = None) -> Any:
    """Calls the factory that a resolved component spec names; nested components are built first.

    Args:
        registry: What is installed.
        kind: The component's kind.
        spec: Its spec with all of its parameters.
        engine_arguments: What the engine gives a component of this kind.
        nested: What it gives those of the other kinds in `NESTED`; nothing where a kind is missing. One of the same kind gets
            the same arguments.
    """
    loaded = registry.load(kind, spec["use"])
    given = {**(nested or {}), kind: engine_arguments}
    arguments = {name: value for name, value in spec.items() if name != "use"}
    for name, value in arguments.items():
        inner = loaded.signature.parameters[name].nested
        if inner and value is not None:
            arguments[name] = _build_nested(registry, inner, value, given)
    return loaded.factory(*engine_arguments, **arguments)


def _build_nested(registry: Registry, inner: Nested, value: Mapping[str, Any], given: Given) -> Any:
    arguments = given.get(inner.kind, ())
    if not inner.many:
        return build(registry, inner.kind, value, *arguments, nested=given)
    return {n: build(registry, inner.kind, item, *arguments, nested=given) for n, item in value.items() if item is not None}


def import_target(component: Component) -> Any:
    """The object that an entry point names.

    Raises:
        BrokenComponent: The entry point is malformed, or importing its module fails, in whatever way.
    """
    if component.problem:
        gone = component.problem.startswith(_NO_MODULE)
        raise _broken(component, component.problem, f"Install {component.distribution} again." if gone else "")
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
        raise _broken(component, f"importing {component.target} failed: ModuleNotFoundError: {error}", remedy) from error
    except BaseException as error:  # a third party's module may fail in any way, even by sys.exit, and that must be told
        raise _broken(component, f"importing {component.target} failed: {type(error).__name__}: {error}") from error
    return value


def _broken(component: Component, reason: str, remedy: str = "") -> BrokenComponent:
    return BrokenComponent(
        f"{component.kind} {component.name!r} of {component.distribution} {component.version} cannot be used: {reason}. "
        f"{remedy or f'Update or uninstall {component.distribution}.'}"
    )


@cache
def default() -> Registry:
    """What is installed in this environment, found once a process."""
    return discover(distributions())


def discover(installed: Iterable[Distribution]) -> Registry:
    """Reads the entry points of these distributions. An unreadable one is reported, and the others are found."""
    groups = {group: kind for kind, group in KINDS.items()}
    components: dict[str, dict[str, list[Component]]] = {kind: defaultdict(list) for kind in KINDS}
    hooks: list[Component] = []
    unreadable: list[str] = []
    seen: set[str] = set()
    for distribution in installed:
        try:
            text = distribution.read_text("entry_points.txt") or ""
            if "[ablate." not in text.replace(" ", ""):
                continue
            name, version = str(distribution.metadata["Name"] or ""), distribution.version
            if not name:
                raise ValueError("its metadata has no name")
            entry_points = list(distribution.entry_points)
        except Exception as error:  # metadata of a third party: anything may be wrong with it
            unreadable.append(f"{_name(distribution)}: entry points cannot be read: {type(error).__name__}: {error}")
            continue
        if normalized(name) in seen:  # installed twice: Python imports the one that is first on its path
            continue
        seen.add(normalized(name))
        for entry_point in entry_points:
            if entry_point.group == HOOKS:
                hooks.append(_component(HOOK, entry_point, name, version))
            elif entry_point.group in groups:
                component = _component(groups[entry_point.group], entry_point, name, version)
                components[component.kind][component.name].append(component)
            elif entry_point.group.startswith("ablate."):
                unreadable.append(
                    f"{name} {version}: no such group {entry_point.group!r}. {did_you_mean(entry_point.group, groups)}"
                )
    return Registry(components, hooks, tuple(dict.fromkeys(unreadable)))


def _name(distribution: Distribution) -> str:
    try:
        name = distribution.name
    except Exception:  # its metadata may be what cannot be read
        name = ""
    return name or f"the distribution of {getattr(distribution, '_path', distribution.locate_file(''))}"


def _component(kind: str, entry_point: EntryPoint, distribution: str, version: str) -> Component:
    match = _TARGET.match(entry_point.value)
    if not match or (kind != HOOK and not match["attribute"]):
        problem = f"its entry point {entry_point.value!r} is not of the form 'module:attribute'"
    elif not _module_exists(match["module"].partition(".")[0]):
        problem = f"{_NO_MODULE} {match['module'].partition('.')[0]!r}"
    else:
        problem = ""
    return Component(kind, entry_point.name, entry_point.value, distribution, version, problem)


@cache
def _module_exists(top_level: str) -> bool:
    try:
        return importlib.util.find_spec(top_level) is not None
    except Exception:  # what other packages have put on sys.meta_path is asked too
        return False


@cache
def normalized(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
