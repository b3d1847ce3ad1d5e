"""Plugins that are broken in every way: what is told of them, and that a study which does not use them is not touched."""

import pytest

from tests.soak import _plugins


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("broken") / "site"
    _plugins.install(place)
    return place


def test_listing_names_each_of_them(folder):
    untold, _, _ = _plugins.listed(folder)
    assert untold == []


def test_loading_apart_names_each_culprit(folder):
    assert _plugins.loaded(folder) == []


def test_a_study_runs_among_them_and_a_wrong_type_is_refused_before_training(folder, spec):
    assert _plugins.ran(folder, spec) == []
