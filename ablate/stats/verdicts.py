"""What a comparison can end with."""

from typing import Literal

Verdict = Literal["better", "worse", "no meaningful difference", "undecided", "no change"]
