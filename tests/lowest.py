"""The tests of the README's command with the lowest versions that pyproject.toml allows: `python -m tests.lowest [ARGUMENTS]`.

What the core requires directly is installed at its lower bound, in an environment that is thrown away; what tests and what those
libraries require themselves is the newest that goes with it. It fetches 3 GB where pip has not kept them, and leaves it to the
tests to compile what they import.
"""

import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from .packages import ROOT, environment

BOUND = re.compile(r"(?P<name>[\w-]+)>=(?P<version>[\d.]+)")


def lowest() -> list[str]:
    """A constraint for each direct requirement of the core.

    Raises:
        SystemExit: One has no lower bound.
    """
    required = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    matches = {text: BOUND.match(text) for text in required}
    if unbounded := [text for text, match in matches.items() if match is None]:
        sys.exit(f"pyproject.toml: no lower bound for {', '.join(unbounded)}")
    return [f"{match['name']}=={match['version']}" for match in matches.values() if match]


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="ablate-lowest-") as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(lowest()) + "\n")
        print(*lowest(), sep="\n", flush=True)
        python, start = environment(Path(folder, "venv")), time.monotonic()
        packages = ["-e", f"{ROOT}[dev]", "-e", ROOT / "plugins" / "ablate-timm"]
        install = [python, "-m", "pip", "install", "-q", "--no-compile", "-c", constraints, *packages]
        subprocess.run(install, check=True)
        print(f"installed in {time.monotonic() - start:.0f} s", flush=True)
        return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
