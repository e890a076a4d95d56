"""Where the store is: one server, or a master with replicas that clients reach by fixed ports."""

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from random import Random
from typing import Any

from rota.common.errors import StoreError
from tests.chaos.ledger import CLOCK, Ledger
from tests.chaos.server import Server, ask, free_port
from tests.chaos.wire import Wire

AOF = {"appendonly": "yes", "appendfsync": "everysec"}
NEVER_BEFORE = float("-inf")
_SYNC_SECONDS = 20.0


class Layout(ABC):
    """A store, as services reach it and as faults break it."""

    def __init__(self, folder: Path, ledger: Ledger, random: Random) -> None:
        self.folder = folder
        self.ledger = ledger
        self.random = random

    @abstractmethod
    async def start(self) -> None:
        """Start it; return when it takes writes."""

    @abstractmethod
    async def stop(self) -> None:
        """End it."""

    @abstractmethod
    def url(self, side: int = 0) -> str:
        """Return the address for services on one of two sides, 0 or 1."""

    @abstractmethod
    def masters(self) -> list[int]:
        """Return the ports of the servers that hold the data now."""


class Single(Layout):
    """One server, reached through a wire."""

    options = AOF

    def __init__(self, folder: Path, ledger: Ledger, random: Random) -> None:
        super().__init__(folder, ledger, random)
        self.server = Server(folder, **self.options)
        self.wire = Wire(free_port(), self.server.port)

    async def start(self) -> None:
        """Start the server and the wire."""
        await self.server.start()
        await self.wire.start()

    async def stop(self) -> None:
        """End both."""
        await self.wire.stop()
        self.server.kill()

    def url(self, side: int = 0) -> str:
        """Return the server's own address: a proxy in between would only cost time."""
        return f"redis://127.0.0.1:{self.server.port}/0"

    def masters(self) -> list[int]:
        """Return the only port."""
        return [self.server.port]

    async def restart(self, *, down: float, empty: bool) -> None:
        """Kill the server; start it `down` seconds later, with its data or empty."""
        self.server.kill()
        if empty:
            self.ledger.note("wiped", since=NEVER_BEFORE)
        await asyncio.sleep(down)
        if empty:
            self.server.forget()
        await self.server.start()
        self.ledger.note("mended")


class Volatile(Single):
    """One server that keeps nothing."""

    options = {"appendonly": "no"}  # noqa: RUF012 - a constant


class Wired(Single):
    """One server that is reached through the wire alone."""

    def url(self, side: int = 0) -> str:
        """Return the wire's address."""
        return f"redis://127.0.0.1:{self.wire.port}/0"


class Node(Server):
    """A server of a replicated store, and the wire through which its replicas reach it."""

    def __init__(self, folder: Path, **options: str) -> None:
        super().__init__(folder, **options)
        self.inner = Wire(free_port(), self.port)

    async def follow(self, master: "Node") -> None:
        """Become a replica of `master`."""
        await ask(self.port, "REPLICAOF", "127.0.0.1", master.inner.port)

    async def synced(self) -> None:
        """Return when it has its master's data."""
        end = CLOCK.monotonic() + _SYNC_SECONDS
        while (await replication(self.port)).get("master_link_status") != "up":
            assert CLOCK.monotonic() < end, f"the replica at {self.port} does not get in sync"
            await asyncio.sleep(0.05)


class Replicated(Layout):
    """A master and its replicas. Clients on either side have a fixed port each."""

    replicas = 1
    options = AOF | {"repl_diskless_sync_delay": "0", "repl_ping_replica_period": "1"}

    def __init__(self, folder: Path, ledger: Ledger, random: Random) -> None:
        super().__init__(folder, ledger, random)
        self.nodes = [Node(folder, **self.options) for _ in range(self.replicas + 1)]
        self.master = self.nodes[0]
        self.fronts = [Wire(free_port(), self.master.port) for _ in range(2)]

    async def start(self) -> None:
        """Start all servers, replicas in sync."""
        for node in self.nodes:
            await node.start()
            await node.inner.start()
        for node in self.nodes[1:]:
            await node.follow(self.master)
            await node.synced()
        for front in self.fronts:
            await front.start()

    async def stop(self) -> None:
        """End everything."""
        for front in self.fronts:
            await front.stop()
        for node in self.nodes:
            await node.inner.stop()
            node.kill()

    def url(self, side: int = 0) -> str:
        """Return the fixed address of that side's clients."""
        return f"redis://127.0.0.1:{self.fronts[side].port}/0"

    def masters(self) -> list[int]:
        """Return the master's port."""
        return [self.master.port]

    async def fail_over(self, lag: float) -> None:
        """Kill the master after `lag` seconds without replication; promote a replica."""
        old, new = self.master, self._successor()
        since = CLOCK.monotonic()
        old.inner.freeze()
        await asyncio.sleep(lag)
        old.kill()
        self.ledger.note("wiped", since=since)
        await self._promote(new)
        for front in self.fronts:
            await front.point(new.port)
        self.ledger.note("mended")
        await old.inner.thaw()
        old.forget()
        await old.start()
        await old.follow(new)
        await old.synced()

    async def split(self, seconds: float) -> None:
        """Cut off the master with the clients of side 1; promote a replica for side 0."""
        old, new = self.master, self._successor()
        since = CLOCK.monotonic()
        old.inner.freeze()
        await self._promote(new)
        self.ledger.note("wiped", since=since)
        for node in self.nodes:
            if node not in (old, new):
                await node.follow(new)
        await self.fronts[0].point(new.port)
        self.ledger.note("mended")
        await asyncio.sleep(seconds)
        await self.fronts[1].point(new.port)
        await old.inner.thaw()
        await old.follow(new)
        await old.synced()

    def _successor(self) -> Node:
        return self.random.choice([node for node in self.nodes if node is not self.master])

    async def _promote(self, node: Node) -> None:
        await ask(node.port, "REPLICAOF", "NO", "ONE")
        self.master = node


class Strict(Replicated):
    """Three servers; one that loses both replicas takes no writes after 10 s."""

    replicas = 2
    options = Replicated.options | {"min_replicas_to_write": "1", "min_replicas_max_lag": "10"}


async def replication(port: int) -> dict[str, Any]:
    """Return what a server says of its replication; nothing if it does not answer."""
    try:
        info: dict[str, Any] = await ask(port, "INFO", "replication")
    except StoreError:
        return {}
    return info
