"""A real browser for tests: headless Chromium, spoken to over a pipe in the DevTools protocol."""

import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root, in a container, there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing from the network
    "--remote-debugging-pipe",
)
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(event.violatedDirective + " " + event.blockedURI);
});
"""


class Browser:
    """One page of a headless Chromium; fails, and never skips, where there is none."""

    def __init__(self, folder):
        binary = next(filter(None, map(shutil.which, NAMES)), None)
        assert binary, "no Chromium is installed: `apt-get install chromium` (as .ci/run does)"
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()

        def connect():  # the browser reads from descriptor 3 and writes to 4
            low = os.dup(commands), os.dup(answers)
            os.dup2(low[0], 3)
            os.dup2(low[1], 4)

        self._process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=connect,  # noqa: PLW1509  # nothing else forks while the tests run
            pass_fds=(3, 4),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._number, self.events = b"", 0, []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=WATCH)

    def call(self, method, **parameters):
        """Send a command and wait for its answer; events are kept on the way."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 2**16)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path, *, features=(), scripts=True):
        """Show a file; `features` are pairs of a media feature and its value."""
        self.events.clear()
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        media = [{"name": name, "value": value} for name, value in features]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for("document.readyState === 'complete'")

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression, seconds=20):
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"still false: {expression}"
            time.sleep(0.02)

    @property
    def complaints(self):
        """Violations of the policy, errors, dialogs and requests that were made."""
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening")
        found = [event for event in self.events if event.get("method") in kinds]
        for event in self.events:
            if event.get("method") == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                found += [] if url.startswith(("file:", "about:", "data:")) else [url]
        return found + self.evaluate("window.violations || []")

    def close(self):
        """End the browser that was started here."""
        self._session = None
        try:
            self.call("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        self._process.wait(20)
        os.close(self._write)
        os.close(self._read)
