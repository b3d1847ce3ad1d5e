"""Names of strangers are shown as names: in every format, in files, and as files."""

import shutil

import pytest

from tests.soak import _names


def test_names_are_only_names_in_every_format(tmp_path):
    assert _names.wrong(_names.names(60), tmp_path / "made") == []
    if shutil.which("pdflatex"):
        assert _names.latex(tmp_path / "made" / "report") == ""


def test_names_of_classes_and_images(tmp_path):
    taken, wrong = _names.images(_names.names(150), tmp_path)
    assert wrong == []
    assert taken > 50


def test_there_are_five_hundred_of_them():
    assert len(set(_names.names(500))) == 500


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_does_nothing_that_names_tell(tmp_path):
    assert _names.browsed(60, tmp_path, "chromium") == []
