"""Makes the pictures of the documentation from a real run of the quickstart: `python docs/pictures.py`, in a checkout.

`terminal.svg` is what the command prints, `report.png` what its report looks like; the latter needs Chromium. What the store of
the working directory has is not trained again.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ablate.places import store_dir

DOCS = Path(__file__).parent
COMMAND = ["run", "specs/quickstart.json"]
WIDTH = 104  # columns of the terminal
BROWSER = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1510"]


def output() -> str:
    """What the command prints on a terminal, with its escape sequences."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    command = [sys.executable, "-m", "ablate", *COMMAND, "--device", "cpu"]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603


def svg(printed: str) -> str:
    """The picture of a terminal; it names fonts, and loads none."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(f"$ ablate {' '.join(COMMAND)}\n{printed}"))
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="ablate", unique_id="terminal"), flags=re.DOTALL)


def main() -> None:
    (DOCS / "terminal.svg").write_text(svg(output()), "utf-8")
    report = store_dir().absolute() / "reports" / "quickstart" / "report.html"
    with tempfile.TemporaryDirectory() as profile:
        picture = [f"--user-data-dir={profile}", f"--screenshot={DOCS / 'report.png'}"]
        subprocess.run([*BROWSER, *picture, report.as_uri()], check=True, stderr=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    main()
