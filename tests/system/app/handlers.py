"""The handlers of the system tests: each writes its start and its end into the audit."""

import asyncio
import time
from pathlib import Path

from rota.common.clock import SystemClock
from rota.worker import Context, Jobs
from tests.support import audit

jobs = Jobs()
_CLOCK = SystemClock()
_OFTEN = 0.005  # seconds between two looks, or two signs of life


@jobs.handler("work")
async def work(ctx: Context, seconds: float = 0.05) -> None:
    """Take some time on the loop, without using it."""
    with audit.recorded(ctx):
        await asyncio.sleep(seconds)


@jobs.handler("work-in-thread")
def work_in_thread(ctx: Context, seconds: float = 0.05) -> None:
    """Take some time in a thread."""
    with audit.recorded(ctx):
        time.sleep(seconds)


@jobs.handler("heed-in-thread")
def heed_in_thread(ctx: Context, seconds: float) -> None:
    """Take some time in a thread, and end when it is asked to."""
    with audit.recorded(ctx):
        end = _CLOCK.monotonic() + seconds
        while _CLOCK.monotonic() < end:
            ctx.check_cancelled()
            time.sleep(_OFTEN)


@jobs.handler("work-in-process", isolation="process")
def work_in_process(ctx: Context, seconds: float = 0.05) -> None:
    """Take some time in a child process, without using it."""
    with audit.recorded(ctx):
        time.sleep(seconds)


@jobs.handler("gate")
async def gate(ctx: Context, opened: str) -> None:
    """Take as long as it takes until the file `opened` is there."""
    with audit.recorded(ctx):
        while not Path(opened).exists():  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(_OFTEN)


@jobs.handler("gate-in-thread")
def gate_in_thread(ctx: Context, opened: str) -> None:
    """Do as `gate` does, in a thread, and end when it is asked to."""
    with audit.recorded(ctx):
        while not Path(opened).exists():
            ctx.check_cancelled()
            time.sleep(_OFTEN)


@jobs.handler("deaf-in-thread")
def deaf_in_thread(ctx: Context, opened: str) -> None:
    """Do as `gate` does, in a thread, and go on whatever it is told; give signs of life."""
    with audit.recorded(ctx):
        while not Path(opened).exists():
            audit.write(ctx, "alive")
            time.sleep(_OFTEN / 50)


@jobs.handler("gate-in-process", isolation="process")
def gate_in_process(ctx: Context, opened: str) -> None:
    """Do as `gate` does, in a child process."""
    with audit.recorded(ctx):
        while not Path(opened).exists():
            time.sleep(_OFTEN)


@jobs.handler("tick")
async def tick(ctx: Context) -> None:
    """Write a line as often as the loop comes round, for a while."""
    for _ in range(40):
        audit.write(ctx, "tick")
        await asyncio.sleep(_OFTEN)


@jobs.handler("flaky")
async def flaky(ctx: Context) -> None:
    """Fail at first, succeed when tried again."""
    with audit.recorded(ctx):
        if ctx.attempt == 1:
            raise RuntimeError("not at the first attempt")


@jobs.handler("compute", isolation="process")
def compute(ctx: Context, seconds: float) -> None:
    """Keep a processor busy, in a child process."""
    with audit.recorded(ctx):
        _spin(seconds)


@jobs.handler("stall")
async def stall(ctx: Context, seconds: float) -> None:
    """Block the loop itself, as no handler should."""
    with audit.recorded(ctx):
        time.sleep(seconds)  # noqa: ASYNC251 - bad manners are what it is for


def _spin(seconds: float) -> None:
    end = _CLOCK.monotonic() + seconds
    while _CLOCK.monotonic() < end:
        sum(range(1_000))
