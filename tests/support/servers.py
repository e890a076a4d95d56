"""Servers that a test kills, restarts and promotes: with a log on disk, or as another's replica."""

from pathlib import Path
from types import TracebackType

from tests.chaos import server
from tests.support import waits


class Server(server.Server):
    """A server on a port of its own that it keeps over restarts; used as `async with`.

    With `log` it writes down every change before it replies, without it forgets all. With a
    `master` it is that one's replica. All its files are in `folder`.
    """

    def __init__(self, folder: Path, *, log: bool = False, master: "Server | None" = None) -> None:
        copied = {"replicaof": f"127.0.0.1 {master.port}"} if master else {}
        appended = "yes" if log else "no"
        super().__init__(folder, appendonly=appended, repl_diskless_sync_delay="0", **copied)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._master = master

    async def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.kill()
        await self.start()

    async def caught_up(self) -> None:
        """Wait until it has, as a replica, all that its master has."""
        await waits.eventually(self._has_all)

    async def promote(self) -> None:
        """Make a replica a master: from now on it misses what its master is told."""
        await server.ask(self.port, "REPLICAOF", "NO", "ONE")

    async def _has_all(self) -> bool:
        assert self._master is not None
        told = await server.ask(self._master.port, "INFO", "replication")
        ours = await server.ask(self.port, "INFO", "replication")
        in_step = ours["slave_repl_offset"] == told["master_repl_offset"]
        return bool(ours["master_link_status"] == "up" and in_step)

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
