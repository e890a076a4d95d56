"""A service that a worker offers in the test's own process, and that the test holds up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from rota.worker import Context, Jobs
from tests.support import probe
from tests.support.workers import working


class Count(msgspec.Struct):
    """What an import tells."""

    source: str
    orders: int


class Service:
    """Handlers `orders.load` and so on, that a test holds up and counts."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.free = asyncio.Event()

    async def load(self, ctx: Context, source: str, limit: int) -> Count:
        """Return what it was told."""
        return Count(source, limit)

    async def refuse(self, ctx: Context) -> None:
        """Fail."""
        raise KeyError("sku-17")

    async def wait(self, ctx: Context, n: int = 0) -> int:
        """Return `n` when the test says so."""
        self.begun.append(ctx.job_id)
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled.append(ctx.job_id)
            raise
        return n

    async def twice(self, ctx: Context) -> int:
        """Fail the first time."""
        if ctx.attempt == 1:
            raise OSError("the first time")
        return ctx.attempt


@asynccontextmanager
async def serving(url: str, **options: Any) -> AsyncIterator[Service]:
    """Return a service that a worker offers."""
    service, jobs = Service(), Jobs()
    jobs.service("orders", service)
    async with working(url, jobs, **options):
        yield service


async def begun(service: Service, count: int = 1) -> str:
    """Return the last call as soon as so many have begun."""
    await probe.until(lambda: len(service.begun) >= count)
    return service.begun[-1]
