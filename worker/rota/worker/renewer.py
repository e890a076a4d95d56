"""Renews leases from a thread of its own: a handler that blocks the loop keeps its lease."""

import asyncio
import threading
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.errors import StoreError
from rota.common.link import Link
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store
from rota.worker.held import HeldRun, HeldRuns

_MARGIN = 1.0  # seconds before the lease's end at which we take it for lost


class _RenewLoop(Loop):
    """One turn renews what is due; runs in the renewer's own event loop."""

    def __init__(
        self,
        *,
        store: Store,
        held: HeldRuns,
        clock: Clock,
        lose: Callable[[HeldRun], None],
        lease_ms: int,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._store = store
        self._held = held
        self._clock = clock
        self._lose = lose
        self._lease_ms = lease_ms

    async def turn(self) -> float:
        """Renew every lease of which a third is over."""
        third = self._lease_ms / 3000
        sent_at = self._clock.monotonic()
        due = [held for held in self._held.snapshot() if sent_at - held.renewed_at >= third]
        try:
            lost, unknown = await self._store.renew([held.run for held in due], self._lease_ms)
        except StoreError:
            self._give_up(due)
            raise
        for held in due:
            if held.run in lost or held.run in unknown:
                self._lose(held)
            else:
                held.renewed_at = sent_at
        return third / 2

    def _give_up(self, due: list[HeldRun]) -> None:
        now = self._clock.monotonic()
        for held in due:
            if now - held.renewed_at > self._lease_ms / 1000 - _MARGIN:
                self._lose(held)


class Renewer:
    """The thread that keeps the leases of all held runs."""

    def __init__(
        self,
        *,
        url: str,
        held: HeldRuns,
        clock: Clock,
        lose: Callable[[HeldRun], None],
        log: FilteringBoundLogger,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._url = url
        self._held = held
        self._clock = clock
        self._lose = lose
        self._log = log
        self._lease_ms = lease_ms
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Start the thread; harmless if it runs."""
        if self._thread is None:
            main = asyncio.get_running_loop()
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._main(main, ready)), name="renewer", daemon=True
            )
            self._thread.start()
            await asyncio.to_thread(ready.wait)

    async def stop(self) -> None:
        """Stop the thread and wait for it; harmless if it does not run."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def _main(self, main: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        link = Link(self._url)

        def lose(held: HeldRun) -> None:
            main.call_soon_threadsafe(self._lose, held)  # the task belongs to the main loop

        loop = _RenewLoop(
            store=Store(link),
            held=self._held,
            clock=self._clock,
            lose=lose,
            lease_ms=self._lease_ms,
            log=self._log,
        )
        await loop.start()
        ready.set()
        await self._ended.wait()
        await loop.stop()
        await link.close()
