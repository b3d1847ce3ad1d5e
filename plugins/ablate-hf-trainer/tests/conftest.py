"""Makes `made.py` beside this importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
