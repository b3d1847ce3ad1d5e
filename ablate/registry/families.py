"""What was meant by a name that no component has: a component of another spelling, or a member of a family."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol

from ablate.errors import AblateError, close_names, did_you_mean

from .component import Component, Loaded


class Catalog(Protocol):
    """What is installed, as a `Registry` knows it."""

    @property
    def components(self) -> Mapping[str, Mapping[str, Sequence[Component]]]: ...
    def names(self, kind: str) -> list[str]: ...
    def all(self, kind: str) -> list[Component]: ...
    def load(self, kind: str, name: str) -> Loaded: ...


def suggestion(registry: Catalog, kind: str, name: str) -> str:
    """A hint for an unknown name. Every family is asked, which imports it; one that fails has nothing to say.

    Args:
        registry: What is installed.
        kind: Of the component.
        name: What was written after `use`.
    """
    names = registry.names(kind)
    short = re.split(r"[./:]", name)[-1]
    own = [known for known in names if _plain(known) == _plain(short)] or [known for known in names if _within(known, short)]
    hint = f"Did you mean {' or '.join(map(repr, own[:3]))}?" if own else did_you_mean(name, names)
    if own or close_names(name, names) or len(name) > 200:
        return hint
    families = list(_members(registry, kind))
    exact = [_written(use, parameter, m) for use, parameter, members in families for m in members if _plain(m) == _plain(short)]
    if exact:
        return f"Write {' or '.join(exact[:3])}."
    close = [_written(use, parameter, m) for use, parameter, members in families for m in members if _within(short, m)] or [
        _written(use, parameter, match)
        for use, parameter, members in families
        for match in get_close_matches(short, members[:5000], n=1, cutoff=0.75)
    ]
    if close:
        return f"Did you mean {' or '.join(close[:3])}?"
    more = " and ".join(f"`ablate show {kind} {use}`" for use, _, _ in families[:3])
    return f"{hint} The members of families are listed by {more}." if more else hint


def _members(registry: Catalog, kind: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each family of a kind: its name, the parameter that says which member, and all members."""
    for component in sorted(registry.all(kind), key=lambda component: component.distribution != "ablate-core"):
        try:
            loaded = registry.load(kind, component.qualified_name)
            asked = {name: loaded.choices(name) for name, parameter in loaded.signature.parameters.items() if parameter.choices}
        except AblateError:  # it is told where it is used, and by `ablate list --load`
            continue
        shared = len(registry.components[kind][component.name]) > 1
        for parameter, members in asked.items():
            yield component.qualified_name if shared else component.name, parameter, members


def _written(use: str, parameter: str, member: str) -> str:
    return json.dumps({"use": use, parameter: member})


def _within(part: str, name: str) -> bool:
    """Whether a name has the other in it, and not by chance."""
    return len(_plain(part)) >= 4 and _plain(part) in _plain(name)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
