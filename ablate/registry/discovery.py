"""Finds components through entry points, and loads one only when something names it.

Discovery reads the metadata of installed distributions and imports nothing, so that listing is fast and no plugin can break it.
"""

import importlib.util
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions

from ablate.errors import did_you_mean

from .component import (
    HOOK,
    HOOKS,
    KINDS,
    NESTED,
    NO_MODULE,
    Component,
    Loaded,
    UnknownComponent,
    broken,
    import_target,
    normalized,
)
from .families import suggestion
from .params import Choices, Signature, SignatureError, signature
from .remembered import Memory, read

_TARGET = re.compile(r"^(?P<module>\w+(\.\w+)*)(:(?P<attribute>\w+(\.\w+)*))?$")


@dataclass
class Registry:
    """The components that are installed.

    Attributes:
        components: All of them by kind and name; several where distributions claim one name.
        hooks: Entry points of hook implementations.
        unreadable: One message for each distribution whose metadata cannot be read.
        memory: What imports have told earlier; None for importing what is loaded, as workers do.
        loaded: Those that something has named, by kind and qualified name.
    """

    components: Mapping[str, Mapping[str, Sequence[Component]]]
    hooks: Sequence[Component] = ()
    unreadable: Sequence[str] = ()
    memory: Memory | None = None
    loaded: dict[tuple[str, str], Loaded] = field(default_factory=dict)

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
        if distribution and normalized(distribution) not in map(normalized, self.distributions):
            gone = f"{distribution} is not installed here. Install {distribution} again."
            raise UnknownComponent(f"no installed package provides {kind} {name!r}: {gone}")
        hint = suggestion(self, kind, name)
        raise UnknownComponent(f"no installed package provides {kind} {name!r}. {hint}".strip())

    @property
    def distributions(self) -> set[str]:
        """The names of those that have components."""
        return {component.distribution for names in self.components.values() for found in names.values() for component in found}

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
        """A component with its signature, from memory where there is one, and else from importing it.

        Raises:
            UnknownComponent: There is no single component of this name.
            BrokenComponent: Its package fails to import, or its factory's signature is not one that a spec can set.
        """
        component = self.find(kind, name)
        key = (kind, component.qualified_name)
        if key not in self.loaded:
            self.loaded[key] = self._recalled(component) or self._imported(component)
        return self.loaded[key]

    def _recalled(self, component: Component) -> Loaded | None:
        known = self.memory.recall(component) if self.memory and not component.problem else None
        if known is None:
            return None

        def family(parameter: str) -> Choices:
            def listed() -> Iterable[str]:
                choices = signature(import_target(component)).parameters[parameter].choices
                return choices.list() if choices else ()

            return Choices(listed)

        families = {name: family(name) for name in known["signature"]["parameters"]}
        return Loaded(component, read(known["signature"], families), memory=self.memory, said=known["said"])

    def _imported(self, component: Component) -> Loaded:
        factory = import_target(component)
        try:
            loaded = Loaded(component, _fitting(component.kind, signature(factory)), factory, self.memory)
        except Exception as error:  # of anybody's code: annotations in quotes are evaluated here
            raise broken(component, f"its signature cannot be read: {error}") from error
        if self.memory:
            self.memory.keep(loaded)
        return loaded


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
        if parameter.path and parameter.path.kind != "file" and kind != "dataset":
            raise SignatureError(
                f"parameter {parameter.name!r} is a folder, whose content only the fingerprint of a dataset covers. "
                f"A {kind} can have a FilePath"
            )
    return found


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
        problem = f"{NO_MODULE} {match['module'].partition('.')[0]!r}"
    else:
        problem = ""
    return Component(kind, entry_point.name, entry_point.value, distribution, version, problem)


@cache
def _module_exists(top_level: str) -> bool:
    try:
        return importlib.util.find_spec(top_level) is not None
    except Exception:  # what other packages have put on sys.meta_path is asked too
        return False
