"""The HTML report: well-formed, self-contained, and harmless in a real browser whatever names it shows."""

import base64
import hashlib
import http.server
import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser

import pytest
from studies import ATTRIBUTION, FACTORIAL, HOSTILE, analysis, effect, make_factorial, make_study

from ablate.contracts import Factor
from ablate.report.content import page
from ablate.report.files import render
from ablate.report.web import html, prose
from ablate.study import VariantInfo

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


class Checked(HTMLParser):
    """Keeps what a page has, and complains of tags that do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.tags, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def full():
    """Every section, as one study."""
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))])
    names = [variant.name for variant in study.variants[1:]]
    return page(study, analysis(*map(effect, names), factorial=FACTORIAL, attribution=ATTRIBUTION))


def test_a_message_of_several_lines_keeps_them():
    study = make_study(("base", "x"))
    study.cells.loc[1, ["status", "error"]] = ["failed", "it ended.\nTraceback:\n  <b>line</b> 1\n    ^^^^\n"]
    text = html([page(study)])
    assert '<dt>it ended.</dt><dd><pre tabindex="0">Traceback:\n  &lt;b&gt;line&lt;/b&gt; 1\n    ^^^^</pre></dd>' in text


def test_commands_in_a_sentence_are_code_and_a_percentage_stays_together():
    assert prose("at 95 % of 3") == "at 95&nbsp;% of 3"
    assert prose("`ablate run` goes on, `x") == "<code>ablate run</code> goes on, `x"
    assert prose("`<b>` <i>") == "<code>&lt;b&gt;</code> &lt;i&gt;"


def test_a_page_is_well_formed_and_needs_nothing_else(study):
    checked = Checked(html([full(), page(study)]))
    assert len(checked.ids) == len(set(checked.ids)) > 0
    names = [tag for tag, _ in checked.tags]
    assert set(names).isdisjoint({"img", "iframe", "object", "embed", "form", "base"})
    assert names.count("script") == 1
    for tag, attributes in checked.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:,")), (tag, attributes)
    policy = next(attributes["content"] for tag, attributes in checked.tags if "http-equiv" in attributes)
    text = html([full()]).partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:;")


def test_sections_come_in_the_order_in_which_they_are_read():
    checked = Checked(html([full()]))
    text = " ".join(checked.text)
    titles = (
        "Does it help?",
        "x is better.",
        "Comparison",
        "Learning curves",
        "Main effects and interactions",
        "Attribution of the gain",
        "What each variant changes",
        "Cost",
        "Provenance",
        "How to read it",
    )
    assert sorted(titles, key=text.index) == list(titles)


def test_figures_take_the_colours_of_the_page():
    text = html([full()])
    assert text.count("<svg") >= 6
    assert "currentColor" in text
    assert "var(--color-0)" in text
    assert "#010203" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_same_study_gives_the_same_bytes(study):
    assert html([page(study)]) == html([page(make_study())])


def test_hostile_names_are_text(hostile):
    text = render([page(hostile)], "html")
    checked = Checked(text)
    assert [tag for tag, _ in checked.tags].count("script") == 1, "the report's own"
    shown = "".join(checked.text)
    for name in (HOSTILE[0], HOSTILE[4], HOSTILE[5], HOSTILE[7]):
        assert name in shown
    assert not any(control in text for control in ("\x1b", "\x00", "\x07", "\u202e"))


def test_a_large_study_has_all_rows_and_is_small():
    names = ["base", *(f"v{i}" for i in range(199))]
    text = render([page(make_study(names, seeds=5, epochs=12))], "html")
    assert len(text.encode()) < 3_000_000
    assert all(f'<th scope="row">{name}</th>' in text for name in names)
    assert "The 40 largest of 199 are drawn" in text
    assert "in grey, without bands: the other 188" in text


@contextmanager
def serving(pages):
    """A server on this machine that remembers what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = pages.get(self.path, "").encode()
            self.send_response(200 if self.path in pages else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


FRAME = """<!doctype html><title>frame</title>
<iframe src="/report.html" style="width: {width}px; height: 2000px; border: 0"></iframe><iframe src="/control.html"></iframe>
<pre></pre><script>
onload = () => {{
  const report = frames[0].document, control = frames[1].document;
  document.querySelector("pre").textContent = JSON.stringify({{
    needed: report.documentElement.scrollWidth, width: report.documentElement.clientWidth, title: report.title,
    foreign: report.querySelectorAll(
      "script:not(body > script), img, image, b, base, link[rel=stylesheet], [onerror], [onload]").length,
    control: control.title,
  }});
}};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser_nothing_runs_nothing_is_fetched_and_nothing_overflows(tmp_path, hostile, width):
    pages = {"/frame.html": FRAME.format(width=width)}
    with serving(pages) as (address, asked):
        names = [
            f'<img src="{address}/stolen.png" onerror="document.title=\'ran\'">',
            f"<style>@import url({address}/stolen.css)</style>",
            f"](x) ![]({address}/stolen.svg)",
            f"<script>document.title='ran';fetch('{address}/stolen.js')</script>",
            f'"><svg onload="document.title=\'ran\'"><image href="{address}/stolen.jpg"/></svg>',
            *HOSTILE,
        ]
        infos = tuple(VariantInfo(name, {}, (f"{name}: 1 → 2",)) for name in names)
        question = f'</style></title><link rel=stylesheet href="{address}/stolen2.css"><base href="{address}/stolen/">'
        study = make_study(names, seeds=3, variants=infos, question=question, published={"source": names[0], "accuracy": {}})
        pages["/report.html"] = html([page(study), page(hostile)])
        # what the report must not do, the control does
        pages["/control.html"] = f"<title>not yet</title>{names[0]}<script>document.title='ran'</script>"
        done = subprocess.run(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={tmp_path}",
                f"--window-size={width + 100},900",
                "--virtual-time-budget=5000",
                "--dump-dom",
                f"{address}/frame.html",
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
    found = done.stdout.partition("<pre>")[2].partition("</pre>")[0]
    assert found, done.stderr
    seen = json.loads(unescape(found))
    assert seen["needed"] == seen["width"], "the page is wider than its window"
    assert seen["title"] == f"made, {hostile.name}"
    assert seen["foreign"] == 0
    assert seen["control"] == "ran"
    assert "/stolen.png" in asked, "the control asks for it once"
    assert sorted(path for path in asked if path != "/favicon.ico") == [
        "/control.html",
        "/frame.html",
        "/report.html",
        "/stolen.png",
    ]
