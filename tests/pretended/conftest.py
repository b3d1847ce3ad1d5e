"""The tests of this folder are collected in a process that has pretended devices, see `tests/test_pretended.py`."""

import pytest

from . import installed, wanted
from .machine import GPU

collect_ignore_glob = [] if wanted() else ["test_*.py"]
WHY_NOT = installed.why_not() if wanted() else ""
if wanted() and not WHY_NOT:
    installed.install(wanted())


def pytest_collection_modifyitems(config, items):
    """Of the contracts, what is tried on the CPU is left to `tests/testing`."""
    for item in items if WHY_NOT else []:
        item.add_marker(pytest.mark.skip(reason=WHY_NOT))
    elsewhere = [item for item in items if item.path.name == "test_contracts.py" and device_of(item) != "cuda"]
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = [item for item in items if item not in elsewhere]


def device_of(item):
    return item.callspec.params.get("device") if hasattr(item, "callspec") else None


@pytest.fixture(autouse=True)
def counted_anew():
    """Each test counts its own races and waits, and its operations fail only where it lets them."""
    GPU.forget()
    yield
    GPU.forget()
