"""A TCP proxy in front of a store, that can lose replies, swallow them, or be cut off."""

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class Proxy:
    """Forwards every connection to the store at `upstream`; used as `async with`.

    `lose_reply` lets the next request through and cuts the connection in place of its reply;
    `swallow` lets requests through and keeps all replies back, as a half-open connection does;
    `cut` ends all connections and refuses new ones until `mend`.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._losing = False
        self._swallowing = False
        self._server: asyncio.Server | None = None
        self._port = 0  # chosen by the system at first, the same after a cut
        self._pumps: set[asyncio.Task[None]] = set()
        self.replies_lost = 0

    @property
    def url(self) -> str:
        """Return the address to use in place of the store's."""
        return f"redis://127.0.0.1:{self._port}/0"

    def lose_reply(self) -> None:
        """Lose the next reply, and with it the connection."""
        self._losing = True

    def swallow(self, on: bool = True) -> None:
        """Keep all replies back from now on, or let them through again."""
        self._swallowing = on

    async def cut(self) -> None:
        """End every connection and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self._pumps.clear()

    async def mend(self) -> None:
        """Accept connections again, at the same address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cut()

    async def _serve(self, near: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        far, store = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)

        def close(_: object) -> None:
            client.close()
            store.close()

        for direction in self._directions(near, store, far, client):
            pump = asyncio.create_task(direction)
            pump.add_done_callback(close)
            self._pumps.add(pump)

    def _directions(
        self,
        near: asyncio.StreamReader,
        store: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        client: asyncio.StreamWriter,
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what carries the requests of a connection, and what carries its replies."""
        return self._pump(near, store, replies=False), self._pump(far, client, replies=True)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, replies: bool
    ) -> None:
        while data := await source.read(65_536):
            if replies and self._losing:
                self._losing = False
                self.replies_lost += 1
                return
            if not (replies and self._swallowing):
                sink.write(data)
                await sink.drain()
