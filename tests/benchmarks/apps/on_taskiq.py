"""taskiq with its Redis list broker: one worker process, a hundred at a time, no results kept."""

import asyncio
import os
import sys

import tally
from taskiq_redis import ListQueueBroker

broker = ListQueueBroker(tally.URL)


@broker.task(task_name="noop")
async def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def give(count: int) -> None:
    """Queue the jobs, a hundred at a time."""
    await broker.startup()
    for start in range(0, count, 100):
        some = range(start, min(start + 100, count))
        await asyncio.gather(*(noop.kiq(n) for n in some))
    await broker.shutdown()


def work() -> None:
    """Work until killed."""
    words = ["worker", "on_taskiq:broker", "--workers", "1", "--log-level", "ERROR"]
    words += ["--max-async-tasks", str(tally.CONCURRENCY)]
    os.execv(sys.executable, [sys.executable, "-m", "taskiq", *words])  # noqa: S606 - no shell


if __name__ == "__main__":
    tally.main(lambda count: asyncio.run(give(count)), work)
