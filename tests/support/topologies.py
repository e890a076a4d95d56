"""A master that sentinels manage, for real, on loopback; a cluster is in `clusters`.

with Sentinels() as sentinels:      from the main thread: nothing that is started outlives it
    ...                             Link(sentinels.url), asyncio.run(sentinels.fail_over()), ...
"""

import asyncio
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from rota.common.errors import StoreError
from rota.common.link import Link
from rota.common.scripts import GATE_MS
from rota.common.store import Store
from tests.chaos.server import Server, ask
from tests.support import probe

READY = 30.0  # seconds until everybody knows everybody, at the most
OPTIONS = {"repl_diskless_sync_delay": "0", "repl_ping_replica_period": "1"}


class Topology(ABC):
    """Several servers that make one store, in a folder that is gone with them."""

    replicas: int  # of each master

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="rota-topology-")
        self.folder = Path(self._temporary.name)
        self.servers: list[Server] = []  # those that hold data
        self._frozen: list[Server] = []

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the address for ROTA_REDIS_URL."""

    @abstractmethod
    async def ready(self) -> None:
        """Return when every server runs, is in sync, and is known to the others."""

    @abstractmethod
    async def _set_up(self) -> None:
        """Start everything."""

    def start(self) -> None:
        """Start everything; return when it is ready."""
        asyncio.run(self._set_up())
        asyncio.run(self.ready())

    def stop(self) -> None:
        """End everything."""
        for server in self.servers:
            server.kill()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()  # of part of it
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def empty(self) -> None:
        """Delete all keys and scripts, on replicas too."""
        for server in self.servers:
            if await _is_master(server):
                async with opened(f"redis://127.0.0.1:{server.port}") as store:
                    # A replica that is in sync may get what follows up to a second later.
                    *_, heard = await store.link.pipeline(
                        [("FLUSHALL",), ("SCRIPT", "FLUSH"), ("WAIT", self.replicas, 3_000)]
                    )
                assert self.replicas == heard

    async def freeze(self, server: Server) -> None:
        """Stop a server without ending it, so that it takes connections and answers nothing."""
        server.signal(signal.SIGSTOP)
        self._frozen.append(server)

    def thaw(self) -> None:
        """Let all that is frozen go on where it was."""
        for server in self._frozen:
            server.signal(signal.SIGCONT)
        self._frozen.clear()

    async def until_blocked(self, server: Server) -> None:
        """Return when a client is blocked on `server`."""

        async def is_blocking() -> bool:
            return bool((await ask(server.port, "INFO", "clients"))["blocked_clients"])

        await probe.found(is_blocking)

    async def heal(self) -> None:
        """Start again whatever died or froze; return when all is ready."""
        while self._frozen:
            self._frozen.pop().kill()
        for server in self.servers:
            if not server.alive:
                await server.start()
        await self.ready()


class Sentinels(Topology):
    """A master called `main`, two replicas, three sentinels that replace it within seconds."""

    replicas = 2

    def __init__(self) -> None:
        super().__init__()
        self.servers = [Server(self.folder, **OPTIONS) for _ in range(3)]
        self.sentinels = [Server(self.folder) for _ in range(3)]

    @property
    def url(self) -> str:
        """Return the address for ROTA_REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/main/0"

    async def _set_up(self) -> None:
        for server in self.servers:
            await server.start()
        first = self.servers[0].port
        for replica in self.servers[1:]:
            await ask(replica.port, "REPLICAOF", "127.0.0.1", first)
        await probe.found(lambda: self._synced(self.servers[0]), READY)
        for sentinel in self.sentinels:
            self._configuration(sentinel).write_text(
                f"port {sentinel.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                f"sentinel monitor main 127.0.0.1 {first} 2\n"
                "sentinel down-after-milliseconds main 500\n"
                "sentinel failover-timeout main 2000\n"
            )
            await self._start_sentinel(sentinel)

    async def heal(self) -> None:
        """Start again whatever died; takes some ten seconds if it was the master."""
        for sentinel in self.sentinels:
            if not sentinel.alive:
                await self._start_sentinel(sentinel)
        await super().heal()

    async def ready(self) -> None:
        """Return when every sentinel knows the others, and the same master with two replicas."""
        await probe.found(self._agreed, READY)
        await probe.found(self._in_sync, READY)

    def stop(self) -> None:
        """End everything; the sentinels first, who would act on the end of the others."""
        for sentinel in self.sentinels:
            sentinel.kill()
        super().stop()

    async def master(self) -> Server:
        """Return the master, as the first sentinel knows it."""
        sentinel = self.sentinels[0].port
        _, port = await ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return next(server for server in self.servers if server.port == int(port))

    async def fail_over(self) -> None:
        """Ask for another master, as an administrator does; return when there is one."""
        old = await self.master()
        await probe.found(self._starts_failover, READY)
        await self.replaced(old)

    async def replaced(self, old: Server) -> Server:
        """Return the master as soon as it is another one than `old`."""

        async def other() -> Server | None:
            master = await self.master()
            return None if master is old else master

        found = await probe.found(other, READY)
        assert found is not None
        return found

    def _configuration(self, sentinel: Server) -> Path:
        return self.folder / f"sentinel-{sentinel.port}.conf"  # it keeps there what it learns

    async def _start_sentinel(self, sentinel: Server) -> None:
        await sentinel.start_as(str(self._configuration(sentinel)), "--sentinel")

    async def _starts_failover(self) -> bool:
        try:
            await ask(self.sentinels[0].port, "SENTINEL", "FAILOVER", "main")
        except StoreError:  # none of the replicas is good enough yet, or it is under way
            return False
        return True

    async def _agreed(self) -> bool:
        told = [
            _pairs(await ask(sentinel.port, "SENTINEL", "MASTER", "main"))
            for sentinel in self.sentinels
        ]
        return 1 == len({each["port"] for each in told}) and all(
            ("2", "2", "master") == (each["num-slaves"], each["num-other-sentinels"], each["flags"])
            for each in told
        )

    async def _in_sync(self) -> bool:
        return await self._synced(await self.master())

    async def _synced(self, master: Server) -> bool:
        role, *_, replicas = await ask(master.port, "ROLE")
        return bool(b"master" == role and 2 == len(replicas))


@asynccontextmanager
async def opened(url: str, gate_ms: int = GATE_MS) -> AsyncIterator[Store]:
    """Connect to a store."""
    store = Store(Link(url, gate_ms=gate_ms))
    try:
        yield store
    finally:
        await store.link.close()


async def _is_master(server: Server) -> bool:
    return bool(server.alive and b"master" == (await ask(server.port, "ROLE"))[0])


def _pairs(flat: list[Any]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
