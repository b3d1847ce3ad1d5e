"""The tests of this folder are collected in a process that has pretended devices, see `tests/test_pretended.py`."""

import pytest

from . import installed, wanted
from .machine import GPU

collect_ignore_glob = [] if wanted() else ["test_*.py"]
WHY_NOT = installed.why_not() if wanted() else ""
if wanted() and not WHY_NOT:
    installed.install(wanted())


def pytest_collection_modifyitems(items):
    for item in items if WHY_NOT else []:
        item.add_marker(pytest.mark.skip(reason=WHY_NOT))


@pytest.fixture(autouse=True)
def counted_anew():
    """Each test counts its own races and waits, and its operations fail only where it lets them."""
    GPU.forget()
    yield
    GPU.forget()
