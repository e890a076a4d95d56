"""Real set-ups of several servers on loopback: a master that sentinels manage, and a cluster.

sentinels = Sentinels()
sentinels.start()           from the main thread: nothing that is started outlives it
...                         Link(sentinels.url), asyncio.run(sentinels.fail_over()), ...
sentinels.stop()
"""

import asyncio
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from rota.common.errors import StoreError
from tests.chaos.server import Server, ask
from tests.support import probe

SLOTS = 16_384
READY = 30.0  # seconds until everybody knows everybody, at the most
_OPTIONS = {"repl_diskless_sync_delay": "0", "repl_ping_replica_period": "1"}


class Topology(ABC):
    """Several servers that make one store, in a folder that is gone with them."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="rota-topology-")
        self.folder = Path(self._temporary.name)
        self.servers: list[Server] = []  # those that hold data

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

    async def empty(self) -> None:
        """Delete all keys and scripts."""
        for server in self.servers:
            if await _is_master(server):
                await ask(server.port, "FLUSHALL")
                await ask(server.port, "SCRIPT", "FLUSH")

    async def heal(self) -> None:
        """Start again whatever was killed; return when all is ready."""
        for server in self.servers:
            if not server.alive:
                await server.start()
        await self.ready()


class Sentinels(Topology):
    """A master called `main`, two replicas, three sentinels that replace it within seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.servers = [Server(self.folder, **_OPTIONS) for _ in range(3)]
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
            file = self.folder / f"sentinel-{sentinel.port}.conf"
            file.write_text(
                f"port {sentinel.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                f"sentinel monitor main 127.0.0.1 {first} 2\n"
                "sentinel down-after-milliseconds main 500\n"
                "sentinel failover-timeout main 2000\n"
            )
            await sentinel.start_as(str(file), "--sentinel")

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


class Cluster(Topology):
    """Three masters with a third of the slots and one replica each; dead ones are replaced."""

    def __init__(self) -> None:
        super().__init__()
        options = _OPTIONS | {
            "cluster_enabled": "yes",
            "cluster_node_timeout": "1000",
            "cluster_require_full_coverage": "no",
            "cluster_replica_validity_factor": "0",
            "cluster_allow_replica_migration": "no",
        }
        self.servers = [Server(self.folder, **options) for _ in range(6)]

    @property
    def url(self) -> str:
        """Return the address for ROTA_REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])
        return f"redis+cluster://{hosts}"

    async def _set_up(self) -> None:
        for server in self.servers:
            await server.start()
        masters, replicas = self.servers[:3], self.servers[3:]
        bounds = [SLOTS * i // 3 for i in range(4)]
        for i, master in enumerate(masters):
            await ask(master.port, "CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
            await ask(master.port, "CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for server in self.servers[1:]:
            await ask(masters[0].port, "CLUSTER", "MEET", "127.0.0.1", server.port)
        await probe.found(self._met, READY)
        for master, replica in zip(masters, replicas, strict=True):
            await ask(replica.port, "CLUSTER", "REPLICATE", await self.name(master))

    async def ready(self) -> None:
        """Return when every node sees every slot served by a master whose replica is in sync."""
        await probe.found(self._covered, READY)

    async def name(self, server: Server) -> str:
        """Return the id by which the nodes know `server`."""
        name: bytes = await ask(server.port, "CLUSTER", "MYID")
        return name.decode()

    async def owner(self, key: str, asked: Server | None = None) -> Server:
        """Return the master of `key`, as `asked` or else the first node that runs knows it."""
        slot = key_slot(key.encode())
        node = asked or next(server for server in self.servers if server.alive)
        for first, last, (_, port, *_), *_ in await ask(node.port, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    async def replaced(self, key: str, old: Server) -> None:
        """Return when every running node knows another master of `key` than `old`."""

        async def other() -> bool:
            running = [server for server in self.servers if server.alive]
            return all([await self.owner(key, server) is not old for server in running])

        await probe.found(other, READY)

    async def begin_move(self, key: str, target: Server) -> Server:
        """Open the slot of `key` for its way to `target`; return where it comes from."""
        slot, source = key_slot(key.encode()), await self.owner(key)
        await ask(target.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", await self.name(source))
        await ask(source.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", await self.name(target))
        return source

    async def move_keys(self, key: str, source: Server, target: Server, most: int = 10_000) -> int:
        """Move up to `most` keys of the slot of `key`; return how many."""
        slot = key_slot(key.encode())
        names = await ask(source.port, "CLUSTER", "GETKEYSINSLOT", slot, most)
        if names:
            where = ("127.0.0.1", target.port)
            await ask(source.port, "MIGRATE", *where, "", 0, 5_000, "KEYS", *names)
        return len(names)

    async def end_move(self, key: str, source: Server, target: Server) -> None:
        """Give the slot of `key`, which is empty at `source`, to `target`."""
        slot, name = key_slot(key.encode()), await self.name(target)
        for server in (target, source):
            await ask(server.port, "CLUSTER", "SETSLOT", slot, "NODE", name)

    async def _met(self) -> bool:
        known = [await ask(server.port, "CLUSTER", "NODES") for server in self.servers]
        return all(6 == len(lines.splitlines()) and b"handshake" not in lines for lines in known)

    async def _covered(self) -> bool:
        for server in self.servers:
            info = await ask(server.port, "CLUSTER", "INFO")
            ranges = await ask(server.port, "CLUSTER", "SLOTS")
            if b"cluster_state:ok" not in info or any(4 != len(r) for r in ranges):
                return False
            role, *rest = await ask(server.port, "ROLE")
            if not (rest[2] == b"connected" if role == b"slave" else 1 == len(rest[1])):
                return False
        return True


async def _is_master(server: Server) -> bool:
    return bool(server.alive and b"master" == (await ask(server.port, "ROLE"))[0])


def _pairs(flat: list[Any]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
