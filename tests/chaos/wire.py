"""A TCP proxy that clients know by a fixed port: it can be pointed elsewhere, slowed and frozen."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from random import Random

_CHUNK = 65_536


class Wire:
    """Forwards every connection to `target`, a loopback port."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.latency = 0.0  # seconds that each way takes at least
        self.jitter = 0.0  # seconds that it may take longer
        self.rate = 0.0  # bytes a second of each way of each connection; 0: unlimited
        self._target = target
        self._random = Random(port)
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()  # cleared while frozen
        self._open.set()
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """End all connections and accept no more; harmless before `start`."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """End all connections; new ones are accepted."""
        ending, self._serving = self._serving, set()
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def point(self, target: int) -> None:
        """Forward to another port from now on; connections to the former one end."""
        self._target = target
        await self.cut()

    def freeze(self) -> None:
        """Carry nothing any more and tell nobody, as a network does that fell apart."""
        self._open.clear()

    async def thaw(self) -> None:
        """Work again, for new connections: what the old ones lost can't be made up for."""
        self._open.set()
        await self.cut()

    def _accept(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(source, sink))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, near: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        sinks = [client]
        try:
            await self._open.wait()
            far, server = await asyncio.open_connection("127.0.0.1", self._target)
            sinks.append(server)
            pumps = [self._pump(near, server), self._pump(far, client)]
            await _first(*pumps)
        except OSError:
            pass  # the far side is down: the client hears of it by the end of its connection
        finally:
            for sink in sinks:
                sink.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if not self._open.is_set():
                    continue
                if wait := self._wait(len(data)):
                    await asyncio.sleep(wait)
                sink.write(data)
                await sink.drain()
        await self._open.wait()  # nobody hears of an end while frozen

    def _wait(self, size: int) -> float:
        transfer = size / self.rate if self.rate else 0.0
        return self.latency + self._random.random() * self.jitter + transfer


async def _first(*work: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
