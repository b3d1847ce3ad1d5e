"""Every test of every contract can fail, and says what to change: each catches a component that was broken for it."""

import importlib

import pytest

from ablate import registry
from ablate.registry import KINDS
from ablate.testing import CONTRACTS, ComponentContract, component

KIND_OF = {"component": "optimizer"} | {
    KINDS[kind].removeprefix("ablate."): kind for kind in KINDS
}  # by module of broken_components
MODULES = {name: importlib.import_module(f"broken_components.{name}") for name in KIND_OF}
TESTS = """
from ablate.testing import CONTRACTS
from broken_components import {module} as broken

for name in broken.CAUGHT:
    attributes = {{"component": {{"use": f"broken_components:{{name}}"}}, **getattr(broken, "TRIED", {{}}).get(name, {{}})}}
    globals()[f"Test_{{name}}"] = type(f"Test_{{name}}", (CONTRACTS["{kind}"],), attributes)
"""


@pytest.fixture
def broken_components(tmp_path, monkeypatch):
    """An installed distribution of broken components; some are imported whenever Python starts."""
    site = tmp_path / "site"
    info = site / "broken_components-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken_components\nVersion: 1.0\n")
    (site / "sitecustomize.py").write_text("import broken_components.component\n")
    groups: dict[str, list[str]] = {}
    for name, module in MODULES.items():
        lines = [f"{factory} = broken_components.{name}:{factory}" for factory in module.CAUGHT if hasattr(module, factory)]
        groups.setdefault(KINDS[KIND_OF[name]], []).extend(lines)
    (info / "entry_points.txt").write_text("\n".join(line for group in groups for line in (f"[{group}]", *groups[group])))
    monkeypatch.syspath_prepend(site)
    for cached in (registry.default, component.modules_of_listing):
        cached.cache_clear()
    yield
    for cached in (registry.default, component.modules_of_listing):
        cached.cache_clear()


class Reports:
    """A pytest plugin that keeps the outcome and the message of each test, by its class."""

    def __init__(self):
        self.calls: dict[str, pytest.TestReport] = {}

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed:
            self.calls.setdefault(report.nodeid.split("::")[1].removeprefix("Test_"), report)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_broken_is_caught_with_advice(module, broken_components, tmp_path, monkeypatch):
    """Runs for each misfit the test that has to catch it, as an author would."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    file = tmp_path / f"test_broken_{module}.py"  # one process runs it beside the suite, whose modules have the plain names
    file.write_text(TESTS.format(module=module, kind=KIND_OF[module]))
    caught, reports = MODULES[module].CAUGHT, Reports()
    tests = [f"{file}::Test_{name}::{test}" for name, (test, _) in caught.items()]
    pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", f"{tmp_path}/pytest.ini", *tests], [reports])
    for name, (test, says) in caught.items():
        report = reports.calls[name]
        assert report.failed, f"{name} passes {test}"
        assert says in report.longreprtext, f"{name}: {report.longreprtext}"


@pytest.mark.parametrize("module", MODULES)
def test_there_is_something_broken_for_every_test(module):
    contract = ComponentContract if module == "component" else CONTRACTS[KIND_OF[module]]
    own = {name for name in vars(contract) if name.startswith("test_")}
    assert own == {test for test, _ in MODULES[module].CAUGHT.values()}
