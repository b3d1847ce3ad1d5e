"""What a cell's key is made of, where an environment is not a plain one."""

from ablate import identity


def test_a_checkout_on_the_path_does_not_hide_that_it_is_installed_editable(tmp_path, monkeypatch):
    """As with `python -m ablate` in a checkout; keys without the digest of its source would survive a change of it."""
    checkout, site = tmp_path / "checkout", tmp_path / "site"
    for folder, metadata in ((checkout / "thing.egg-info", "PKG-INFO"), (site / "thing-1.0.dist-info", "METADATA")):
        folder.mkdir(parents=True)
        (folder / metadata).write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(checkout)
    assert not identity._is_editable(identity._installed("thing"))
    (site / "thing-1.0.dist-info" / "direct_url.json").write_text('{"url": "file:///checkout", "dir_info": {"editable": true}}')
    assert identity._is_editable(identity._installed("thing"))
