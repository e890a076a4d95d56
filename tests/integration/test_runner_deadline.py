"""A call that somebody waits for: its handler knows how much time is left, and gets no more."""

import asyncio
import time

import pytest

from rota.common.message import EXPIRED
from rota.common.run import Ended
from rota.worker import Context
from tests.support import workers
from tests.support.bench import bench, error, serving

CALL = workers.request(timeout_ms=60_000, attempts=3, in_time=True)


async def test_told() -> None:
    """What is left of the caller's time is less than the timeout, and goes on when it is known."""
    seen: list[float] = []

    async def handler(ctx: Context) -> None:
        seen.append(ctx.time_left)

    async with bench(serving(handler)) as table:
        await table.report(CALL, left_ms=20_000, ago=5.0)
        await table.report(CALL, left_ms=90_000)
        await table.report(CALL)
        await table.report(workers.request(timeout_ms=60_000), left_ms=20_000)

    assert 14 < seen[0] <= 15
    assert all(59 < left <= 60 for left in seen[1:])


async def test_ended() -> None:
    """An attempt ends with its caller's time, and is the last one."""

    async def handler(ctx: Context) -> None:
        await asyncio.sleep(60)

    async with bench(serving(handler)) as table:
        report = await table.report(CALL, left_ms=50)

    assert isinstance(report, Ended)
    assert ("cancelled", EXPIRED) == (report.outcome, error(report).kind)


async def test_thread() -> None:
    """A handler in a thread hears that the time is over; nobody waits for what it returns."""

    def handler(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.005)

    async with bench(serving(handler)) as table:
        report = await table.report(CALL, left_ms=50)

    assert isinstance(report, Ended)
    assert ("cancelled", EXPIRED) == (report.outcome, error(report).kind)


@pytest.mark.parametrize("ago", [0.1, 60.0])
async def test_not_begun(ago: float) -> None:
    """What was claimed in time and could not be begun in time never begins."""
    begun: list[str] = []

    async def handler(ctx: Context) -> None:
        begun.append(ctx.job_id)

    async with bench(serving(handler)) as table:
        report = await table.report(CALL, left_ms=50, ago=ago)

    assert ([], EXPIRED) == (begun, error(report).kind)
