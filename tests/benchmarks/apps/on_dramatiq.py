"""dramatiq: one process with its eight threads."""

import time

import dramatiq
import tally
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(port=tally.PORT)
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="noop")
def noop(number: int) -> None:
    """Do nothing."""
    tally.hit(number)


def enqueue(count: int) -> None:
    """Queue the jobs."""
    for number in range(count):
        noop.send(number)


def work() -> None:
    """Work until killed."""
    dramatiq.Worker(broker, worker_threads=8).start()
    while True:
        time.sleep(1)


tally.main(enqueue, work)
