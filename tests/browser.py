"""A page in headless Chromium, driven over a pair of pipes by the DevTools protocol; it needs no other package."""

import itertools
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")


class Page:
    """One page: what it logs, what its script says, and a person's mouse and keys."""

    def __init__(self, send_to: int, read_from: int):
        self._to, self._from, self._held = send_to, read_from, b""
        self._numbers, self._session = itertools.count(1), None
        self.problems: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call(
            "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def open(self, url: str, width: int = 1400, height: int = 1000) -> float:
        """Open a page; returns the seconds until it says that it is ready."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        start = time.monotonic()
        self._call("Page.navigate", url=url)
        self.wait("document.body?.dataset.ready === 'true'")
        return time.monotonic() - start

    def run(self, expression: str):
        """The value of an expression on the page."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(expression):
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s in vain for {expression}")
            time.sleep(0.02)

    def click(self, x: float, y: float) -> None:
        """Move the mouse there and click."""
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        time.sleep(0.3)  # plotly looks for the point below the mouse a moment after it has come to rest
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        codes = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39}
        typed = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            pressed = {
                "key": key,
                "code": key,
                "windowsVirtualKeyCode": codes[key],
                **(typed if kind == "keyDown" else {}),
            }
            self._call("Input.dispatchKeyEvent", type=kind, **pressed)

    def picture(self) -> str:
        """The page as a PNG, in base64."""
        return self._call("Page.captureScreenshot", captureBeyondViewport=True)["data"]

    def prefer(self, scheme: str) -> None:
        """Prefer "light" or "dark" colours."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def _call(self, method: str, **parameters):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _read(self) -> dict:
        while b"\0" not in self._held:
            if not select.select([self._from], [], [], 60)[0]:
                raise AssertionError("the browser does not answer")
            self._held += os.read(self._from, 1 << 20)
        message, self._held = self._held.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"]))
        if event.get("method") == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.problems.append(str(parameters["args"]))
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.problems.append(str(parameters["entry"]))
        if event.get("method") == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "about:")):
                self.problems.append(f"asked the network for {url}")


@contextmanager
def open_browser(profile):
    """A page of a browser of its own, which is ended afterwards."""
    read_commands, to = os.pipe()
    came_from, write_answers = os.pipe()
    command = [CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    # The browser reads commands from descriptor 3 and answers on 4.
    shell = ["bash", "-c", f'exec "$@" 3<&{read_commands} 4>&{write_answers}', "bash", *command]
    process = subprocess.Popen(shell, pass_fds=(read_commands, write_answers), stderr=subprocess.DEVNULL)
    os.close(read_commands)
    os.close(write_answers)
    try:
        yield Page(to, came_from)
    finally:
        process.terminate()
        process.wait(10)
        os.close(to)
        os.close(came_from)
