"""The only module that talks to Redis: connections, round trips, and what their errors mean.

redis-py repeats a command up to ten times when its reply is lost, which would push twice and pop
into the void. Here nothing is repeated: every script may be sent again by whoever sent it, because
it is a compare-and-set. Commands and blocking reads have a pool each, so that a blocked connection
never delays a renewal.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from rota.common.errors import StoreError, StoreUnavailable, UsageError
from rota.common.scripts import GATE_MS, script
from rota.common.state import Operation

REPLY_TIMEOUT = 5.0  # seconds that a command may take
LONGEST_BLOCK = 5.0  # seconds that a read may block on the server
# Answers of a server that is starting, failing over or a replica: come back later.
_AWAY = (ReadOnlyError, MasterDownError, ClusterDownError, TryAgainError)
_AWAY_WORDS = ("UNBLOCKED", "NOREPLICAS")  # for these redis-py has no class


class Call(NamedTuple):
    """One script to run on one group."""

    operation: Operation
    root: str  # the group's root key
    args: Sequence[Any]


class Link:
    """A process's connections to one store. It belongs to the event loop that uses it first.

    `gate_ms` is how long a group's gate stays open after the store may have lost writes.
    """

    def __init__(self, url: str, gate_ms: int = GATE_MS) -> None:
        self.address = redacted(url)
        self._gate_ms = gate_ms
        self._commands = self._client(url, REPLY_TIMEOUT)
        self._blocking = self._client(url, LONGEST_BLOCK + 3)

    def _client(self, url: str, timeout: float) -> Any:  # redis-py's commands have no types
        try:
            pool = ConnectionPool.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=timeout,
                socket_connect_timeout=REPLY_TIMEOUT,
                socket_keepalive=True,
            )
        except (ValueError, RedisError) as error:
            # Only up to " as ", behind which a password may follow that was taken for a port.
            reason = str(error).partition(" as ")[0]
            raise UsageError(f"ROTA_REDIS_URL {self.address}: {reason}") from None
        return Redis(connection_pool=pool)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Run the scripts in order, in one round trip; return their replies.

        Raises `StoreUnavailable` when the outcome is unknown: send the same again.
        """
        replies = await self._evalsha(calls)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            # A store that was restarted has forgotten the scripts; none after the first ran.
            await self._load({call.operation for call in calls})
            missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            again = await self._evalsha([calls[i] for i in missing])
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return self._checked(replies)

    async def _evalsha(self, calls: Sequence[Call]) -> list[Any]:
        pipe = self._commands.pipeline(transaction=False)
        for call in calls:
            sha = script(call.operation, self._gate_ms)[1]
            pipe.execute_command("EVALSHA", sha, 1, call.root, *call.args)
        return cast("list[Any]", await self._send(pipe.execute(raise_on_error=False)))

    async def _load(self, operations: set[Operation]) -> None:
        texts = [script(operation, self._gate_ms)[0] for operation in operations]
        await self.pipeline([("SCRIPT", "LOAD", text) for text in texts])

    async def command(self, *command: Any) -> Any:
        """Run one command and return its reply."""
        return await self._send(self._commands.execute_command(*command))

    async def pipeline(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands in order, in one round trip; return their replies."""
        pipe = self._commands.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        # Errors raised by redis-py here would quote the command, and with it a payload.
        return self._checked(await self._send(pipe.execute(raise_on_error=False)))

    async def block(self, *command: Any) -> Any:
        """Run a command that may block on the server for up to `LONGEST_BLOCK` seconds."""
        return await self._send(self._blocking.execute_command(*command))

    async def close(self) -> None:
        """Close every connection."""
        await self._commands.aclose()
        await self._blocking.aclose()
        await self._commands.connection_pool.disconnect()
        await self._blocking.connection_pool.disconnect()

    async def _send(self, request: Any) -> Any:
        try:
            return await request
        except (RedisError, OSError) as error:
            raise self._error(error) from error

    def _checked(self, replies: Any) -> list[Any]:
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._error(reply)
        return list(replies)

    def _error(self, error: Exception) -> StoreError:
        lost = isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError, *_AWAY))
        if lost or str(error).startswith(_AWAY_WORDS):
            return StoreUnavailable(f"store {self.address} can't be reached: {error}")
        if isinstance(error, ResponseError):
            return StoreError(f"store {self.address} refused: {error}")
        return StoreError(f"store {self.address}: {error}")


def redacted(url: str) -> str:
    """Return `url` without user name and password."""
    # By hand: in a malformed URL `urlsplit` may see a password as part of host, port or path.
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]
