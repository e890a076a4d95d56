"""Which server serves a key: a single server, or the master that sentinels name.

A cluster's is in `cluster`. A topology remembers what it found until the link tells it that a
server is lost; nothing is asked as long as all goes well.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from redis.exceptions import AskError, RedisError

from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link.server import Server, Servers
from rota.common.link.url import Address, Host

CHECK_SECONDS = 1.0  # how long the sentinels' last answer is trusted without asking again


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
    """The master that the sentinels name.

    An old master that still runs takes writes for some ten seconds after it was replaced, and they
    are lost. So as long as there are commands, the sentinels are asked again every second, beside.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sentinels = [Server(address.sentinel(host), host) for host in address.hosts]
        self._met = Servers(address.entry)
        self._master: Server | None = None
        self._asking = asyncio.Lock()
        self._asked_at = 0.0  # by the event loop's clock
        self._check: asyncio.Task[None] | None = None  # under way, or the last one

    async def servers(self, keys: Sequence[str | None]) -> list[Server | StoreUnavailable]:
        """Return the master, for each key."""
        if self._master is None:
            async with self._asking:
                # Whoever waited here finds that somebody else has asked.
                self._master = self._master or await self._discover()
        elif self._now() - self._asked_at > CHECK_SECONDS and not self._is_checking:
            self._check = asyncio.create_task(self._look_again(), name="sentinel-check")
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
        if self._check is not None:
            self._check.cancel()
            await asyncio.wait([self._check])
        for sentinel in self._sentinels:
            await sentinel.close()
        await self._met.close()

    @property
    def _is_checking(self) -> bool:
        return self._check is not None and not self._check.done()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _look_again(self) -> None:
        with suppress(StoreUnavailable):  # the sentinels may be away as long as the master is not
            master, old = await self._discover(), self._master
            self._master = master
            if old not in (None, master):
                await old.hang_up(in_use=True)  # whoever is blocked there waits in vain

    async def _discover(self) -> Server:
        named, problems = await self._ask_all()
        self._asked_at = self._now()
        if named:
            _, host = max(named)  # the newest epoch: a sentinel may not know of the last failover
            master = self._met.at(host)
            try:
                ((role, *_),) = await master.ask(("ROLE",))
            except (RedisError, OSError) as error:
                await master.hang_up()
                problems.append(f"master {host}: {told(error)}")
            else:
                if role == b"master":
                    return master
                problems.append(f"{host}, their master, is a {role.decode()}")
        raise StoreUnavailable(
            f"store {self._address.shown} can't be reached: the sentinels lead to no master; "
            + "; ".join(problems)
        )

    async def _ask_all(self) -> tuple[list[tuple[int, Host]], list[str]]:
        """Return what a majority of sentinels says, or as many as answer: epoch and master."""
        named, problems = [], []
        asked = [asyncio.create_task(self._named_by(sentinel)) for sentinel in self._sentinels]
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    named.append(await answer)
                except StoreUnavailable as error:
                    problems.append(str(error))
                if len(named) > len(asked) // 2:
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return named, problems

    async def _named_by(self, sentinel: Server) -> tuple[int, Host]:
        name = self._address.master
        try:
            # In this order: when a failover ends between the two, its epoch is not yet believed.
            facts, (host, port) = await sentinel.ask(
                ("SENTINEL", "MASTER", name), ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
            )
        except (RedisError, OSError) as error:
            await sentinel.hang_up()
            raise StoreUnavailable(f"{sentinel.host}: {told(error)}") from error
        epoch = facts[facts.index(b"config-epoch") + 1]
        return int(epoch), Host(host.decode(), int(port))


def told(error: Exception) -> str:
    """Return what an error says; some say nothing."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else repr(error))


def part_of_a_cluster(address: Address) -> StoreError:
    """Return the error for a server that redirects where nobody expected a cluster."""
    return StoreError(
        f"store {address.shown} is part of a Redis Cluster: begin ROTA_REDIS_URL with redis+cluster"
    )
