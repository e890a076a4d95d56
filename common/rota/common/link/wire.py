"""Connections to one server: redis-py makes them and logs in, the round trips on them are ours.

For a round trip redis-py takes five times the processor's time, and a pipeline hundreds of small
steps. What is left here is: write all commands at once, count the replies.
"""

import asyncio
import select
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from rota.common import service

_STREAMS = ("_reader", "_writer")  # what a connection of redis-py's calls them, from 4 on


class Wire(asyncio.Protocol):
    """One connection, for one round trip at a time."""

    def __init__(self, connection: Any) -> None:
        """Take over a connection of redis-py's that is logged in and waits for nothing."""
        # Kept, or the writer would close the transport when it is dropped.
        self._streams = [getattr(connection, name) for name in _STREAMS]
        for name in _STREAMS:
            setattr(connection, name, None)
        self._transport: Any = self._streams[1].transport
        self._transport.set_protocol(self)
        self._poll = select.poll()
        self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._reader = hiredis.Reader(
            protocolError=RedisConnectionError, replyError=DefaultParser.parse_error
        )
        self._replies: list[Any] = []
        self._count = 0  # of replies that are waited for
        self._done: asyncio.Future[list[Any]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = False  # whether anything came since the time was looked at last
        self.closed = False

    async def trip(self, commands: Sequence[Sequence[Any]], timeout: float) -> list[Any]:
        """Return the replies, errors among them, in order.

        Raises redis-py's errors: of time if nothing comes for `timeout` seconds. Then, or when it
        is cancelled, the connection is closed: a late reply would be taken for that of others.
        """
        packed = b"".join([hiredis.pack_command(tuple(command)) for command in commands])
        loop = asyncio.get_running_loop()
        self._replies, self._count, self._done = [], len(commands), loop.create_future()
        self._heard, self._timer = False, loop.call_later(timeout, self._look, timeout)
        try:
            self._transport.write(packed)
            return await self._done
        except BaseException:
            self.close()
            raise
        finally:
            self._timer.cancel()
            self._done = None

    async def is_open(self) -> bool:
        """Return whether, as far as anybody can know here, the server still listens."""
        if not self.closed and self._poll.poll(0):
            # Nothing should come now: it is the end, most likely. Two turns and the loop knows.
            await service.give_way()
            await service.give_way()
        return not self.closed

    def close(self) -> None:
        """Close the connection; whoever waits for a reply fails."""
        self._fail(RedisConnectionError("Connection closed"))

    def data_received(self, data: bytes) -> None:
        """Take what the server sent."""
        self._heard = True
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._replies.append(reply)
        except Exception as error:  # noqa: BLE001 - what can't be read is not Redis
            self._fail(RedisConnectionError(f"Reply can't be read: {error}"))
            return
        if self._done is None or len(self._replies) > self._count:
            self._fail(RedisConnectionError("Reply that nobody waits for"))
        elif len(self._replies) == self._count and not self._done.done():
            self._done.set_result(self._replies)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone."""
        told = str(exc) if exc else "Connection closed by server."
        self._fail(RedisConnectionError(told))

    def _look(self, timeout: float) -> None:
        """Fail if nothing has come; a long answer may take its time."""
        if not self._heard:
            self._fail(RedisTimeoutError("Timeout reading from the server"))
        else:
            loop = asyncio.get_running_loop()
            self._heard, self._timer = False, loop.call_later(timeout, self._look, timeout)

    def _fail(self, error: Exception) -> None:
        if not self.closed:
            self.closed = True
            self._transport.abort()
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


class Wires:
    """The connections to one server for one purpose, made when needed and used again."""

    def __init__(self, pool: ConnectionPool, timeout: float) -> None:
        self._pool: Any = pool  # only to make connections
        self._forms = Redis(connection_pool=pool).response_callbacks  # that replies are put into
        self._timeout = timeout
        self._free: list[Wire] = []
        self._used: set[Wire] = set()

    async def trip(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the replies to commands that are sent at once, as redis-py would; see `Wire.trip`.

        That is, with dictionaries and pairs for some commands.
        """
        wire = await self._idle() or await self._open()
        self._used.add(wire)
        try:
            replies = await wire.trip(commands, self._timeout)
            return [self._formed(c[0], r) for c, r in zip(commands, replies, strict=True)]
        finally:
            self._used.discard(wire)
            if not wire.closed:
                self._free.append(wire)

    def hang_up(self, *, in_use: bool) -> None:
        """Close the connections that nobody uses, or all: then who waits for a reply fails."""
        for wire in [*self._free, *(self._used if in_use else ())]:
            wire.close()
        self._free.clear()

    def _formed(self, command: str, reply: Any) -> Any:
        if command == "EVALSHA" or isinstance(reply, Exception):
            return reply
        form = self._forms.get(command)
        return form(reply) if form else reply

    async def _idle(self) -> Wire | None:
        while self._free:
            wire = self._free.pop()
            if await wire.is_open():
                return wire
        return None

    async def _open(self) -> Wire:
        connection = self._pool.make_connection()
        await connection.connect()
        return Wire(connection)
