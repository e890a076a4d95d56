"""saq: one process, a hundred at a time."""

import asyncio
from typing import Any

import tally
from saq import Queue, Worker

queue = Queue.from_url(tally.URL)


async def noop(_: Any, *, number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def give(count: int) -> None:
    """Queue the jobs, a hundred at a time."""
    for start in range(0, count, 100):
        some = range(start, min(start + 100, count))
        await asyncio.gather(*(queue.enqueue("noop", number=n) for n in some))
    await queue.disconnect()


async def work() -> None:
    """Work until killed."""
    await Worker(queue, functions=[noop], concurrency=tally.CONCURRENCY).start()


tally.main(lambda count: asyncio.run(give(count)), lambda: asyncio.run(work()))
