"""arq: one process, a hundred at a time, no results kept, looking for work without long pauses."""

import asyncio
from typing import Any

import tally
from arq import Worker, create_pool
from arq.connections import RedisSettings

settings = RedisSettings(port=tally.PORT)


async def noop(_: Any, number: int) -> None:
    """Do nothing."""
    tally.hit(number)


async def give(count: int) -> None:
    """Queue the jobs, a hundred at a time."""
    pool = await create_pool(settings)
    for start in range(0, count, 100):
        some = range(start, min(start + 100, count))
        await asyncio.gather(*(pool.enqueue_job("noop", n) for n in some))


def work() -> None:
    """Work until killed."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    Worker(
        functions=[noop],
        redis_settings=settings,
        max_jobs=tally.CONCURRENCY,
        poll_delay=0.02,
        keep_result=0,
    ).run()


tally.main(lambda count: asyncio.run(give(count)), work)
