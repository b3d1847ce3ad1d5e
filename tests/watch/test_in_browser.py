"""The page in a real browser, while a study runs, is killed, and is at its end."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from ablate.errors import StoreError
from ablate.report.content import page
from ablate.report.web import html
from ablate.store import Store
from ablate.watch.live import Live
from ablate.watch.server import serving
from tests.browser import CHROMIUM, browser
from tests.report.studies import HOSTILE, make_study
from tests.watch.studies import begin, claim, finish, record

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def open_tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as open_tab:
        yield open_tab


def started(*words, cwd):
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it for what it starts in the background
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "ablate", *words], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)


def ended(process):
    """Ends a command as Ctrl-C does."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_a_study_that_is_killed_and_goes_on_to_its_end(open_tab, tmp_path, spec, write):
    path = write(spec | {"base": spec["base"] | {"epochs": 60}, "seeds": 1})
    run = started("run", str(path), "--jobs", "1", cwd=tmp_path)
    end = time.monotonic() + 60
    while not sees(tmp_path):
        assert time.monotonic() < end
        time.sleep(0.2)
    watch = started("watch", cwd=tmp_path)
    try:
        address = watch.stdout.readline().strip()
        tab = open_tab()
        tab.go(address)
        tab.until("/1 in training/.test(document.querySelector('#state')?.innerText)")
        tab.until("/\\d+ of 60/.test(document.querySelector('#state').innerText)")
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        tab.until("/Nobody trains it now/.test(document.querySelector('#state').innerText)")
        again = started("run", str(path), cwd=tmp_path)
        tab.until("/in training/.test(document.querySelector('#state').innerText)")
        tab.until("/2 of 2 cells done/.test(document.querySelector('#state').innerText)")
        assert again.wait(60) == 0
        report = (tmp_path / "ablate-store" / "reports" / "tiny" / "report.html").read_text()
        tab.until("document.querySelector('h2') && /Cells done\\s*2 of 2/.test(document.querySelector('header').innerText)")
        tab.until(f"document.querySelectorAll('h2').length === {report.count('<h2>')}")
        shown = tab.find("[...document.querySelectorAll('header, section:not(#state)')].map((part) => part.innerText)")
        tab.go(f"file://{tmp_path}/ablate-store/reports/tiny/report.html")
        assert shown == tab.find("[...document.querySelectorAll('header, section')].map((part) => part.innerText)")
        assert tab.said == []
        ways = {urlsplit(asked)[:2] for asked in tab.asked if not asked.startswith("data:")}  # small pictures
        assert ways == {urlsplit(address)[:2], ("file", "")}, tab.asked
    finally:
        code, said = ended(watch)
    assert (code, said) == (0, "tiny is shown there as long as this runs; Ctrl-C ends it.\n")


def sees(folder):
    with suppress(StoreError), Store(folder / "ablate-store", create=False, read_only=True) as store:
        return store.latest() is not None and store.now("tiny").training


def test_what_is_lost_is_said(open_tab, tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
    tab = open_tab()
    with serving(Live(tmp_path, "s")) as address:
        tab.go(address)
        tab.until("/0 of 6 cells done/.test(document.querySelector('#state')?.innerText)")
        assert tab.find("document.querySelector('#lost').hidden")
    tab.until("!document.querySelector('#lost').hidden")


@pytest.mark.parametrize("dark", [False, True])
def test_names_of_strangers_do_nothing_and_nothing_overflows(open_tab, tmp_path, dark):
    names = tuple(name for name in HOSTILE if "\x00" not in name and "\ud800" not in name)
    with Store(tmp_path) as driver:
        begin(driver, names, seeds=2)
        for index in range(len(names) - 1):
            finish(driver, index, 0, 0.5 + index / 100)
        driver.record_epoch(claim(driver, 0, 1), record(1, 0.25) | {names[0]: 0.5})
        driver.fail(claim(driver, 1, 1), "failed", names[0], "</pre>" + "\n".join(names))
        with serving(Live(tmp_path, "s")) as address:
            tab = open_tab()
            for width in (390, 820, 1440):
                tab.show(width, dark=dark)
                tab.go(address)
                tab.until("document.querySelector('#part-1-comparison table') !== null")
                tab.find("document.querySelector('details').open = true")
                assert tab.find("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
                fits = "((part) => part.scrollWidth <= part.clientWidth)(document.querySelector('#state .scroll'))"
                assert width > 390 or tab.find(fits), "a phone shows the numbers of the last epoch"
            strange = "script:not(body > script), img, image, iframe, base, [onerror], [onload], link[rel=stylesheet]"
            assert tab.find(f"document.querySelectorAll({json.dumps(strange)}).length") == 0
            assert tab.find("document.title") == "s"
            assert tab.find("document.querySelector('pre').textContent").startswith("</pre>" + names[0])
            ground = tab.find("getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
            assert tab.said == []
            assert all(asked.startswith(address) for asked in tab.asked)


def test_without_a_script_the_page_says_that_it_stands_still(open_tab, tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        driver.record_epoch(claim(driver, 0, 0), record(1, 0.25))
        with serving(Live(tmp_path, "s")) as address:
            tab = open_tab()
            tab.tell("Emulation.setScriptExecutionDisabled", value=True)
            tab.tell("Page.navigate", url=address)
            wanted, end = ("Without JavaScript the page stays as it was", "since "), time.monotonic() + 60
            while not all(words in (text := shown_in(tab)) for words in wanted):
                assert time.monotonic() < end, text


def shown_in(tab):
    """The page as it stands in a tab that runs no script."""
    return "\n".join(tab.tell("DOMSnapshot.captureSnapshot", computedStyles=[])["strings"])


def names_in(tab):
    return tab.find("[...document.querySelector('table').tBodies[0].rows].map((row) => row.cells[0].textContent)")


def test_a_report_sorts_tells_and_hides(open_tab, tmp_path):
    (tmp_path / "report.html").write_text(html([page(make_study(("base", "b", "a"), seeds=5, epochs=12))]))
    tab = open_tab()
    tab.show(1200)
    tab.go(f"file://{tmp_path}/report.html")
    press = "[...document.querySelectorAll('th button')].find((button) => button.textContent === '{}').click()"
    assert names_in(tab) == ["base", "b", "a"]
    for word, wanted in (("variant", "a b base"), ("variant", "base b a"), ("variant", "base b a"), ("p (Holm)", "a b base")):
        tab.find(press.format(word))
        assert names_in(tab) == wanted.split(), word
    assert tab.find("document.querySelector('[aria-sort]').textContent") == "p (Holm)"

    where = "document.querySelectorAll('figure')[1].querySelectorAll('svg')[1]"
    mark = f"{where}.querySelector('g[data-name=a] use:nth-of-type(6)').getBoundingClientRect()"
    tab.find(f"{where}.scrollIntoView()")
    x, y = tab.find(f"[{mark}.x + {mark}.width / 2, {mark}.y + {mark}.height / 2]")
    tab.point(x, y)
    tab.until("!document.querySelector('.tip').hidden")
    name, told = tab.find("[...document.querySelector('.tip').childNodes].map((part) => part.textContent)")
    value = make_study(("base", "b", "a"), seeds=5, epochs=12).epochs.query("variant == 'a' and epoch == 6")["accuracy"].mean()
    assert (name, told) == ("a", f"epoch 6: {value:.4g}")
    assert tab.find(f"{where}.querySelectorAll('[data-series=\"0\"].other').length") > 0

    tab.find("[...document.querySelectorAll('.key button')].find((button) => button.textContent.trim() === 'a').click()")
    assert tab.find(f"getComputedStyle({where}.querySelector('g[data-name=a]')).display") == "none"
    assert tab.find("document.querySelector('.key [aria-pressed=false]').textContent.trim()") == "a"
    assert names_in(tab) == ["a", "b", "base"], "tables have all: verdicts are corrected for all comparisons"
    assert tab.said == []


def test_what_the_reader_does_outlives_an_update(open_tab, tmp_path):
    with Store(tmp_path) as driver:
        begin(driver, ("base", "b", "a"))
        for variant in range(3):
            finish(driver, variant, 0, 0.5)
        driver.fail(claim(driver, 0, 1), "failed", "it broke", "a log")
        with serving(Live(tmp_path, "s")) as address:
            tab = open_tab()
            tab.go(address)
            tab.until("document.querySelector('#part-1-learning-curves .key button') !== null")
            tab.find("document.querySelector('details').open = true")
            tab.find("document.querySelector('#part-1-comparison th button').click()")
            tab.find("document.querySelector('#part-1-learning-curves .key button').click()")
            finish(driver, 1, 1, 0.6)
            tab.until("/Cells done\\s*4 of 9/.test(document.querySelector('header').innerText)")
            assert tab.find("document.querySelector('details').open")
            rows = "[...document.querySelectorAll('#part-1-comparison tbody tr')].map((row) => row.cells[0].textContent)"
            assert tab.find(rows) == ["a", "b", "base"]
            assert tab.find("document.querySelector('#part-1-learning-curves .key button').ariaPressed") == "false"
            assert tab.said == []
