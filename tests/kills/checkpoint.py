"""A proxy through which one process talks to its store, and that kills it at one round trip."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import hiredis

from rota.common.scripts import script
from tests.support import calls
from tests.support.proxy import Proxy

_NO_MORE = object()  # not the usual False, which the number 0 equals


class Point(NamedTuple):
    """Where a process is killed."""

    trip: str  # what the round trip carries, scripts as `retry turn`, or else the first command
    number: int  # from 1, among those that carry the same
    executed: bool  # killed when the store has executed it; or else before the store gets it

    def __str__(self) -> str:
        return f"{'after' if self.executed else 'before'} {self.trip} no. {self.number}"


class _Connection:
    """One connection: requests are complete commands, and replies are as many as these."""

    def __init__(self) -> None:
        self.requests = hiredis.Reader(notEnoughData=_NO_MORE)
        self.replies = hiredis.Reader(notEnoughData=_NO_MORE)
        self.awaited = 0  # replies
        self.doomed = False  # whether the process is killed when they have come


class Checkpoint(Proxy):
    """Counts the round trips of a process over all its connections, and kills it at `point`.

    What is written at once is one round trip, however many commands it has.
    """

    def __init__(self, upstream: str, point: Point | None) -> None:
        super().__init__(upstream)
        self.passed = Counter[str]()
        self.struck = False
        self._point = point
        self._scripts = {script(name)[1].encode(): name for name in calls.SCRIPTS}
        self._kill: Callable[[], None] | None = None

    def guard(self, kill: Callable[[], None]) -> None:
        """Tell how the process is killed; it must not have sent anything yet."""
        self._kill = kill

    def _directions(
        self,
        near: asyncio.StreamReader,
        store: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        client: asyncio.StreamWriter,
    ) -> Sequence[Coroutine[Any, Any, None]]:
        connection = _Connection()
        return self._ask(connection, near, store), self._answer(connection, far, client)

    async def _ask(
        self, connection: _Connection, near: asyncio.StreamReader, store: asyncio.StreamWriter
    ) -> None:
        text, commands = b"", list[Any]()
        with suppress(ConnectionError):  # it was killed
            while data := await near.read(65_536):
                text += data
                connection.requests.feed(data)
                commands += _all(connection.requests)
                if connection.requests.has_data():
                    continue  # the rest of a command is under way
                here = self._is_here(commands)
                if here and self._point and not self._point.executed:
                    self._strike()
                    return
                connection.awaited, connection.doomed = len(commands), here
                store.write(text)
                text, commands = b"", []

    async def _answer(
        self, connection: _Connection, far: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await far.read(65_536):
                connection.replies.feed(data)
                connection.awaited -= len(_all(connection.replies))
                if not connection.doomed:
                    client.write(data)
                elif not connection.awaited:
                    self._strike()
                    return

    def _is_here(self, commands: list[list[bytes]]) -> bool:
        trip = self._name(commands)
        self.passed[trip] += 1
        return self._point is not None and self._point[:2] == (trip, self.passed[trip])

    def _name(self, commands: list[list[bytes]]) -> str:
        """Return the scripts of a round trip, each once, or the first of its commands."""
        names = [self._scripts[words[1]] for words in commands if words[0] == b"EVALSHA"]
        return " ".join(dict.fromkeys(names)) or commands[0][0].decode()

    def _strike(self) -> None:
        self.struck = True
        assert self._kill is not None
        self._kill()


def _all(reader: hiredis.Reader) -> list[Any]:
    """Return what has come whole."""
    return list(iter(reader.gets, _NO_MORE))
