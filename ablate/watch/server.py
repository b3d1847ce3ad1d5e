"""The server of the page, for this machine alone.

It listens on the loopback address. Whoever else is on the machine needs the token that is in the page's address, and a page of
somebody else in the same browser has neither it nor, where it has a name point here (DNS rebinding), the right `Host`.
"""

import hmac
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ablate.errors import EnvironmentProblem
from ablate.report.live import POLICY, live_page
from ablate.version import __version__

from .live import Live, Update

ADDRESS = "127.0.0.1"
MOST_VIEWERS = 64  # at once; each has a thread that waits
BREATH_SECONDS = 15.0  # after which a silent connection is tried, to see whether anybody is there
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@contextmanager
def serving(live: Live, port: int = 0) -> Iterator[str]:
    """Serves the page until the block ends.

    Args:
        live: What it shows.
        port: On which it listens; 0 for any that is free.

    Returns:
        Its address.

    Raises:
        EnvironmentProblem: The port is taken.
    """
    token = secrets.token_urlsafe(24)
    try:
        server = _Server((ADDRESS, port), live, token)
    except OSError as error:
        raise EnvironmentProblem(
            f"port {port} of {ADDRESS}: {error}. Give another --port, or none for any that is free."
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True)
    with server, live.running():
        thread.start()
        try:
            yield f"http://{ADDRESS}:{server.server_port}/{token}/"
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # those that wait for news end with the process, or with the next breath

    def __init__(self, address: tuple[str, int], live: Live, token: str):
        super().__init__(address, _Handler)
        self.live, self.token = live, token
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30  # of reading a request, and of a viewer that takes nothing

    def do_GET(self) -> None:  # the library's name
        if self.headers.get("Host") not in self.server.hosts:
            hosts = " or ".join(sorted(self.server.hosts))
            self._answer(HTTPStatus.FORBIDDEN, f"This page is at {hosts}, and under no other name or port.\n")
            return
        address = urlsplit(self.path)
        token, slash, rest = address.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            self._answer(HTTPStatus.NOT_FOUND, "There is no such page. `ablate watch` says its whole address.\n")
        elif slash and not rest:
            shown = self.server.live.since(-1) or Update(0, (), {})
            page = live_page(self.server.live.study, shown.version, {name: shown.changed[name] for name in shown.order})
            self._answer(HTTPStatus.OK, page, "text/html")
        elif rest == "events":
            self._events(_version(self.headers.get("Last-Event-ID") or parse_qs(address.query).get("since", [""])[-1]))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "There is no such page.\n")

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self._begin(status, kind, {"Content-Length": str(len(body))})
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", **HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _events(self, version: int) -> None:
        """What changes after a version, until nobody takes it any more."""
        live = self.server.live
        if live.viewers >= MOST_VIEWERS:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_VIEWERS} pages are open already.\n")
            return
        self.close_connection = True
        self._begin(HTTPStatus.OK, "text/event-stream", {"Connection": "close"})
        with live.viewing():
            while not live.ended.is_set():
                update = live.since(version, BREATH_SECONDS)
                if update is None:
                    self.wfile.write(b": nothing new\n\n")
                    continue
                version = update.version
                data = json.dumps({"order": update.order, "changed": update.changed}, ensure_ascii=True)
                self.wfile.write(f"id: {version}\ndata: {data}\n\n".encode())

    def version_string(self) -> str:
        return f"ablate/{__version__}"

    def log_message(self, *_: object) -> None:
        """The token is in every address, and belongs into no log."""


def _version(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
