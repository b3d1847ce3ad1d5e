"""A real browser, driven through the pipes of its DevTools protocol."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --remote-debugging-pipe"
)

START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""  # the protocol is on descriptors 3 and 4


class Tab:
    """A page of a browser; everything that it asked the network for is in `asked`, and what its console said in `said`."""

    def __init__(self, reads: int, writes: int):
        self._reads, self._writes, self._left, self._last = reads, writes, b"", 0
        self._session: dict[str, str] = {}
        self.asked: list[str] = []
        self.said: list[str] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> Any:
        """Gives a command of the protocol, and waits for what it answers."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters, **self._session}
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last:
            self._hear(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> Any:
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._reads], [], [], 60)
            assert ready, "the browser does not answer"
            data = os.read(self._reads, 1 << 20)
            assert data, "the browser has ended"
            self._left += data
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def _hear(self, event: Any) -> None:
        if event.get("sessionId") != self._session.get("sessionId"):
            return  # of another tab, whose server may have ended
        if event.get("method") == "Network.requestWillBeSent":
            address = event["params"]["request"]["url"]
            self.asked += [address] if not address.startswith("data:") else []  # which has its picture in itself
        if event.get("method") == "Log.entryAdded":
            self.said.append(event["params"]["entry"]["text"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.said.append(json.dumps(event["params"]["exceptionDetails"]))

    def show(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Sets the size of the window, and whether it is dark."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[feature])

    def go(self, address: str) -> None:
        """Opens an address, and waits until the page is there."""
        self.tell("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def find(self, script: str) -> Any:
        """What an expression of JavaScript is."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 60) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + seconds
        while not self.find(script):
            assert time.monotonic() < end, f"never: {script}\n{self.find('document.body.innerText')[:3000]}\n{self.said}"
            time.sleep(0.02)

    def point(self, x: float, y: float, click: bool = False) -> None:
        """Moves the mouse there, and presses it."""
        for kind in ("mouseMoved", *(("mousePressed", "mouseReleased") if click else ())):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def picture(self, file: Path, whole: bool = True) -> None:
        """Writes a PNG of the page."""
        self.tell("Page.bringToFront")
        file.write_bytes(b64decode(self.tell("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Callable[[], Tab]]:
    """A browser that ends with the block; what it gives opens a page."""
    assert CHROMIUM is not None
    to_read, to_write, own_read, own_write = *os.pipe(), *os.pipe()
    reads, writes = own_read, to_write
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(to_read), str(own_write), *command],
        pass_fds=(to_read, own_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read), os.close(own_write)
    try:
        yield lambda: Tab(reads, writes)
    finally:
        os.close(writes)
        process.terminate()
        process.wait(30)
        os.close(reads)
