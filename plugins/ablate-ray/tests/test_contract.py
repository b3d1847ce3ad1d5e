"""The executor keeps what ablate asks of each, on a cluster of three nodes."""

import pytest

from ablate.testing import ExecutorContract


@pytest.mark.usefixtures("address")
class TestRay(ExecutorContract):
    component = {"use": "ray"}
