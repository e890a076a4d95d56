"""Handlers for the benchmarks of recurring jobs."""

import asyncio
import time

import fires

from rota.common.clock import SystemClock
from rota.worker import Context, Jobs

jobs = Jobs()
clock = SystemClock()


@jobs.handler("fire")
async def fire(ctx: Context) -> None:
    """Note how late it is, in ms."""
    fires.ran(f"{ctx.tenant}/{ctx.job}", ctx.due_ms, clock.now_ms())


@jobs.handler("precise")
async def precise(ctx: Context) -> None:
    """Note how late it is, in units of 10 microseconds."""
    fires.ran(f"{ctx.tenant}/{ctx.job}", ctx.due_ms * 100, time.time_ns() // 10_000)


@jobs.handler("sleep")
async def sleep(_: Context) -> None:
    """Stay in flight."""
    await asyncio.sleep(3600)
