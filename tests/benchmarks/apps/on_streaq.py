"""streaq: one process, a hundred at a time."""

import asyncio

import tally
from streaq import Worker

worker = Worker(redis_url=tally.URL, concurrency=tally.CONCURRENCY)


@worker.task(name="noop", ttl=0)
async def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def give(count: int) -> None:
    """Queue the jobs, a thousand at a time."""
    async with worker:
        for start in range(0, count, 1000):
            some = range(start, min(start + 1000, count))
            await worker.enqueue_many([noop.enqueue(n) for n in some])


tally.main(lambda count: asyncio.run(give(count)), worker.run_sync)
