"""Which server serves a key in a Redis Cluster."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, RedisError

from rota.common.errors import StoreUnavailable
from rota.common.link.server import Server, Servers
from rota.common.link.topology import told
from rota.common.link.url import Address, Host


class Cluster:
    """The masters of a cluster by slot, as any of its nodes tells.

    What concerns one master leaves the others alone: while it is away, and the nodes are asked for
    its successor, keys of other masters are served from the map as it is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._met = Servers(address.entry)
        self._nodes = [self._met.at(host) for host in address.hosts]  # to ask
        self._owners: dict[int, Server] = {}
        self._lost: set[Server] = set()  # failed since the nodes were asked last
        self._asking = asyncio.Lock()
        self._random = Random()

    async def servers(self, keys: Sequence[str | None]) -> list[Server | StoreUnavailable]:
        """Return the master of each key's slot; asks the nodes only if one is unknown or lost."""
        slots = [None if key is None else key_slot(key.encode()) for key in keys]
        if any(self._doubtful(slot) for slot in slots):
            async with self._asking:
                # Whoever waited here finds that somebody else has asked.
                if any(self._doubtful(slot) for slot in slots):
                    await self._discover()
        masters = list(set(self._owners.values()))
        return [
            self._random.choice(masters) if slot is None else self._owner(slot) for slot in slots
        ]

    def known(self, key: str | None) -> Server | None:
        """Return the server of a key; None if the nodes are to be asked first."""
        slot = None if key is None else key_slot(key.encode())
        return None if slot is None or self._doubtful(slot) else self._owners[slot]

    async def lost(self, server: Server) -> None:
        """Ask the nodes before the next command to that server."""
        self._lost.add(server)
        await server.hang_up()

    def follow(self, server: Server, redirect: AskError) -> Server:
        """Return the node that is named; it is the slot's owner from now on if the slot moved.

        Only this slot changes: its former owner knows best, while other nodes may not know yet.
        """
        name = redirect.host or (server.host.name if server.host else "")
        target = self._met.at(Host(name, redirect.port))
        if isinstance(redirect, MovedError):
            self._owners[redirect.slot_id] = target
        return target

    async def close(self) -> None:
        """Close every connection."""
        await self._met.close()

    def _doubtful(self, slot: int | None) -> bool:
        if slot is None:
            return not self._owners
        return slot not in self._owners or self._owners[slot] in self._lost

    def _owner(self, slot: int) -> Server | StoreUnavailable:
        return self._owners.get(slot) or StoreUnavailable(
            f"store {self._address.shown}: no node of the cluster serves slot {slot}"
        )

    async def _discover(self) -> None:
        problems = []
        # In any order: a node that is cut off from the others would tell the same old map for ever.
        self._random.shuffle(self._nodes)
        for node in sorted(self._nodes, key=lambda node: node in self._lost):
            try:
                (ranges,) = await node.ask(("CLUSTER", "SLOTS"))
            except (RedisError, OSError) as error:
                problems.append(f"{node.host}: {told(error)}")
                await node.hang_up()
                continue
            if ranges:
                self._take(node, ranges)
                return
            problems.append(f"{node.host}: knows no slots")
        raise StoreUnavailable(
            f"store {self._address.shown} can't be reached: no node answers; " + "; ".join(problems)
        )

    def _take(self, answered: Server, ranges: list[Any]) -> None:
        owners, nodes = {}, [answered]
        for first, last, *servers in ranges:
            master, *replicas = (self._node(answered, server) for server in servers)
            owners.update(dict.fromkeys(range(first, last + 1), master))
            nodes += [master, *replicas]
        seeds = [self._met.at(host) for host in self._address.hosts]
        self._nodes = list(dict.fromkeys(nodes + seeds))
        self._owners = owners
        self._lost.clear()

    def _node(self, answered: Server, server: list[Any]) -> Server:
        name = server[0].decode() if server[0] else ""
        # A node that does not know its own address leaves it out: it is the one that was asked.
        if not name and answered.host:
            name = answered.host.name
        return self._met.at(Host(name, server[1]))
