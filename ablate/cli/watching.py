"""The command that shows a running study in a browser."""

from typing import Annotated

import typer

from .common import StoreDir, app


@app.command()
def watch(
    study: Annotated[
        str | None,
        typer.Argument(metavar="STUDY", help="Name of a stored study; the newest unless given.", show_default=False),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where it listens; any that is free unless given.", show_default=False)
    ] = 0,
    store: StoreDir = None,
) -> None:
    """Follow a study in a browser while it runs: a page with the report so far and the cells in training. Ctrl-C ends it.

    The page is for this machine alone, and the address has a token that nobody else knows. The store is only read.
    """
    import time

    from ablate import places
    from ablate.errors import UsageError
    from ablate.report.console import err, out, say
    from ablate.store import Store
    from ablate.watch.live import Live
    from ablate.watch.server import serving

    directory = places.store_dir(store)
    with Store(directory, create=False, read_only=True) as opened:
        name = study or opened.latest()
        if name is None:
            raise UsageError(f"{directory} has no study yet. Run one first.")
        opened.study(name)
    with serving(Live(directory, name), port) as address:
        say(out, address)
        say(err, f"{name} is shown there as long as this runs; Ctrl-C ends it.", "dim")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:  # is how it ends
            return
