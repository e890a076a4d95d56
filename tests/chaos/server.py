"""One store server that can be killed, emptied and started again on the same port."""

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

from rota.common import embedded
from rota.common.errors import StoreError
from rota.common.link import Link
from tests.chaos.ledger import CLOCK

# Below the ports that the system gives to clients: one of theirs could take ours while we are down.
# A Cluster's nodes talk on the port 10,000 above.
_PORTS = range(12_000, 22_000)
_START_SECONDS = 10.0
_random = Random()


def free_port() -> int:
    """Return a loopback port on which nobody listens, and beside which a Cluster node can work."""
    while True:
        port = _random.choice(_PORTS)
        if _free(port) and _free(port + 10_000):
            return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def ask(port: int, *command: Any) -> Any:
    """Return the reply of the server at `port` to one command."""
    link = Link(f"redis://127.0.0.1:{port}/0")
    try:
        return await link.command(*command)
    finally:
        await link.close()


class Server:
    """A redis-server with a folder of its own."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.port = free_port()
        self._folder = folder / f"server-{self.port}"
        self._options = {name.replace("_", "-"): value for name, value in options.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    async def start(self, **over: str) -> None:
        """Start it with its data; return when it answers."""
        self._folder.mkdir(exist_ok=True)
        given = {name.replace("_", "-"): value for name, value in over.items()}
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "logfile": str(self._folder / "log"),
            **self._options,
            **given,
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        await self.start_as(*flags)

    async def start_as(self, *words: str) -> None:
        """Start it with just these words on its command line; return when it answers."""
        self._process = subprocess.Popen(  # noqa: ASYNC220 - a moment that nobody waits in
            [embedded.find_server(), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the driver
            preexec_fn=embedded.die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - it only calls prctl
        )
        await self._answers()

    async def _answers(self) -> None:
        end = CLOCK.monotonic() + _START_SECONDS
        while True:
            assert self.alive, f"the server at {self.port} ended; see {self._folder}/log"
            try:
                await ask(self.port, "PING")
            except StoreError:
                assert CLOCK.monotonic() < end, f"no answer from {self.port}"
                await asyncio.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it as `kill -9` does; harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def forget(self) -> None:
        """Delete its data; it must not run."""
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "log":
                path.unlink()
