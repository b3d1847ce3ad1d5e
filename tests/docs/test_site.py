"""The documentation builds as a site without a warning, has all that the code has, and loads nothing from elsewhere."""

import html
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from pages import DOCS

from ablate.cli import app
from ablate.registry import KINDS, default
from ablate.spec.recipe import DEFAULT_TRAINER, spec_schema
from tests.browser import CHROMIUM, browser

pytest.importorskip("sphinx", reason="the extra 'docs' is not installed")
pytestmark = pytest.mark.timeout(900)  # it takes longer where the machine is shared


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    options = ["-q", "-W", "--keep-going", "-b", "html", "-d", folder / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, DOCS, folder / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


class Resources(HTMLParser):
    """Collects what a browser loads for a page, and where else the page leads to within the site."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "a":
            self.linked.append(given.get("href") or "")
        elif tag == "link" and given.get("rel") not in ("index", "search", "next", "prev", "canonical"):
            self.loaded.append(given["href"])
        self.loaded += [given[name] for name in ("src", "data", "poster") if given.get(name)]


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_missing(site):
    for page in site.rglob("*.html"):
        found = Resources(page.read_text("utf-8"))
        assert found.loaded, page
        for resource in found.loaded:
            assert not re.match(r"(https?:)?//", resource), (page, resource)
            assert resource.startswith("data:") or (page.parent / resource.partition("?")[0]).is_file(), (page, resource)
        for link in found.linked:
            target = link.partition("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                assert (page.parent / target).is_file(), (page, link)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text("utf-8")), sheet


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_no_page_is_wider_than_its_window(site, tmp_path):
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with browser(tmp_path) as open_tab:
        tab, found = open_tab(), {}
        tab.show(820)
        for page in (page for page in site.rglob("*.html") if "_static" not in page.parts):
            tab.go(page.as_uri())
            found[page.name] = tab.find(wide)
    assert {name: more for name, more in found.items() if more} == {}


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text("utf-8")))


def test_the_references_have_all_that_the_code_has(site):
    commands = text_of(site / "commands.html")
    group = typer.main.get_command(app)
    assert len(group.commands) > 10
    for name, command in group.commands.items():
        assert f"ablate {name}" in commands
        assert all(name in commands for parameter in command.params for name in parameter.opts if name.startswith("--"))
    keys = text_of(site / "spec-reference.html")
    parts = (spec_schema(), spec_schema()["properties"]["compare"])
    fields = default().load("trainer", DEFAULT_TRAINER).signature.parameters.values()
    assert all(key in keys for part in parts for key in part["properties"])
    assert all(field.name in keys and field.doc in keys for field in fields)
    components = text_of(site / "components.html")
    for kind in KINDS:
        for component in default().all(kind):
            if component.distribution == "ablate-core":
                assert f"{kind} {component.name}" in components
                parameters = default().load(kind, component.qualified_name).signature.parameters.values()
                assert all(" ".join(parameter.doc.replace("`", "").split()) in components for parameter in parameters)


def test_every_package_has_a_page(site):
    """Which includes its README, and says nothing else: docs/packages/NAME.md."""
    for readme in (DOCS.parent / "plugins").glob("*/README.md"):
        name = readme.parent.name.removeprefix("ablate-")
        assert (site / "packages" / f"{name}.html").is_file(), name
