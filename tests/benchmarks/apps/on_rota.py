"""Rota: a real worker with the settings of every worker; leases, fences, fair shares, ledger on.

Each job is a run of a job of its own, of one of fifty tenants.
"""

import asyncio
import os
import sys

import msgspec
import tally

from rota.common import message
from rota.common.clock import SystemClock
from rota.common.job import job_id
from rota.common.link import Link
from rota.common.message import JobRequest
from rota.common.run import Occurrence
from rota.common.store import Store
from rota.worker import Context, Jobs

GROUP, TENANTS, BATCH = "bench", int(os.environ.get("BENCH_TENANTS", "50")), 500

jobs = Jobs()


@jobs.handler("noop")
async def noop(_: Context, number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def give(count: int) -> None:
    """Queue the jobs."""
    link = Link(tally.URL)
    store, due_ms = Store(link), SystemClock().now_ms()
    for start in range(0, count, BATCH):
        runs = [occurrence(n, due_ms) for n in range(start, min(start + BATCH, count))]
        words = (await store.enqueue({GROUP: runs}))[GROUP]
        assert {"queued"} == {word for word, _ in words}, words[0]
    await link.close()


def occurrence(number: int, due_ms: int) -> Occurrence:
    """Return the run with this number."""
    tenant, job = f"tenant-{number % TENANTS}", f"job-{number}"
    args = msgspec.Raw(message.encode({"number": number}))
    return Occurrence(
        job_id=job_id(f"{tenant}/{job}", due_ms),
        tenant=tenant,
        job=job,
        handler="noop",
        due_ms=due_ms,
        attempts=3,
        keep_ms=0,
        body=message.encode(JobRequest(tenant=tenant, job=job, handler="noop", args=args)),
    )


def work() -> None:
    """Work until killed, as `worker run` does."""
    words = ["run", "--app", "on_rota", "--groups", GROUP]
    if "BENCH_CONCURRENCY" in os.environ:
        words += ["--concurrency", str(tally.CONCURRENCY)]
    os.execv(sys.executable, [sys.executable, "-m", "rota.worker", *words])  # noqa: S606 - no shell


if __name__ == "__main__":
    tally.main(lambda count: asyncio.run(give(count)), work)
