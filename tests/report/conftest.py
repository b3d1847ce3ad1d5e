"""What the tests of reports share."""

from pathlib import Path

import pytest
from studies import make_hostile, make_study

from ablate.report.content import page
from ablate.report.files import write_all
from ablate.study import Study


@pytest.fixture
def study() -> Study:
    return make_study()


@pytest.fixture
def hostile() -> Study:
    return make_hostile()


@pytest.fixture(scope="session")
def hostile_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the report of a hostile study."""
    directory = tmp_path_factory.mktemp("hostile")
    write_all(page(make_hostile()), directory)
    return directory
