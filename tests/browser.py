"""A headless Chromium driven over its debugging pipe, for tests of pages; needs no library.

Debian's package ``chromium`` is enough. Tests that need it are skipped where there is none.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--mute-audio"),
)
TIMEOUT_S = 120.0


class Browser:
    """One Chromium with one tab; a context manager.

    Attributes
    ----------
    messages : list of str
        What the page wrote to its console, and the errors that it did not catch.
    requests : list of str
        URLs that the page asked for, but for the page itself and data inside it.
    """

    def __enter__(self) -> Browser:
        assert PROGRAM is not None
        self._profile = tempfile.TemporaryDirectory(prefix="browser", ignore_cleanup_errors=True)
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def as_3_and_4() -> None:
            # Duplicates above 4 first: a pipe may have either number already.
            ends = [os.dup(to_browser), os.dup(from_browser)]
            high = [fd if fd > 4 else os.dup(fd) for fd in ends]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        command = [PROGRAM, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            preexec_fn=as_3_and_4,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._rest, self._session = 0, b"", ""
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        os.close(self._out)
        os.close(self._in)
        self._profile.cleanup()

    def size(self, width: int, height: int = 900) -> None:
        """Set the width and height of the tab in CSS pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def emulate(self, media: str = "screen", scheme: str = "light") -> None:
        """Show the page on ``screen`` or in ``print``, in a ``light`` or a ``dark`` scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", media=media, features=[feature])

    def open(self, path: Path) -> None:
        """Load a file and wait until its scripts have run."""
        self._loaded = False
        self.messages.clear()
        self.requests.clear()
        self._call("Page.navigate", url=path.absolute().as_uri())
        self._wait(lambda: self._loaded)
        self.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 300)))")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Write a picture of the page."""
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """Print the page on A4."""
        answer = self._call(
            "Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.7
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        answers: list[dict[str, Any]] = []
        self._wait(lambda: bool(answers), answers, self._number)
        assert "error" not in answers[0], answers[0]
        result: dict[str, Any] = answers[0]["result"]
        return result

    def _wait(
        self,
        is_done: Callable[[], bool],
        answers: list[dict[str, Any]] | None = None,
        number: int = 0,
    ) -> None:
        """Read messages until one answers call `number`, or until `is_done`."""
        end = time.monotonic() + TIMEOUT_S
        while not is_done():
            assert time.monotonic() < end, "the browser does not answer"
            while b"\0" not in self._rest:
                chunk = os.read(self._in, 2**20)
                assert chunk, "the browser ended"
                self._rest += chunk
            text, _, self._rest = self._rest.partition(b"\0")
            message = json.loads(text)
            if answers is not None and message.get("id") == number:
                answers.append(message)
            self._note(message.get("method", ""), message.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled":
            self.messages.append(str([each.get("value") for each in params["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url, is_page = params["request"]["url"], params.get("type") == "Document"
            if not is_page and not url.startswith(("data:", "blob:")):
                self.requests.append(url)
