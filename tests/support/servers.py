"""Servers that a test kills, restarts and promotes: with a log on disk, or as another's replica."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from rota.common.embedded import die_with_parent, find_server, free_port
from rota.common.errors import StoreError
from rota.common.link import Link
from tests.support import waits


class Server:
    """A server on a port of its own that it keeps over restarts; used as `async with`.

    With `log` it writes down every change before it replies, without it forgets all. With a
    `master` it is that one's replica. All its files are in `folder`.
    """

    def __init__(self, folder: Path, *, log: bool = False, master: "Server | None" = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder / str(self.port)
        self._master = master
        copied = {"replicaof": f"127.0.0.1 {master.port}"} if master else {}
        self._options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes" if log else "no",
            "repl-diskless-sync-delay": "0",
            **copied,
        }
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and return when it serves what it has on disk."""
        self._folder.mkdir(exist_ok=True)
        self._launch()
        await waits.eventually(self._serves)

    def _launch(self) -> None:
        flags = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [find_server(), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads
        )

    async def kill(self) -> None:
        """Kill it at once, as `kill -9` does; harmless if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def restart(self) -> None:
        """Kill it and start it again on the same port."""
        await self.kill()
        await self.start()

    async def caught_up(self) -> None:
        """Wait until it has, as a replica, all that its master has."""
        await waits.eventually(self._has_all)

    async def promote(self) -> None:
        """Make a replica a master: from now on it misses what its master is told."""
        link = Link(self.url)
        await link.command("REPLICAOF", "NO", "ONE")
        await link.close()

    async def _serves(self) -> bool:
        return (await self._info("persistence")).get("loading") == 0

    async def _has_all(self) -> bool:
        assert self._master is not None
        told = (await self._master._info("replication"))["master_repl_offset"]
        ours = await self._info("replication")
        return bool(ours["master_link_status"] == "up" and ours["slave_repl_offset"] == told)

    async def _info(self, section: str) -> dict[str, Any]:
        link = Link(self.url)
        try:
            return dict(await link.command("INFO", section))
        except StoreError:
            return {}  # it has not come up yet
        finally:
            await link.close()

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.kill()
