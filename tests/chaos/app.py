"""The handlers of the chaos runs: each takes its time, and writes start and end to the audit."""

import asyncio
import time
import zlib

from rota.common.clock import SystemClock
from rota.worker import Context, Jobs
from tests.support import audit

jobs = Jobs()
_CLOCK = SystemClock()
_TICK = 0.02  # seconds between two looks whether the run is to end


@jobs.handler("nap")
async def nap(ctx: Context, seconds: float) -> None:
    """Take some time on the loop."""
    with audit.recorded(ctx):
        await asyncio.sleep(seconds)


@jobs.handler("grind")
def grind(ctx: Context, seconds: float) -> None:
    """Take some time in a thread; end when asked to."""
    with audit.recorded(ctx):
        end = _CLOCK.monotonic() + seconds
        while _CLOCK.monotonic() < end:
            ctx.check_cancelled()
            time.sleep(_TICK)


@jobs.handler("aside", isolation="process")
def aside(ctx: Context, seconds: float) -> None:
    """Take some time in a child process. Its ticks tell how long it ran, should it be killed."""
    with audit.recorded(ctx):
        end = _CLOCK.monotonic() + seconds
        while _CLOCK.monotonic() < end:
            audit.write(ctx, "tick")
            time.sleep(5 * _TICK)


@jobs.handler("flaky")
async def flaky(ctx: Context, seconds: float) -> None:
    """Fail at the first attempt of every third run."""
    with audit.recorded(ctx):
        await asyncio.sleep(seconds)
        if ctx.attempt == 1 and zlib.crc32(ctx.job_id.encode()) % 3 == 0:
            raise ConnectionError("as it happens")
