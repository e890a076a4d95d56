"""Round trips: what is sent to which server, in which order replies come back, what errors mean.

Nothing is repeated whose outcome is unknown: every script may be sent again by whoever sent it,
because it is a compare-and-set. Repeated once is only what a server refused to begin: a script that
it has forgotten, a command for a slot of a cluster that has moved.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
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

from rota.common import clock
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link import server as servers
from rota.common.link.cluster import Cluster
from rota.common.link.patience import Patience
from rota.common.link.sentinel import Sentinel
from rota.common.link.server import Server
from rota.common.link.topology import Single, Topology
from rota.common.link.url import Address, Kind
from rota.common.link.wire import Wires
from rota.common.scripts import GATE_MS, script

# Somebody else may serve this by now.
_LOST = (
    RedisConnectionError,
    RedisTimeoutError,
    OSError,
    ReadOnlyError,
    MasterDownError,
    ClusterDownError,
)
_LOST_WORDS = ("UNBLOCKED", "NOREPLICAS")  # for these redis-py has no class
_MANY = 1_000  # commands in one round trip
_SCANNED = 1_000  # keys that a server looks at before it answers
# A slot of a cluster is moving: nothing was done, come back later.
_MOVING = (TryAgainError, AskError)


class Call(NamedTuple):
    """One script to run on one group."""

    operation: str  # a script's name
    root: str  # the group's root key
    args: Sequence[Any]


class _Request(NamedTuple):
    command: Sequence[Any]
    key: str | None  # tells which server; None: any
    script: bytes | None = None  # the text of the script that the command runs
    asking: bool = False  # whether a server is to serve a slot that it is still being given


class Link:
    """A process's connections to one store. It belongs to the event loop that uses it first.

    `gate_ms` is how long a group's gate stays open after the store may have lost writes.
    """

    def __init__(self, url: str, gate_ms: int = GATE_MS) -> None:
        self._gate_ms = gate_ms
        address = Address(url)
        self.address = address.shown
        servers.check(address, address.entry(*address.hosts[:1]))
        self._topology = _topology(address)
        self._patience = Patience()

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Run the scripts in order, in one round trip to each server; return their replies.

        Raises `StoreUnavailable` when the outcome of any is unknown: send the same again.
        """
        return _all_good(await self.attempt(calls))

    async def attempt(self, calls: Sequence[Call], *, apart: bool = False) -> list[Any]:
        """Run scripts as `batch` does; where a server is away, the reply is a `StoreUnavailable`.

        Raises `StoreUnavailable` only when no server answers. For what must not be lost when the
        servers of other groups are away. With `apart` a server of a cluster is away that is
        silent for a moment: groups of others do not wait until it times out. See `Patience`.
        """
        requests = [self._script_request(call) for call in calls]
        if apart and isinstance(self._topology, Cluster):
            replies = await self._replies_in_time(requests, self._topology)
        else:
            replies = await self._replies(requests)
        if all(isinstance(reply, StoreUnavailable) for reply in replies):
            return _all_good(replies)
        return [r if isinstance(r, StoreUnavailable) else _good(r) for r in replies]

    def _script_request(self, call: Call) -> _Request:
        text, sha = script(call.operation, self._gate_ms)
        return _Request(("EVALSHA", sha, 1, call.root, *call.args), call.root, text)

    async def command(self, *command: Any, key: str | None = None) -> Any:
        """Run one command and return its reply.

        It goes to the server of `key`, which is the command's first argument if not given; to any
        server if there is neither.
        """
        return _good((await self._replies([_request(command, key)]))[0])

    async def now_ms(self, key: str | None = None) -> int:
        """Return the time by the clock of the server of `key`, or of any."""
        return clock.of_store(await self.command("TIME", key=key))

    async def scan(self, pattern: str, cursor: int, *, key: str) -> tuple[int, list[str]]:
        """Return the next cursor, 0 at the end, and names that match, from the server of `key`.

        A name may come more than once. One that was there all the time is not left out, unless
        another server takes over meanwhile.
        """
        options = ("MATCH", pattern, "COUNT", _SCANNED)
        after, names = await self.command("SCAN", cursor, *options, key=key)
        return after, [name.decode() for name in names]

    async def pipeline(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands in order, in one round trip to each server; return their replies."""
        return _all_good(await self._replies([_request(command) for command in commands]))

    async def many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Do the same of however many, a thousand at a time, so that none keeps others waiting."""
        parts = [commands[i : i + _MANY] for i in range(0, len(commands), _MANY)]
        return [reply for part in parts for reply in await self.pipeline(part)]

    async def block(self, *command: Any, key: str | None = None) -> Any:
        """Run a command that may block on the server for up to `LONGEST_BLOCK` seconds."""
        return _good((await self._replies([_request(command, key)], blocking=True))[0])

    async def close(self) -> None:
        """Close every connection."""
        await self._patience.close()
        await self._topology.close()

    async def _replies(self, requests: Sequence[_Request], *, blocking: bool = False) -> list[Any]:
        """Return the replies in order, with our errors in place of those that failed."""
        replies: list[Any] = list(
            await self._topology.servers([request.key for request in requests])
        )
        parts: dict[Server, list[int]] = {}
        for i, server in enumerate(replies):
            if isinstance(server, Server):
                parts.setdefault(server, []).append(i)
        trips = [
            self._part(server, [requests[i] for i in part], blocking)
            for server, part in parts.items()
        ]
        # Nearly always there is one: no task needs to be made for it.
        answers = [await trips[0]] if len(trips) == 1 else await asyncio.gather(*trips)
        for part, answer in zip(parts.values(), answers, strict=True):
            for i, reply in zip(part, answer, strict=True):
                replies[i] = self._error(reply) if isinstance(reply, Exception) else reply
        return replies

    async def _replies_in_time(self, requests: Sequence[_Request], cluster: Cluster) -> list[Any]:
        """Return the replies as `_replies` does, with an error in place of those that are late."""
        parts: dict[Server | None, list[int]] = {}
        for i, request in enumerate(requests):
            parts.setdefault(cluster.known(request.key), []).append(i)
        answers = await self._patience.replies(
            {server: self._apart([requests[i] for i in part]) for server, part in parts.items()}
        )
        replies: list[Any] = [StoreUnavailable(f"store {self.address} can't be reached: no answer")]
        replies *= len(requests)
        for server, answer in answers.items():
            for i, reply in zip(parts[server], answer, strict=True):
                replies[i] = reply
        return replies

    async def _apart(self, requests: Sequence[_Request]) -> list[Any]:
        try:
            return await self._replies(requests)
        except StoreUnavailable as error:  # nobody knows who serves them
            return [error] * len(requests)

    async def _part(
        self, server: Server, requests: Sequence[_Request], blocking: bool
    ) -> list[Any]:
        """Return one server's replies, after following its redirections once."""
        replies = await self._sent(server, requests, blocking)
        moved: dict[Server, list[int]] = {}
        for i, reply in enumerate(replies):
            if _is_followed(requests[i], reply):
                moved.setdefault(self._topology.follow(server, reply), []).append(i)
        for target, part in moved.items():
            again = [requests[i]._replace(asking=_asks(replies[i])) for i in part]
            for i, reply in zip(part, await self._sent(target, again, blocking), strict=True):
                replies[i] = reply
        return replies

    async def _sent(
        self, server: Server, requests: Sequence[_Request], blocking: bool
    ) -> list[Any]:
        """Return one server's replies, with redis-py's errors in place of those that failed."""
        wires = server.blocking if blocking else server.commands
        try:
            replies = await _with_scripts(wires, requests)
        except (RedisError, OSError) as error:
            replies = [error] * len(requests)
        if any(_is_lost(reply) for reply in replies):
            await self._topology.lost(server)
        return replies

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, _MOVING):
            return StoreUnavailable(f"store {self.address}: keys are moving to another node")
        if _is_lost(error):
            return StoreUnavailable(f"store {self.address} can't be reached: {error}")
        refused = " refused" if isinstance(error, ResponseError) else ""
        return StoreError(f"store {self.address}{refused}: {error}")


def _topology(address: Address) -> Topology:
    if address.kind is Kind.SENTINEL:
        return Sentinel(address)
    if address.kind is Kind.CLUSTER:
        return Cluster(address)
    return Single(address)


def _request(command: Sequence[Any], key: str | None = None) -> _Request:
    if key is None and len(command) > 1:
        key = command[1].decode() if isinstance(command[1], bytes) else str(command[1])
    return _Request(command, key)


async def _with_scripts(wires: Wires, requests: Sequence[_Request]) -> list[Any]:
    """Return the replies; a server that has forgotten a script, or is new, is given it."""
    replies = await _round_trip(wires, requests)
    missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missing:
        texts = {text for i in missing if (text := requests[i].script)}
        load = [_Request(("SCRIPT", "LOAD", text), None) for text in texts]
        await _round_trip(wires, load)
        again = await _round_trip(wires, [requests[i] for i in missing])
        for i, reply in zip(missing, again, strict=True):
            replies[i] = reply
    return replies


async def _round_trip(wires: Wires, requests: Sequence[_Request]) -> list[Any]:
    if not any(request.asking for request in requests):
        return await wires.trip([request.command for request in requests])
    asked = [
        each for r in requests for each in ((("ASKING",), r.command) if r.asking else (r.command,))
    ]
    replies = iter(await wires.trip(asked))
    return [(next(replies), next(replies))[1] if r.asking else next(replies) for r in requests]


def _is_followed(request: _Request, reply: Any) -> bool:
    """Tell whether to go where a server redirects.

    Not with a script to where a slot is still going: part of the group's keys have arrived there.
    """
    if isinstance(reply, MovedError):
        return True
    return isinstance(reply, AskError) and request.script is None


def _asks(redirect: AskError) -> bool:
    return not isinstance(redirect, MovedError)


def _is_lost(reply: Any) -> bool:
    if isinstance(reply, _LOST):
        return True
    return isinstance(reply, ResponseError) and str(reply).startswith(_LOST_WORDS)


def _good(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _all_good(replies: Sequence[Any]) -> list[Any]:
    return [_good(reply) for reply in replies]
