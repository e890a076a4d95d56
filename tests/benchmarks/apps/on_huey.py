"""huey: threads, no results kept."""

import tally
from huey import RedisHuey

huey = RedisHuey("bench", port=tally.PORT, results=False)


@huey.task(name="noop")
def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


def enqueue(count: int) -> None:
    """Queue the jobs."""
    for number in range(count):
        noop(number)


def work() -> None:
    """Work until killed."""
    huey.create_consumer(workers=4, worker_type="thread", periodic=False).run()


tally.main(enqueue, work)
