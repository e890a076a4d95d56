"""docket: one process, fifty at a time, looking for work without long pauses.

With a hundred at a time it runs out of connections.
"""

import asyncio
from datetime import timedelta

import tally
from docket import Docket, Worker


async def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def give(count: int) -> None:
    """Queue the jobs, a hundred at a time."""
    async with Docket(name="bench", url=tally.URL) as docket:
        docket.register(noop)
        for start in range(0, count, 100):
            some = range(start, min(start + 100, count))
            await asyncio.gather(*(docket.add(noop)(n) for n in some))


async def work() -> None:
    """Work until killed."""
    async with Docket(name="bench", url=tally.URL) as docket:
        docket.register(noop)
        often = timedelta(milliseconds=5)
        async with Worker(
            docket, concurrency=tally.CONCURRENCY, minimum_check_interval=often
        ) as worker:
            await worker.run_forever()


tally.main(lambda count: asyncio.run(give(count)), lambda: asyncio.run(work()))
