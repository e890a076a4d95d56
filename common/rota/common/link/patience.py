"""How long the answer of one server is waited for, while those of others are there."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from rota.common.link.server import Server

_SHORTEST = 0.25  # seconds; a server that answers takes far less

Trip = Coroutine[Any, Any, list[Any]]  # a round trip to one server; ends with its replies


class Patience:
    """Leaves out who is silent: what goes to the others must not wait until it times out.

    A round trip that takes too long goes on by itself. Until it is over, its server is asked
    nothing else here; its late replies are dropped, so what was asked is to be asked again. Then a
    server that was late gets twice the time, or one that is only slow would never be heard.
    """

    def __init__(self) -> None:
        self._late: dict[Server | None, asyncio.Task[list[Any]]] = {}
        self._limits: dict[Server | None, float] = {}  # seconds, of servers that were late

    async def replies(self, trips: Mapping[Server | None, Trip]) -> dict[Server | None, list[Any]]:
        """Return the replies of those who answer in time, and of those who fail by then.

        None stands for servers that are yet to be found.
        """
        begun: dict[Server | None, asyncio.Task[list[Any]]] = {}
        for server, trip in trips.items():
            if server in self._late:
                trip.close()
            else:
                begun[server] = asyncio.create_task(trip)
        try:
            if begun:
                longest = max(self._limits.get(server, _SHORTEST) for server in begun)
                await asyncio.wait(begun.values(), timeout=longest)
        finally:
            for server, task in begun.items():
                if not task.done():
                    self._expect(server, task)
        answered = {server: task for server, task in begun.items() if task.done()}
        for server in answered:
            self._limits.pop(server, None)
        return {server: task.result() for server, task in answered.items()}

    async def close(self) -> None:
        """End the round trips that are under way."""
        tasks = list(self._late.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _expect(self, server: Server | None, task: asyncio.Task[list[Any]]) -> None:
        limit = self._limits.pop(server, _SHORTEST)

        def over(task: asyncio.Task[list[Any]]) -> None:
            self._late.pop(server, None)
            if not task.cancelled() and not task.exception() and not _failed(task.result()):
                self._limits[server] = 2 * limit

        self._late[server] = task
        task.add_done_callback(over)


def _failed(replies: list[Any]) -> bool:
    return all(isinstance(reply, Exception) for reply in replies)
