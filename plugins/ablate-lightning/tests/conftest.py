"""Makes what lies beside this importable, and a folder with somebody's code."""

import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody has the code of a study, and is."""
    shutil.copy(HERE / "rings.py", tmp_path / "rings.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path
