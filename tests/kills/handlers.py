"""The handlers of the runs during which processes are killed; each writes to the audit."""

import asyncio
import os
import time
from pathlib import Path

from rota.worker import Context, Jobs
from tests.support import audit

SHORT_LIVED = "ROTA_TEST_SHORT_LIVED"  # set where the handlers `linger` and `cling` never end
_FOREVER = 600.0  # seconds

jobs = Jobs()


@jobs.handler("work")
async def work(ctx: Context, seconds: float) -> None:
    """Take some time."""
    with audit.recorded(ctx):
        await asyncio.sleep(seconds)


@jobs.handler("fail-once")
async def fail_once(ctx: Context) -> None:
    """Fail the first time."""
    with audit.recorded(ctx):
        if ctx.attempt == 1:
            raise RuntimeError("the first time")


@jobs.handler("commit")
async def commit(ctx: Context) -> None:
    """Commit four units: a line for each, which tells where it starts."""
    with audit.recorded(ctx):
        async for unit in ctx.units(range(40), 10):
            with Path(f"{os.environ[audit.VARIABLE]}.units").open("a") as file:  # noqa: ASYNC230 - it is short
                file.write(f"{unit.start}\n")


@jobs.handler("double")
async def double(ctx: Context, n: int) -> int:
    """Return twice a number, soon."""
    with audit.recorded(ctx):
        await asyncio.sleep(0.02)
    return 2 * n


@jobs.handler("wait")
async def wait(ctx: Context) -> None:
    """End only when it is cancelled."""
    with audit.recorded(ctx):
        await asyncio.sleep(_FOREVER)


@jobs.handler("linger")
async def linger(ctx: Context) -> None:
    """Outlast the process in which it starts first; end when it is cancelled."""
    with audit.recorded(ctx):
        await asyncio.sleep(_FOREVER if SHORT_LIVED in os.environ else 0)


@jobs.handler("cling")
def cling(ctx: Context) -> None:
    """Outlast the process in which it starts first, whatever it is told."""
    with audit.recorded(ctx):
        time.sleep(_FOREVER if SHORT_LIVED in os.environ else 0)
