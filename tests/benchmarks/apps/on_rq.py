"""RQ: its worker that does not fork, no results kept."""

import tally
from redis import Redis
from rq import Queue, SimpleWorker

redis = Redis(port=tally.PORT)
queue = Queue("bench", connection=redis)


def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


def enqueue(count: int) -> None:
    """Queue the jobs."""
    for start in range(0, count, 500):
        some = range(start, min(start + 500, count))
        queue.enqueue_many(
            [Queue.prepare_data("on_rq.noop", args=(n,), result_ttl=0) for n in some]
        )


def work() -> None:
    """Work until killed."""
    SimpleWorker([queue], connection=redis).work(logging_level="ERROR")


if __name__ == "__main__":
    tally.main(enqueue, work)
