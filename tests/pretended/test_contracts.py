"""Every component of ablate's own keeps the part of its contract that is about devices on a GPU, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "testing"))

from test_builtins import *  # noqa: F403  the contracts, made from the registry in a process that has a GPU
