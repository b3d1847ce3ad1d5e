"""Coverage-guided fuzzing of the reading and checking of specs: `python -m tests.soak._atheris [libFuzzer options] [CORPUS]`.

Needs `pip install atheris`, which nothing else here does.
It stops at the first input that is not taken, or refused with its place.
"""

import json
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=[
        "ablate.spec",
        "ablate.spec.validation",
        "ablate.spec.patch",
        "ablate.plan",
        "ablate.spec.recipe",
        "ablate.plan.comparing",
        "ablate.plan.space",
    ]
):
    from ablate.runner import job  # noqa: F401

from . import _specs

FILE = Path(tempfile.mkdtemp()) / "spec.json"


def check(data: bytes) -> None:
    FILE.write_bytes(data)
    found, why = _specs.outcome(FILE)
    if found == "broken":
        raise RuntimeError(why)


def main() -> None:
    corpus = Path(tempfile.mkdtemp())
    for index, document in enumerate(_specs.valid()):
        (corpus / f"{index}").write_text(json.dumps(document))
    atheris.Setup([*sys.argv, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
