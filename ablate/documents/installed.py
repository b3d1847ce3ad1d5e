"""What is installed, as documents: components, hooks, and one of them in full."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ablate.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ablate.registry import Component


def components_record(kind: str | None, search: str, load: bool) -> dict[str, Any]:
    """Components and hooks with what is wrong with them, without a version.

    Args:
        kind: The only kind that counts; `hooks` for hooks.
        search: What a name, a package or a description has to have.
        load: Whether each is imported, in a process apart, to see whether it works.

    Raises:
        UsageError: There is no such kind.
    """
    from ablate.registry import HOOK, KINDS, Component, default
    from ablate.registry.descriptions import description

    kinds = [*KINDS, HOOK] if kind is None else [_known(kind)]
    registry = default()
    found = [
        component
        for k in kinds
        for component in registry.all(k)
        if _has(search, component.name, component.distribution, description(component))
    ]
    broken: Mapping[Component, str] = {}
    if load:
        from ablate.registry.loading import problems

        broken = problems(found)
    rows = []
    for component in found:
        problem = broken.get(component) or component.problem
        if len(registry.components.get(component.kind, {}).get(component.name, ())) > 1:
            problem = problem or f"several packages have this name: use {component.qualified_name!r}"
        told = {name: getattr(component, name) for name in ("kind", "name", "distribution", "version")}
        rows.append({**told, "problem": problem, "description": description(component)})
    return {"components": rows, "problems": list(registry.unreadable)}


def component_record(kind: str, name: str) -> dict[str, Any]:
    """A component with its parameters, or a hook with what it listens to, without a version.

    Raises:
        UsageError: There is none of this name.
    """
    from ablate.registry import HOOK, default, import_target
    from ablate.registry.hooks import listened_to

    if _known(kind) == HOOK:
        hook = default().find_hook(name)
        listener = import_target(hook)
        return {**_described(hook), "doc": inspect.getdoc(listener) or "", "listens_to": listened_to(listener)}
    loaded, families = loaded_with_families(kind, name)
    signature = {"doc": loaded.signature.doc, "schema": loaded.signature.schema()}
    return {**_described(loaded.component), **signature, "families": families}


def loaded_with_families(kind: str, name: str) -> Any:
    """A component that is imported, and the members of its families, such as the models of a library; they are remembered."""
    from ablate.registry import default
    from ablate.registry.remembered import Memory

    registry = default()
    registry.memory = Memory()
    loaded = registry.load(_known(kind), name)
    families = {name: loaded.choices(name) for name, parameter in loaded.signature.parameters.items() if parameter.choices}
    registry.memory.save()
    return loaded, families


def kinds_of(name: str) -> list[str]:
    """The kinds of the components and hooks that have this name; none where it is that of a kind alone.

    Raises:
        UsageError: Nothing has it.
    """
    from ablate.registry import HOOK, KINDS, default

    names = {kind: {component.name for component in default().all(kind)} for kind in (*KINDS, HOOK)}
    kinds = [kind for kind, own in names.items() if name in own]
    if kinds or name in names:
        return kinds
    known = {*names, *set().union(*names.values())}
    raise UsageError(f"nothing that is installed is called {name!r}. {did_you_mean(name, known)}")


def _known(kind: str) -> str:
    from ablate.registry import HOOK, KINDS

    kind = HOOK if kind == "hooks" else kind
    if kind not in (*KINDS, HOOK):
        raise UsageError(f"there is no kind {kind!r}. {did_you_mean(kind, (*KINDS, HOOK), limit=20)}")
    return kind


def _has(searched: str, *texts: str) -> bool:
    return any(searched.casefold() in text.casefold() for text in texts)


def _described(component: "Component") -> dict[str, str]:
    told = {key: getattr(component, key) for key in ("kind", "name", "distribution", "target")}
    return {**told, "distribution_version": component.version}  # `version` is that of the document
