"""Specs, plugins, names, files and downloads of strangers."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.conftest import SPEC

from . import Row, _downloads, _files, _names, _plugins, _specs, _touching


def rows(quick: bool) -> Iterator[Row]:
    """Every promise about what comes from outside."""
    for promise in (
        _any_spec,
        _exploding,
        _touching_nothing,
        _plugins_broken,
        _no_code,
        _no_pickle,
        _strange_names,
        _bad_downloads,
    ):
        with tempfile.TemporaryDirectory() as folder:
            yield from promise(quick, Path(folder))


def _any_spec(quick: bool, folder: Path) -> Iterator[Row]:
    count = 100 if quick else 50_000
    command = [sys.executable, "-m", "tests.soak._specs"]
    workers = [
        subprocess.Popen([*command, str(seed), str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for seed in (1, 2)
    ]
    total: Counter[str] = Counter()
    worst = {"slowest": 0.0, "peak": 0.0}
    for worker in workers:
        out, told = worker.communicate()
        sys.stderr.write(told)
        found = json.loads(out)
        worst = {name: max(value, found.pop(name)) for name, value in worst.items()}
        total.update(found)
    yield Row(
        "any spec is taken, or refused in a sentence with its place",
        f"{2 * count:,} specs, three of four of them valid ones with changes, in workers with 6 GB of address space",
        f"{total['refused']:,} refused, {total['taken']:,} taken, {total['broken']} tracebacks or messages without a place; "
        f"the slowest took {worst['slowest']:.2f} s of the processor, {total['slow']} more than 1 s; {worst['peak']:.1f} GB",
        total["broken"] == 0 and total["slow"] == 0,
    )


def _exploding(quick: bool, folder: Path) -> Iterator[Row]:
    texts = [json.dumps(document) for document in _specs.exploding().values()]
    _specs.tried(iter(map(json.dumps, _specs.valid())), 20, lambda _: None)
    told: list[str] = []
    found = _specs.tried(islice(texts, len(texts)), len(texts), told.append)
    yield Row(
        "what explodes is refused before it does",
        f"{len(texts)} specs: 10^9 cells, a million seeds, 10,000 factors, names of 900,000 characters …",
        f"the slowest took {found['slowest']:.2f} s of the processor",
        not told,
    )


def _touching_nothing(quick: bool, folder: Path) -> Iterator[Row]:
    seen = _touching.touched(SPEC, folder)
    yield Row(
        "checking a spec touches nothing",
        f"{seen['specs']} specs that point at addresses, modules, devices and pipes, under an audit hook",
        f"{len(seen['asked'])} sockets and processes, {len(seen['foreign'])} files opened beside its own and the packages",
        not seen["asked"] and not seen["foreign"],
    )


def _plugins_broken(quick: bool, folder: Path) -> Iterator[Row]:
    site = folder / "site"
    _plugins.install(site)
    untold, seconds, plain = _plugins.listed(site)
    untold += _plugins.loaded(site)
    wrong = _plugins.ran(site, SPEC)
    yield Row(
        "a broken plugin is named, and breaks nothing else",
        f"{len(_plugins.PLUGINS) + 2} plugins, each broken in a way of its own: `list`, `list --load`, a run among them",
        f"not named: {', '.join(untold) or 'none'}; `list` takes {seconds:.2f} s, without them {plain:.2f} s; "
        f"wrong in the run: {wrong or 'nothing'}",
        not untold and not wrong,
    )


def _no_code(quick: bool, folder: Path) -> Iterator[Row]:
    answers = dict(_files.tried(folder))
    others = {name: answer for name, answer in answers.items() if answer != "refused"}
    yield Row(
        "a stranger's file runs no code",
        f"{len(answers)} files: pickles under other names, objects in arrays, bombs, triggers, deep JSON",
        f"refused: {len(answers) - len(others)}; otherwise: {others or 'none'}",
        not others,
    )


def _no_pickle(quick: bool, folder: Path) -> Iterator[Row]:
    calls, processes = _files.unpickled(SPEC, folder)
    yield Row("no pickle is read", f"a study with its report, {processes} processes watched", f"{len(calls)} calls", not calls)


def _strange_names(quick: bool, folder: Path) -> Iterator[Row]:
    count = 60 if quick else 500
    some = _names.names(count)
    wrong = _names.wrong(some, folder / "made")
    said = _names.latex(folder / "made" / "report") if shutil.which("pdflatex") else "no pdflatex"
    chromium = shutil.which("chromium")
    browsed = _names.browsed(count, folder, chromium) if chromium else ["no browser"]
    taken, files = _names.images(some, folder / "files")
    yield Row(
        "a name is only a name",
        f"{count} names through HTML, Markdown, LaTeX, CSV, the terminal and a browser; {taken} as classes and images",
        f"wrong in a format: {wrong or 'nothing'}; in LaTeX: {said[-300:] or 'nothing'}; in the browser: {browsed or 'nothing'}; "
        f"in files: {files or 'nothing'}",
        not wrong and not said and not browsed and not files,
    )


def _bad_downloads(quick: bool, folder: Path) -> Iterator[Row]:
    names = list(_downloads.served())[: 1 if quick else None]
    answers = dict(_downloads.answers(folder, names))
    right = answers.pop("the true server afterwards").startswith("loaded")
    wrong = {name: answer for name, answer in answers.items() if not answer.startswith("refused") or " wrote " in answer}
    processes = 2 if quick else 8
    said, asked = _downloads.together(folder / "together", processes)
    twice = {
        path: n for path, n in Counter(asked).items() if n != 2
    }  # torchvision asks once for a redirection, then for the file
    yield Row(
        "a checksum decides what a download is",
        f"{len(answers)} bad servers; {processes} processes at once",
        f"not refused: {wrong or 'none'}; afterwards from a true server: {'loaded' if right else 'broken'}; "
        f"{len(set(said))} answer, and files asked for more than once: {twice or 'none'}",
        right and not wrong and len(set(said)) == 1 and said[0].startswith("loaded") and not twice,
    )
