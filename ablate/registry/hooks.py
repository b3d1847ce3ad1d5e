"""What a plugin can listen to. What a spec or a flag names is a component; what only listens is a hook implementation.

A distribution declares `[project.entry-points."ablate.hooks"] name = "module"`, and the module has functions marked with
`@ablate.plugin.hookimpl`. The progress display and the store writer of the core are such listeners too. A listener that fails
is reported and never fails a cell.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pluggy

from ablate.contracts import Result
from ablate.errors import StoreError
from ablate.study import Study

from .component import HOOK, Component, import_target
from .discovery import Registry

SLOW_SECONDS = 5.0  # that a listener may take unnoticed

hookspec = pluggy.HookspecMarker("ablate")
hookimpl = pluggy.HookimplMarker("ablate")


@dataclass(frozen=True)
class CellInfo:
    """A cell as listeners see it.

    Attributes:
        key: Its key in the store.
        variants: The variants of the study that it belongs to; more than one only where two variants resolve to one recipe.
        seed: Its seed.
        epochs: How many epochs it trains; None where its trainer does not know it before.
        levels: The levels of its variants, by their factors.
    """

    key: str
    variants: tuple[str, ...]
    seed: int
    epochs: int | None
    levels: Mapping[str, str] = field(default_factory=dict, hash=False)


@hookspec
def study_start(study: str, cells: Sequence[CellInfo], stored: int) -> None:
    """A study begins: the cells that are to be trained, and how many more the store has already.

    Where seeds are added until every comparison is decided, this is called for each addition.
    """


@hookspec
def cell_start(cell: CellInfo, resumed: tuple[int, int] | None) -> None:
    """A worker begins or resumes a cell: `resumed` is the epochs that are finished, and the batches of the next one; or None."""


@hookspec
def epoch_end(cell: CellInfo, record: dict[str, Any]) -> None:
    """An epoch of a cell is finished; `record` is one of `Result.epochs`."""


@hookspec
def cell_progress(cell: CellInfo, epochs: float) -> None:
    """So many epochs of a cell are done, with the part of the one that runs; told every few seconds, of trainers that know it."""


@hookspec
def cell_end(cell: CellInfo, status: str, result: Result | None, error: str | None, log: str | None) -> None:
    """A cell is finished: `status` is `done` (with `result`), `failed` (with `error` and `log`) or `interrupted`."""


@hookspec
def study_end(study: Study) -> None:
    """A run ends, finished or interrupted; `study` has what the store knows of it."""


class Hooks:
    """Calls listeners one by one, so that a failing one cannot keep the others from hearing.

    Args:
        warn: Called with a message for each listener that fails.
    """

    def __init__(self, warn: Callable[[str], None]):
        self._manager = pluggy.PluginManager("ablate")
        self._manager.add_hookspecs(sys.modules[__name__])
        self._warn = warn
        self._reported: set[tuple[str, str]] = set()

    def register(self, listener: object, name: str) -> None:
        self._manager.register(listener, name=name)
        self._manager.check_pending()

    def register_installed(self, registry: Registry) -> None:
        """Registers the listeners of installed plugins; a broken one is reported and left out."""
        for component in registry.all(HOOK):
            self.register_one(component)

    def register_one(self, component: Component) -> None:
        """Registers the listener of a plugin; a broken one is reported and left out."""
        try:
            self.register(import_target(component), component.qualified_name)
        except Exception as error:  # a third party's module or listener may fail in any way
            self._warn(f"hooks of {component.distribution} {component.version} are left out: {error}")
            if self._manager.has_plugin(component.qualified_name):
                self._manager.unregister(name=component.qualified_name)

    def call(self, hook: str, **arguments: Any) -> None:
        """Calls every listener of `hook`, last registered first, with the arguments that it names.

        Raises:
            StoreError: The store writer, which is a listener too, cannot write.
        """
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            start = time.monotonic()
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except StoreError:
                raise
            except (Exception, SystemExit) as error:  # a third party's listener may fail in any way
                self._report(implementation.plugin_name, f"failed in {hook}", f"{type(error).__name__}: {error}")
            else:
                if (seconds := time.monotonic() - start) > SLOW_SECONDS:
                    self._report(implementation.plugin_name, f"is slow in {hook}", f"the study waited {seconds:.0f} s for it")

    def _report(self, listener: str, what: str, why: str) -> None:
        if (listener, what) not in self._reported:
            self._reported.add((listener, what))
            self._warn(f"listener {listener!r} {what}: {why}")


def listened_to(listener: object) -> list[str]:
    """The hooks that a listener implements."""
    manager = pluggy.PluginManager("ablate")
    manager.add_hookspecs(sys.modules[__name__])
    manager.register(listener)
    return sorted(caller.name for caller in manager.get_hookcallers(listener) or ())
