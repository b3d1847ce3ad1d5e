"""What a shell offers for a half-written argument. Only metadata of packages, names of files and of stored studies are read."""

from collections.abc import Iterable
from contextlib import suppress
from glob import escape
from pathlib import Path

import typer


def kinds(incomplete: str) -> list[str]:
    """Kinds of components."""
    from ablate.registry import HOOK, KINDS

    return _matching((*KINDS, HOOK), incomplete)


def components(ctx: typer.Context, incomplete: str) -> list[str]:
    """Components of the kind that stands before."""
    return _names(ctx.params.get("kind") or "", incomplete)


def executors(incomplete: str) -> list[str]:
    """Executors."""
    return _names("executor", incomplete)


def sources(incomplete: str) -> list[str]:
    """Sources of runs."""
    return _names("source", incomplete)


def specs(incomplete: str) -> list[str]:
    """Files of specs here, and in directories of that name: a space behind a directory's name would end the argument."""
    from ablate.places import SPEC_SUFFIXES

    folder, slash, start = incomplete.rpartition("/")
    before = folder + slash
    found = []
    for path in sorted(Path(before or ".").expanduser().glob(f"{escape(start)}*")):
        if path.name.startswith(".") and not start:
            continue
        if path.is_dir():
            inside = (inner.name for inner in sorted(path.glob("*.json*")) if inner.suffix in SPEC_SUFFIXES)
            found += [f"{before}{path.name}/{name}" for name in inside]
        elif path.suffix in SPEC_SUFFIXES:
            found.append(f"{before}{path.name}")
    return found


def studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """Studies of the store."""
    from ablate import places
    from ablate.errors import AblateError
    from ablate.store import Store, exists

    directory = places.store_dir(ctx.params.get("store"))
    if exists(directory):
        with suppress(AblateError), Store(directory, create=False, read_only=True) as opened:
            return _matching(opened.studies(), incomplete)
    return []


def specs_or_studies(ctx: typer.Context, incomplete: str) -> list[str]:
    """What `ablate report` takes."""
    return [*studies(ctx, incomplete), *specs(incomplete)]


def specs_or_datasets(incomplete: str) -> list[str]:
    """What `ablate fetch` takes."""
    return [*specs(incomplete), *_names("dataset", incomplete)]


def _names(kind: str, incomplete: str) -> list[str]:
    from ablate.registry import HOOK, default

    names = [hook.name for hook in default().hooks] if kind == HOOK else default().names(kind)
    return _matching(names, incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
