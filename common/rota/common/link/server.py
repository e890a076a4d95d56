"""The connections to one server, and all servers that a link has met.

redis-py repeats a command up to ten times when its reply is lost, which would push twice and pop
into the void; here it repeats nothing. Commands and blocking reads have a pool each, so that a
blocked connection never delays a renewal.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rota.common import service
from rota.common.link.url import Address, Entry, Host
from rota.common.link.wire import Wires

REPLY_TIMEOUT = 5.0  # seconds that a command may take
CONNECT_TIMEOUT = 2.0  # seconds that a connection, or a question while discovering, may take
# Seconds that a read may block on the server. A worker that is blocked on a server that died
# silently notices two seconds later: it has to follow a failover within five.
LONGEST_BLOCK = 2.0
_BLOCK_MARGIN = 2.0


class Server:
    """One server: `commands` for what is answered at once, `blocking` for what may block."""

    def __init__(self, entry: Entry, host: Host | None = None) -> None:
        self.host = host  # None for the only server of a store
        self.commands = Wires(_pool(entry, REPLY_TIMEOUT), REPLY_TIMEOUT)
        longest = LONGEST_BLOCK + _BLOCK_MARGIN
        self.blocking = Wires(_pool(entry, longest), longest)

    def __repr__(self) -> str:
        return f"Server({str(self.host)!r})"

    async def ask(self, *questions: Sequence[str]) -> list[Any]:
        """Return the raw replies to questions about who serves what, in short time.

        Raises redis-py's errors and `OSError`, of which `TimeoutError` is one.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT):
            replies = await self.commands.trip(questions)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def hang_up(self, *, in_use: bool = False) -> None:
        """Close the connections that nobody uses, or all: then who waits for a reply fails."""
        for wires in (self.commands, self.blocking):
            wires.hang_up(in_use=in_use)

    async def close(self) -> None:
        """Close every connection."""
        await self.hang_up(in_use=True)
        await service.give_way()  # the loop may end next, and would find them half closed


class Servers:
    """Every server met so far. None is dropped: an old master comes back as a replica."""

    def __init__(self, entry: Callable[[Host], Entry]) -> None:
        self._entry = entry
        self._known: dict[Host, Server] = {}

    def at(self, host: Host) -> Server:
        """Return the server that listens at `host`."""
        if host not in self._known:
            self._known[host] = Server(self._entry(host), host)
        return self._known[host]

    async def close(self) -> None:
        """Close every connection."""
        for server in list(self._known.values()):
            await server.close()


def check(address: Address, entry: Entry) -> None:
    """Raise `UsageError` if no connection can be made from `entry`; connects to nobody."""
    try:
        _pool(entry, REPLY_TIMEOUT).make_connection()
    except (ValueError, TypeError, RedisError) as error:
        # Only up to " as ", behind which a password may follow that was taken for a port.
        raise address.wrong(str(error).partition(" as ")[0]) from None


def _pool(entry: Entry, timeout: float) -> Any:  # redis-py has hardly any types
    return ConnectionPool.from_url(
        entry.url,
        **entry.login,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_keepalive=True,
    )
