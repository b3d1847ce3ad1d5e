"""What a cell's key is made of, where an environment is not a plain one."""

import pytest

from ablate.errors import EnvironmentProblem, checked
from ablate.executors import training
from ablate.registry import BrokenComponent, default, sources
from ablate.spec import identity
from ablate.spec.recipe import resolve


def test_a_checkout_on_the_path_does_not_hide_that_it_is_installed_editable(tmp_path, monkeypatch):
    """As with `python -m ablate` in a checkout; keys without the digest of its source would survive a change of it."""
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    for folder, metadata in ((checkout / "thing.egg-info", "PKG-INFO"), (site / "thing-1.0.dist-info", "METADATA")):
        folder.mkdir(parents=True)
        (folder / metadata).write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(checkout)
    sources.look_again()
    assert sources.version_of("thing") == "1.0"
    (site / "thing-1.0.dist-info" / "direct_url.json").write_text('{"url": "file:///checkout", "dir_info": {"editable": true}}')
    sources.look_again()
    assert sources.version_of("thing").startswith("1.0+")


def identity_of(registry, recipe, device="cpu"):
    return identity.recipe_identity(registry, recipe, "data", device)


@pytest.fixture
def recipe(spec):
    transforms = {"some": {"use": "random_apply", "transforms": {"flip": {"use": "random_horizontal_flip"}}}}
    spec["base"]["train_transforms"] = transforms | spec["base"]["train_transforms"]
    resolved, found = checked(resolve(default(), spec["base"], "base", {}))
    assert not found
    return resolved


def test_what_a_component_means_is_in_the_identity_of_the_recipes_that_use_it(recipe, monkeypatch):
    """Nested ones too, and both of a name that two kinds have; other recipes keep their keys."""
    before = identity_of(default(), recipe)
    assert sorted(before) == ["data", "engine", "packages"], "as without any `semantics`: keys of released versions stay"
    monkeypatch.setattr(default().load("metric", "loss").factory, "semantics", 3, raising=False)
    assert identity_of(default(), recipe) == before | {"semantics": {"metric ablate-core:loss": 3}}
    monkeypatch.setattr(default().load("transform", "random_horizontal_flip").factory, "semantics", 2, raising=False)
    both = {"metric ablate-core:loss": 3, "transform ablate-core:random_horizontal_flip": 2}
    assert identity_of(default(), recipe)["semantics"] == both
    keys = {identity.recipe_digest(recipe, "cpu", before | more) for more in ({}, {"semantics": both})}
    assert len(keys) == 2
    other = recipe | {"metrics": {}, "train_transforms": {}}
    assert "semantics" not in identity_of(default(), other)


def test_engines_count_by_device(recipe):
    """Cells of a GPU before 3 had TensorFloat-32 in convolutions, before 4 dropout of others; those of a CPU are still 2."""
    assert [identity_of(default(), recipe, device)["engine"] for device in ("cpu", "cuda")] == [2, 4]


def test_what_a_component_means_may_depend_on_its_parameters(recipe, monkeypatch):
    factory = default().load("model", "net").factory
    monkeypatch.setattr(factory, "semantics", lambda spec: 2 if spec["batch_norm"] else 1, raising=False)
    assert "semantics" not in identity_of(default(), recipe)
    recipe["model"]["batch_norm"] = True
    assert identity_of(default(), recipe)["semantics"] == {"model ablate-core:net": 2}
    monkeypatch.setattr(factory, "semantics", lambda spec: spec["depth"], raising=False)
    with pytest.raises(BrokenComponent, match="model 'net' of ablate-core .* asking for its semantics failed: KeyError: 'depth'"):
        identity_of(default(), recipe)


def test_a_machine_where_a_component_means_something_else_trains_nothing(recipe, monkeypatch, environment):
    monkeypatch.setattr(training, "fingerprint_here", lambda dataset, environment: "data")
    planned = identity_of(default(), recipe)
    digest = identity.recipe_digest(identity.canonical_recipe(default(), recipe), "cpu", planned)
    cell = identity.make_cell(recipe, digest, 0, "cpu", planned)
    assert training.as_planned(cell, environment, elsewhere=True) == planned
    monkeypatch.setattr(default().load("metric", "loss").factory, "semantics", 2, raising=False)
    with pytest.raises(EnvironmentProblem, match="metric ablate-core:loss is 2 and not None"):
        training.as_planned(cell, environment, elsewhere=True)
