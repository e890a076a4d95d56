"""Stores of many servers that repair themselves: Sentinel and Cluster, the real ones."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from rota.common.errors import StoreError
from tests.chaos.layouts import AOF, Layout, replication
from tests.chaos.ledger import CLOCK, Ledger
from tests.chaos.server import Server, ask

_SLOTS = 16_384
_WITHIN = 40.0  # seconds that a failover may take
_TAIL = 0.2  # seconds of acknowledged writes that may not have reached the replica
_HOST = "127.0.0.1"


class Sentinels(Layout):
    """A master, two replicas and three sentinels that agree within two seconds that it is down."""

    def __init__(self, folder: Path, ledger: Ledger, random: Random) -> None:
        super().__init__(folder, ledger, random)
        self._servers = [Server(folder, **AOF) for _ in range(3)]
        self._sentinels = [Server(folder) for _ in range(3)]
        self._master = self._servers[0]

    async def start(self) -> None:
        """Start the servers, then the sentinels; return when these know each other."""
        for server in self._servers:
            await server.start()
        for server in self._servers[1:]:
            await ask(server.port, "REPLICAOF", _HOST, self._master.port)
        for sentinel in self._sentinels:
            path = self.folder / f"sentinel-{sentinel.port}.conf"
            path.write_text(
                f"port {sentinel.port}\nbind {_HOST}\ndir {self.folder}\n"
                f"sentinel monitor mymaster {_HOST} {self._master.port} 2\n"
                "sentinel down-after-milliseconds mymaster 2000\n"
                "sentinel failover-timeout mymaster 6000\n"
            )
            await sentinel.start_as(str(path), "--sentinel")
        await _until(self._complete)

    async def stop(self) -> None:
        """End everything, sentinels first."""
        for server in (*self._sentinels, *self._servers):
            server.kill()

    def url(self, side: int = 0) -> str:
        """Return the sentinels' addresses."""
        hosts = ",".join(f"{_HOST}:{sentinel.port}" for sentinel in self._sentinels)
        return f"redis+sentinel://{hosts}/mymaster/0"

    def masters(self) -> list[int]:
        """Return the port of the master that the sentinels agreed on last."""
        return [self._master.port]

    async def lose_master(self, down: float) -> None:
        """Kill the master, wait for the failover, bring the old one back as a replica."""
        old = self._master
        old.kill()
        self.ledger.note("wiped", since=CLOCK.monotonic() - _TAIL)
        await _until(self._elected)
        self.ledger.note("mended")
        await asyncio.sleep(down)
        old.forget()
        await old.start(replicaof=f"{_HOST} {self._master.port}")
        await _until(self._complete)

    async def _elected(self) -> bool:
        address = await ask(
            self._sentinels[0].port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"
        )
        known = {server.port: server for server in self._servers}
        named = known[int(address[1])]
        if named is self._master or (await replication(named.port)).get("role") != "master":
            return False
        self._master = named
        return True

    async def _complete(self) -> bool:
        for sentinel in self._sentinels:
            fields = await ask(sentinel.port, "SENTINEL", "MASTER", "mymaster")
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            others = (pairs[b"num-slaves"], pairs[b"num-other-sentinels"], pairs[b"flags"])
            if others != (b"2", b"2", b"master"):
                return False
        return bool((await replication(self._master.port)).get("connected_slaves") == 2)


class Cluster(Layout):
    """Three masters with a replica each."""

    def __init__(self, folder: Path, ledger: Ledger, random: Random) -> None:
        super().__init__(folder, ledger, random)
        options = AOF | {"cluster_enabled": "yes", "cluster_node_timeout": "2000"}
        self._nodes = [Server(folder, **options) for _ in range(6)]
        self._masters = self._nodes[:3]

    async def start(self) -> None:
        """Start the nodes and make them one cluster."""
        for node in self._nodes:
            await node.start()
        first, *others = self._nodes
        for node in others:
            await ask(first.port, "CLUSTER", "MEET", _HOST, node.port)
        for number, node in enumerate(self._masters):
            low, high = _SLOTS * number // 3, _SLOTS * (number + 1) // 3 - 1
            await ask(node.port, "CLUSTER", "ADDSLOTSRANGE", low, high)
        await _until(self._met)
        for master, replica in zip(self._masters, self._nodes[3:], strict=True):
            name = await ask(master.port, "CLUSTER", "MYID")
            await ask(replica.port, "CLUSTER", "REPLICATE", name)
        await _until(self._whole)

    async def stop(self) -> None:
        """End all nodes."""
        for node in self._nodes:
            node.kill()

    def url(self, side: int = 0) -> str:
        """Return the addresses of all nodes."""
        return "redis+cluster://" + ",".join(f"{_HOST}:{node.port}" for node in self._nodes)

    def masters(self) -> list[int]:
        """Return the ports of the nodes that were masters when last looked at."""
        return [node.port for node in self._masters]

    async def lose_master(self, down: float) -> None:
        """Kill one master after the other; each comes back as a replica of its successor."""
        old = self._masters.pop(0)
        old.kill()
        self.ledger.note("wiped", since=CLOCK.monotonic() - _TAIL)
        await _until(self._elected)
        self.ledger.note("mended")
        await asyncio.sleep(down)
        await old.start()
        await _until(self._whole)

    async def _met(self) -> bool:
        infos = [await ask(node.port, "CLUSTER", "INFO") for node in self._nodes]
        return all(b"cluster_known_nodes:6" in i and b"cluster_state:ok" in i for i in infos)

    async def _elected(self) -> bool:
        up = [node for node in self._nodes if node.alive]
        roles = {node: await ask(node.port, "ROLE") for node in up}
        states = [await ask(node.port, "CLUSTER", "INFO") for node in up]
        masters = [node for node, role in roles.items() if role[0] == b"master"]
        if len(masters) < 3 or not all(b"cluster_state:ok" in state for state in states):
            return False
        self._masters += [node for node in masters if node not in self._masters]
        return True

    async def _whole(self) -> bool:
        if not await self._met():
            return False
        roles = [await ask(node.port, "ROLE") for node in self._nodes]
        linked = [role for role in roles if role[0] == b"slave" and role[3] == b"connected"]
        return len(linked) == 3


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    end = CLOCK.monotonic() + _WITHIN
    while True:
        try:
            if await holds():
                return
        except StoreError:
            pass  # one of them is down, or a replica, for the moment
        assert CLOCK.monotonic() < end, f"not within {_WITHIN} s: {holds}"
        await asyncio.sleep(0.1)
