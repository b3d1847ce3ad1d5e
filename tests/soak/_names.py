"""Names of strangers, through every format that shows them, into a browser, LaTeX and the file system."""

import csv
import io
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from ablate.components.image_folder import image_folder
from ablate.contracts import Environment, Factor
from ablate.errors import AblateError
from ablate.report.content import page
from ablate.report.files import render, write_all
from ablate.report.terminal import study_view
from ablate.study import Study, VariantInfo
from tests.report.studies import make_study

PIECES = (
    "<script>document.title='ran'</script>", "<img src=x onerror=\"document.title='ran'\">",
    "<svg/onload=document.title='ran'>", "</td></tr></table>", "<style>@import url({address}/s.css)</style>",
    "<img src={address}/i.png>", "<iframe srcdoc='<script>top.document.title=1</script>'>", "<base href={address}/>",
    "<meta http-equiv=refresh content='0;url={address}/m'>", "--><!--", "]]>", "<![CDATA[", "&lt;script&gt;", "&#60;b&#62;",
    "<math><mtext>", "javascript:alert(1)", "[x](javascript:alert(1))", "![x]({address}/md.png)", "|a|b|", "`code`", "**b**",
    "~~~", "# h", "- [ ] x", "<http://x>", "\\|", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1",
    "=HYPERLINK(\"{address}/x\")", ";=1", '",=1', "'=1", "\\input{/etc/passwd}", "\\write18{touch pwned}",
    "\\immediate\\openout1=pwned", "\\end{document}", "$x$", "$$", "%", "#1", "^^M", "^^5cinput", "~", "_", "&", "{", "}",
    "\\", "\\verb|x|", "\\catcode`\\%=12", "\\loop\\iftrue\\repeat", "\\def\\x{\\x\\x}\\x", "--", ",,", "?`", "!`", "<<", ">>",
    "[1cm]", "*", "\\\\[1in]", "\x00", "\x07", "\x08", "\x1b[2J", "\x1b]0;t\x07", "\x1b]8;;{address}\x07", "\x9b31m", "\x7f",
    "\r", "\n", "\r\n", "\v\f", "\u2028", "\u2029", "\x85", "\ufeff", "\u202egnp.exe", "\u2066x\u2069", "\u200f", "\u200b",
    "\u200d", "\ud800", "\udfff", "\udc80", "\ufffe", "\U0010ffff", "e\u0301\u0301\u0301", "\u0300" * 50, "..", "../x",
    "../../../../tmp/pwned", "/etc/passwd", "C:\\x", "\\\\host\\x", "CON", "nul.txt", ".hidden", "-rf", "--help", "a/b",
    "~root", "$HOME", "$(id)", "`id`", "%00", "*", "?", '"', "'", "\"'`", "''", "{{7*7}}", "{% raw %}", "${7*7}", "#{7}",
    "{0}", "%s%n", "[bold]x[/]", "[link={address}]x[/link]", ":smile:", "\\N{BULLET}", "🙂", "👩‍👩‍👧‍👦", "🏳️‍🌈", "中文", "العربية",
    "עברית", "ﷺ", "ß", "ĸ", "ﬁ", "Ω", "½", "", " ", "  x  ", "NaN", "null", "None", "base", "1e999", "0", "-", "–",
)  # fmt: skip


def names(count: int, address: str = "http://127.0.0.1:9") -> list[str]:
    """So many distinct names: each piece, long ones, and pieces joined."""
    rng = random.Random(0)
    pieces = [piece.replace("{address}", address) for piece in PIECES]
    found = dict.fromkeys(
        [
            *pieces,
            *(f"x{piece}\n" for piece in pieces[:20]),
            "x" * 10_000,
            "<b>" * 3_000,
            "\\" * 5_000,
            "é🙂" * 2_000,
            "a,b=c/" * 1_500,
        ]
    )
    while len(found) < count:
        found["".join(rng.choice(pieces) for _ in range(rng.randrange(2, 5)))] = None
    return rng.sample(list(found), count)


def study_of(some: list[str]) -> Study:
    """A study in which they are the names of everything."""
    infos = tuple(VariantInfo(name, {name: name}, (f"{name}: {name} → {name}",)) for name in some)
    made = make_study(some, seeds=2, epochs=2, metric=f"m {some[0]}")
    made.cells.loc[1, ["status", "error"]] = ["failed", "\n".join(some[:5])]
    return make_study(
        some,
        seeds=2,
        epochs=2,
        metric=f"m {some[0]}",
        name=some[1],
        question=" ".join(some[2:5]),
        cells=made.cells,
        variants=infos,
        factors=tuple(Factor(name, name, (f"{name}+",)) for name in some[:3]),
        published={"source": some[5], f"m {some[0]}": {some[6]: [0.1, 0.2], some[7]: 0.5}},
        provenance=({some[8]: some[9], "packages": {some[10]: some[11]}},),
    )


class Tags(HTMLParser):
    """What tags and attributes a page has."""

    def __init__(self, text: str):
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name) for name, _ in attributes} | {(tag, "")}


def wrong(some: list[str], folder: Path) -> list[str]:
    """What is wrong in the text of each format."""
    study, plain = study_of(some), study_of([f"a,b/name {index}" for index in range(len(some))])
    made, harmless = page(study), page(plain)
    found = []
    html = render([made, made], "html")
    if foreign := Tags(html).found - Tags(render([harmless, harmless], "html")).found:
        found.append(f"HTML has {foreign}")
    markdown = render([made], "markdown").splitlines()
    if len(markdown) != len(render([harmless], "markdown").splitlines()):
        found.append("Markdown has lines of its own")
    rows = [line.replace("\\\\", "").replace(r"\|", "") for line in markdown if line.startswith("| ")]
    if {row.count("|") for row in rows[: 2 + len(some)]} != {rows[0].count("|")}:
        found.append("a row of Markdown has other cells than its heading")
    cells = list(csv.reader(io.StringIO(render([made], "csv"), newline="")))
    begins = {
        cell for row in cells for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝") and not _number(cell)
    }
    if begins or {len(row) for row in cells} != {len(cells[0])}:
        found.append(f"CSV has {sorted(begins)[:3]}")
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(study_view(made, 120))
    shown = (
        console.file.getvalue()
        .replace("\x1b[1m", "")
        .replace("\x1b[2m", "")
        .replace("\x1b[3m", "")
        .replace("\x1b[0m", "")
        .replace("\x1b[31m", "")
    )
    for where, text in (
        ("the terminal", shown),
        ("HTML", html),
        ("Markdown", "\n".join(markdown)),
        ("LaTeX", render([made], "latex")),
    ):
        if odd := {character for character in text if not character.isprintable() and character != "\n"}:
            found.append(f"{where} has {sorted(odd)!r}")
    before = set(folder.parent.rglob("*"))
    write_all(made, folder / "report")
    strange = {path for path in folder.parent.rglob("*") if path not in before and folder / "report" not in (path, *path.parents)}
    return [*found, *(f"wrote {path}" for path in strange if path != folder)]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def latex(folder: Path) -> str:
    """What pdflatex says of a report that is not right; nothing where it compiles and does not what names tell."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]
    before = {path.name for path in folder.iterdir()}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=600)
    made = {path.name for path in folder.iterdir()} - before - {"report.pdf", "report.aux", "report.log"}
    return done.stdout[-1500:] if done.returncode else "".join(sorted(made))


def images(some: list[str], folder: Path) -> tuple[int, list[str]]:
    """Classes and images called so, as far as the file system takes them; how many, and what went wrong."""
    taken, root = [], folder / "images"
    for name in some:
        for part in ("train", "test"):
            try:
                place = root / part / os.fsencode(name).decode(errors="surrogateescape")
                if place.parent != root / part or name in (".", ".."):
                    break
                place.mkdir(parents=True)
                Image.new("L", (8, 8)).save(io_name := place / "x.png")
                io_name.rename(place / f"{name[:80]}.png")
            except (OSError, ValueError, UnicodeEncodeError):
                shutil.rmtree(place, ignore_errors=True)
                break
        else:
            taken.append(name)
    for name in os.listdir(root / "train"):
        if not os.path.isdir(root / "test" / name):
            shutil.rmtree(root / "train" / name)
    before = {path for path in folder.rglob("*") if root not in path.parents}
    found = []
    try:
        data = image_folder(Environment(folder / "data", download=False), path=str(root)).load()
        if len(data.class_names) != len([name for name in os.listdir(root / "train") if not name.startswith(".")]):
            found.append(f"{len(data.class_names)} classes")
    except AblateError as error:
        found.append(str(error))
    made = {path for path in folder.rglob("*") if root not in path.parents and path not in before}
    return len(taken), [*found, *(f"wrote {path}" for path in made if folder / "data" not in (path, *path.parents))]


@contextmanager
def serving(files: Mapping[str, bytes | None]) -> Any:
    """A server on this machine, which announces files that are `None` and does not send them.

    Yields:
        Its address, and what it was asked for.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = files.get(self.path, b"")
            self.send_response(200 if self.path in files else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(1000 if body is None else len(body)))
            self.end_headers()
            if body is None:
                self.rfile.read(1)  # until who asks gives up
            else:
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815, the library's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def browsed(count: int, folder: Path, chromium: str) -> list[str]:
    """What a browser did of what names tell: it shows a report of all of them, and a page with the same names as they are."""
    files: dict[str, bytes] = {}
    found = []
    with serving(files) as (address, asked):
        some = names(count, address)
        files["/report"] = render([page(study_of(some))], "html").replace("<title>", "<title>quiet ").encode()
        files["/control"] = ("<title>quiet</title>" + "".join(some)).encode("utf-8", "replace")
        for path in files:
            asked.clear()
            flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
            more = "--disable-component-update --disable-sync --virtual-time-budget=20000 --dump-dom"
            profile = f"--user-data-dir={folder / path.strip('/')}"
            command = [chromium, *flags.split(), *more.split(), profile, f"{address}{path}"]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)
            quiet = "<title>quiet" in done.stdout
            fetched = sorted({name for name in asked if name not in (path, "/favicon.ico")})
            if path == "/report" and (fetched or not quiet or len(done.stdout) < 10_000):
                found.append(f"the report asked for {fetched} or changed its title: {done.stdout[:300]}")
            if path == "/control" and not fetched:
                found.append("the control did nothing")
    return found
