"""A real Redis Cluster on loopback, groups on each of its masters, and slots that move.

with Cluster() as cluster:          from the main thread: nothing that is started outlives it
    ...                             Link(cluster.url), asyncio.run(cluster.move(key, target)), ...
"""

from redis.crc import key_slot

from tests.chaos.server import Server, ask
from tests.support import probe
from tests.support.topologies import OPTIONS, READY, Topology

SLOTS = 16_384


class Cluster(Topology):
    """Three masters with a third of the slots and one replica each; dead ones are replaced."""

    replicas = 1

    def __init__(self) -> None:
        super().__init__()
        options = OPTIONS | {
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

    async def owner(self, key: str) -> Server:
        """Return the master of `key`, as the first node that runs knows it."""
        owner = await self._owner(key, next(server for server in self.servers if server.alive))
        assert owner is not None
        return owner

    async def replaced(self, key: str, old: Server) -> None:
        """Return when every other node that runs knows another master of `key` than `old`."""
        running = [server for server in self.servers if server.alive and server is not old]

        async def other() -> bool:
            return all([await self._owner(key, server) not in (old, None) for server in running])

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

    async def move(self, key: str, target: Server) -> None:
        """Move the slot of `key`, with all its keys, to `target`."""
        source = await self.begin_move(key, target)
        await self.move_keys(key, source, target)
        await self.end_move(key, source, target)

    async def _owner(self, key: str, asked: Server) -> Server | None:
        slot = key_slot(key.encode())
        for first, last, (_, port, *_), *_ in await ask(asked.port, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == port)
        return None

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


def group_on(third: int) -> str:
    """Return a group that the master of that third of the slots serves: 0, 1 or 2."""
    return next(name for name in map("group{}".format, range(100)) if third == third_of(name))


def third_of(group: str) -> int:
    """Return in which third of the slots a group is."""
    return key_slot(group.encode()) * 3 // SLOTS
