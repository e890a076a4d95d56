"""What finds the server that serves a key, and the simplest that does: a single server.

The others are in `sentinel` and `cluster`. A topology remembers what it found until the link tells
it that a server is lost.
"""

from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import AskError

from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link.server import Server
from rota.common.link.url import Address


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


def told(error: Exception) -> str:
    """Return what an error says; some say nothing."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else repr(error))


def part_of_a_cluster(address: Address) -> StoreError:
    """Return the error for a server that redirects where nobody expected a cluster."""
    return StoreError(
        f"store {address.shown} is part of a Redis Cluster: begin ROTA_REDIS_URL with redis+cluster"
    )
