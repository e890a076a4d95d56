"""A handler that ends when the test says so."""

import asyncio

from rota.common.clock import SystemClock
from rota.worker import Context, Jobs
from tests.support import probe
from tests.support.builders import HANDLER


class Gate:
    """Jobs whose handler begins, tells so, and ends when the gate is open."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.open = asyncio.Event()
        self.begun: list[Context] = []
        self.cancelled_ms: list[int] = []  # wall time
        self.jobs.handler(HANDLER)(self._pass)

    async def begins(self, count: int = 1, within: float = 10.0) -> None:
        """Return when so many runs have begun in all."""
        await probe.until(lambda: len(self.begun) >= count, within)

    async def _pass(self, ctx: Context) -> None:
        self.begun.append(ctx)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled_ms.append(SystemClock().now_ms())
            raise
