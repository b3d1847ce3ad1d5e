"""What names the content of a dataset. Nothing here imports numpy, so that a spec is checked at once."""

import hashlib
from pathlib import Path

from ablate.errors import DiskProblem


def fingerprint(*parts: str | bytes | int | float | None) -> str:
    """SHA-256 (hex) of the parts, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="surrogateescape")  # names of files are bytes
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()


def limit_identity(limit: int | None, share: float) -> int | str | None:
    """What a fingerprint has of a `limit`, which once could leave no image of a class that has a small share of them.

    Args:
        limit: As the spec has it.
        share: Part of the images that the smallest class has.
    """
    return limit if limit is None or limit * share > 0.99 else f"{limit}, some of every class"


def space_error(place: Path, error: OSError) -> DiskProblem:
    return DiskProblem(f"{place}: cannot be written: {error}. Make room there, or choose another place with --data-dir.")
