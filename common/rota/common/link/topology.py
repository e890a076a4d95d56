"""Which server serves a key: a single server, or the master that sentinels name.

A cluster's is in `cluster`. A topology remembers what it found until the link tells it that a
server is lost; nothing is asked as long as all goes well.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import AskError, RedisError

from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link.server import Server, Servers
from rota.common.link.url import Address, Host


class Topology(Protocol):
    """Finds servers. Belongs to one link, and so to one event loop."""

    async def servers(self, keys: Sequence[str | None]) -> list[Server | StoreUnavailable]:
        """Return the server for each key, or why there is none; any server for None.

        Raises `StoreUnavailable` if nobody answers who could tell.
        """
        ...

    async def lost(self, server: Server) -> None:
        """Take note that a server failed, or does not serve what it was found to serve."""
        ...

    def follow(self, server: Server, redirect: AskError) -> Server:
        """Return the server to which `server` redirects; `MovedError` is an `AskError` too."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


class Single:
    """One server that serves everything, at an address that never changes."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._server = Server(address.entry())

    async def servers(self, keys: Sequence[str | None]) -> list[Server | StoreUnavailable]:
        """Return the server, for each key."""
        return [self._server] * len(keys)

    async def lost(self, server: Server) -> None:
        """Do nothing: there is no other server."""

    def follow(self, server: Server, redirect: AskError) -> Server:
        """Raise `StoreError`: the server should not be alone."""
        raise part_of_a_cluster(self._address)

    async def close(self) -> None:
        """Close every connection."""
        await self._server.close()


class Sentinel:
    """The master that a majority of sentinels agrees on, as any of them tells."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sentinels = [Server(address.sentinel(host), host) for host in address.hosts]
        self._met = Servers(address.entry)
        self._master: Server | None = None
        self._asking = asyncio.Lock()

    async def servers(self, keys: Sequence[str | None]) -> list[Server | StoreUnavailable]:
        """Return the master, for each key."""
        if self._master is None:
            async with self._asking:
                # Whoever waited here finds that somebody else has asked.
                self._master = self._master or await self._discover()
        return [self._master] * len(keys)

    async def lost(self, server: Server) -> None:
        """Ask the sentinels before the next command."""
        if self._master is server:
            self._master = None
        await server.hang_up()

    def follow(self, server: Server, redirect: AskError) -> Server:
        """Raise `StoreError`: sentinels don't manage clusters."""
        raise part_of_a_cluster(self._address)

    async def close(self) -> None:
        """Close every connection."""
        for sentinel in self._sentinels:
            await sentinel.close()
        await self._met.close()

    async def _discover(self) -> Server:
        problems = []
        for sentinel in list(self._sentinels):
            try:
                master = await self._named_by(sentinel)
            except (RedisError, OSError, StoreUnavailable) as error:
                problems.append(f"{sentinel.host}: {told(error)}")
                await sentinel.hang_up()
            else:
                # Next time the one that answered is asked first.
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return master
        raise StoreUnavailable(
            f"store {self._address.shown} can't be reached: no sentinel leads to a master; "
            + "; ".join(problems)
        )

    async def _named_by(self, sentinel: Server) -> Server:
        reply = await sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._address.master)
        if reply is None:
            raise StoreUnavailable(f"knows no master {self._address.master!r}")
        master = self._met.at(Host(reply[0].decode(), int(reply[1])))
        try:
            role = (await master.ask("ROLE"))[0]
        except (RedisError, OSError) as error:
            await master.hang_up()
            raise StoreUnavailable(f"names {master.host}: {told(error)}") from error
        if role != b"master":
            raise StoreUnavailable(f"names {master.host}, which is a {role.decode()}")
        return master


def told(error: Exception) -> str:
    """Return what an error says; some say nothing."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else repr(error))


def part_of_a_cluster(address: Address) -> StoreError:
    """Return the error for a server that redirects where nobody expected a cluster."""
    return StoreError(
        f"store {address.shown} is part of a Redis Cluster: begin ROTA_REDIS_URL with redis+cluster"
    )
