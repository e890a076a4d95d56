"""Rota's tasks: one run whose planner plans them all; the last job is the phase behind them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import msgspec
import tally

from rota.common import message
from rota.common.clock import SystemClock
from rota.common.job import Phase, job_id
from rota.common.link import Link
from rota.common.message import JobRequest
from rota.common.run import Occurrence
from rota.common.store import Store
from rota.worker import Context, Jobs, TaskSpec

GROUP, TENANT, JOB = "bench", "tenant-0", "planned"

jobs = Jobs()


@jobs.planner("plan", tasks="noop")
async def plan(_: Context, count: int) -> AsyncIterator[TaskSpec]:
    """Plan a task for each job but the last."""
    for number in range(count - 1):
        yield TaskSpec(args={"number": number})


@jobs.handler("noop")
async def noop(_: Context, parts: list[dict[str, int]]) -> None:
    """Do nothing."""
    tally.hit(parts[0]["number"])


@jobs.handler("close")
async def close(_: Context, count: int) -> None:
    """Do nothing; this begins when all tasks are completed."""
    tally.hit(count - 1)


async def give(count: int) -> None:
    """Queue the run."""
    due_ms = SystemClock().now_ms()
    request = JobRequest(
        tenant=TENANT,
        job=JOB,
        handler="plan",
        args=msgspec.Raw(message.encode({"count": count})),
        phases=(Phase(handler="close"),),
    )
    run = Occurrence(
        job_id=job_id(f"{TENANT}/{JOB}", due_ms),
        tenant=TENANT,
        job=JOB,
        handler="plan",
        due_ms=due_ms,
        attempts=3,
        keep_ms=0,
        body=message.encode(request),
    )
    link = Link(tally.URL)
    await Store(link).enqueue({GROUP: [run]})
    await link.close()


def work() -> None:
    """Work until killed, as `worker run` does."""
    words = ["run", "--app", "on_tasks", "--groups", GROUP]
    os.execv(sys.executable, [sys.executable, "-m", "rota.worker", *words])  # noqa: S606 - no shell


if __name__ == "__main__":
    tally.main(lambda count: asyncio.run(give(count)), work)
