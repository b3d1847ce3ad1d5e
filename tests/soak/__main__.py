"""Runs areas, or all of them, and prints a row for each promise; exits with 1 where one was not kept."""

import pkgutil
import sys
from importlib import import_module

from tests import soak


def main(arguments: list[str]) -> int:
    """`--quick` takes the small form, which the test suite runs too.

    Args:
        arguments: Areas, and `--quick`.
    """
    quick = "--quick" in arguments
    areas = [name for name in arguments if name != "--quick"]
    known = sorted(module.name for module in pkgutil.iter_modules(soak.__path__) if not module.name.startswith("_"))
    if unknown := set(areas) - set(known):
        print(f"there is no area {', '.join(sorted(unknown))}; there is: {', '.join(known)}", file=sys.stderr)
        return 2
    kept = True
    for area in areas or known:
        print(f"## {area}", flush=True)
        for row in import_module(f"tests.soak.{area}").rows(quick):
            print(f"| {row.promise} | {row.tried} | {row.found} | {'kept' if row.kept else 'BROKEN'} |", flush=True)
            kept = kept and row.kept
    return 0 if kept else 1


sys.exit(main(sys.argv[1:]))
