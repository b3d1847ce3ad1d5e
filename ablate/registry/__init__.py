"""Components: found through entry points, described by their signatures, loaded when something names them."""

from .building import Given, build
from .component import HOOK, HOOKS, KINDS, NESTED, BrokenComponent, Component, Loaded, UnknownComponent, import_target, normalized
from .discovery import Registry, default, discover

__all__ = [
    "HOOK",
    "HOOKS",
    "KINDS",
    "NESTED",
    "BrokenComponent",
    "Component",
    "Given",
    "Loaded",
    "Registry",
    "UnknownComponent",
    "build",
    "default",
    "discover",
    "import_target",
    "normalized",
]
