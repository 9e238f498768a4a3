"""askonce as a process: started with a configuration, asked whether it is ready, stopped or killed."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

READY_S = 60
STOP_S = 30


def free_port():
    """A port of the loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(ready, process, what, log, seconds=READY_S):
    """Waits until `ready()`; fails with the end of the log when the process ends or takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            end = f"ended with exit code {code}" if code is not None else f"was not ready after {seconds} s"
            raise RuntimeError(f"{what} {end}. Its log ends:\n{tail(log)}")
        time.sleep(0.05)


def answers(url):
    """Does `url` answer with 200?"""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def tail(log, lines=30):
    return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])


class Gateway:
    """One askonce with a folder of its own. It keeps its port and its data over a restart."""

    def __init__(self, folder, config, secrets=None, binary=None, model_dir=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.binary = binary or os.environ["ASKONCE_BIN"]
        self.model_dir = model_dir or os.environ["ASKONCE_MODEL_DIR"]
        self.config = self.folder / "askonce.yaml"
        self.config.write_text(config)
        self.log = self.folder / "askonce.log"
        self.secrets = secrets or {}
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        command = [
            self.binary, "serve", "--config", str(self.config), "--listen", f"127.0.0.1:{self.port}",
            "--data-dir", str(self.folder / "data"), "--model-dir", self.model_dir,
        ]
        with self.log.open("ab") as log:
            environment = {**os.environ, **self.secrets}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        wait_until(lambda: answers(f"{self.url}/readyz"), self.process, "askonce", self.log)
        return self

    def stop(self):
        """Asks it to end; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"askonce did not end within {STOP_S} s of SIGTERM. Its log ends:\n{tail(self.log)}") from None

    def kill(self):
        """Ends it without a word of warning."""
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process and self.process.poll() is None:
            self.stop()
