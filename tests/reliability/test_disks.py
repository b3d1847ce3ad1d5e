"""Disks that fail while something is written: the quick form of `tests.soak.disks`."""

import pytest

from tests.soak import disks
from tests.soak._faults import compiler


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute, but a few hundred files are put on a disk that others may use
@pytest.mark.skipif(compiler() is None, reason="needs Linux and a C compiler")
def test_what_is_written_is_old_or_new_and_the_next_run_goes_on():
    broken = [row for row in disks.rows(quick=True) if not row.kept]
    assert not broken
