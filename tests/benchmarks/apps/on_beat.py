"""Celery beat and RedBeat: entries spread over their period. See fires.py.

`on_beat.py upsert redbeat N`, `on_beat.py beat KIND N`, `on_beat.py work KIND N`; KIND is redbeat,
which keeps its entries in Redis, or celery, which keeps them in memory.
"""

import os
import sys
from datetime import timedelta

import fires
from celery import Celery
from celery.schedules import schedule

_EVERY = timedelta(milliseconds=int(os.environ["BENCH_PERIOD_MS"]))

app = Celery("bench", broker=f"redis://127.0.0.1:{os.environ['BENCH_PORT']}/0")
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64)


@app.task(name="fire")
def fire() -> None:
    """Count it; when it was due a task is not told."""
    fires.counted()


def entries(count: int) -> dict[str, dict[str, object]]:
    """Return so many entries, by name, each at its own place within the period."""
    now = app.now()
    return {
        f"s{n}": {
            "task": "fire",
            "schedule": schedule(_EVERY),
            "last_run_at": now + n * _EVERY / count,
        }
        for n in range(count)
    }


def upsert(_: str, count: int) -> None:
    """Give RedBeat its entries."""
    from redbeat import RedBeatSchedulerEntry

    for name, entry in entries(count).items():
        RedBeatSchedulerEntry(name=name, app=app, **entry).save()
    print('"upserted"', flush=True)


def beat(kind: str, count: int) -> None:
    """Send what is due until killed."""
    if kind == "celery":
        app.conf.beat_schedule = entries(count)
    scheduler = "redbeat.RedBeatScheduler" if kind == "redbeat" else "celery.beat:Scheduler"
    app.Beat(scheduler_cls=scheduler, loglevel="ERROR", pidfile=None, quiet=True).run()


def work(_: str, __: int) -> None:
    """Work until killed."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    app.worker_main(["worker", "-P", "threads", "-c", "8", *quiet])


if __name__ == "__main__":
    sys.modules["on_beat"] = sys.modules["__main__"]
    {"upsert": upsert, "beat": beat, "work": work}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
