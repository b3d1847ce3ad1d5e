"""Whether components can be loaded, found out in a process apart: an import may end its process, or never end itself."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress

from .component import HOOK, BrokenComponent, Component
from .discovery import default

SECONDS = 60.0  # that the import of one component may take


def problems(components: Sequence[Component], seconds: float = SECONDS) -> dict[Component, str]:
    """What is wrong with each component that cannot be loaded.

    Args:
        components: Components of this environment, and hooks.
        seconds: How long one may take.
    """
    found: dict[Component, str] = {}
    left = list(components)
    while left:
        loaded = dict(zip(left, _loaded(left, seconds), strict=False))
        found |= {component: problem for component, problem in loaded.items() if problem}
        *_, last = loaded
        left = left[len(loaded) :]
        if left:  # the last one ended the process, and others of its module would do the same
            found |= {component: loaded[last] for component in left if component.module == last.module}
            left = [component for component in left if component.module != last.module]
    return found


def _loaded(components: Sequence[Component], seconds: float) -> Iterator[str]:
    """The problem of each component, or nothing, up to the first one that ends its process or does not end."""
    command = [sys.executable, "-m", "ablate.registry.loading"]
    process = subprocess.Popen(  # noqa: S603, this program itself
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        _send(process, components)
        for component in components:
            line = lines.get(timeout=seconds)
            if not line:
                yield f"importing {component.target} ended the process ({_how(process.wait())}). {_remedy(component)}"
                return
            yield json.loads(line)
    except queue.Empty:
        yield f"importing {component.target} did not end within {seconds:g} s. {_remedy(component)}"
    finally:
        process.kill()
        process.wait()


def _send(process: "subprocess.Popen[str]", components: Sequence[Component]) -> None:
    names = [[component.kind, component.qualified_name] for component in components]
    with suppress(BrokenPipeError), process.stdin or nullcontext():  # where it has ended already, its silence tells
        print(json.dumps(names), file=process.stdin)


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put("")


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _remedy(component: Component) -> str:
    return f"Update or uninstall {component.distribution} {component.version}."


def _main() -> None:
    """Loads the components that standard input names, and writes a line for each: what is wrong with it."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what packages print is not for the reader
    registry = default()
    hooks = {component.qualified_name: component for component in registry.hooks}
    for kind, name in json.load(sys.stdin):
        try:
            if kind == HOOK:
                _listen(hooks[name])
            else:
                registry.load(kind, name)
            out.write(json.dumps("") + "\n")
        except BrokenComponent as error:
            out.write(json.dumps(str(error)) + "\n")
    out.flush()
    os._exit(0)  # threads that a package has started are not waited for


def _listen(component: Component) -> None:
    from .hooks import Hooks

    warnings: list[str] = []
    Hooks(warnings.append).register_one(component)
    if warnings:
        raise BrokenComponent(warnings[0])


if __name__ == "__main__":
    _main()
