"""Celery: one process with eight threads, no results kept, nothing that talks to other workers."""

import sys

import tally
from celery import Celery

app = Celery("bench", broker=tally.URL)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)


@app.task(name="noop")
def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


def enqueue(count: int) -> None:
    """Queue the jobs."""
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            noop.apply_async((number,), producer=producer)


def work() -> None:
    """Work until killed."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    app.worker_main(["worker", "-P", "threads", "-c", "8", *quiet])


if __name__ == "__main__":
    sys.modules["on_celery"] = sys.modules["__main__"]
    tally.main(enqueue, work)
