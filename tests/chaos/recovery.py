"""How long it took until work went on after each fault."""

from typing import NamedTuple

from tests.chaos.history import FOREVER, History, Line


class Recovery(NamedTuple):
    """From a fault to the next start of what it hit; for jobs beyond what their schedule gives."""

    kind: str  # worker, sched or store
    what: str  # the run that was cut off, or the job that stood still
    at: float  # the fault, or its end for the store; monotonic seconds
    seconds: float


def recoveries(history: History) -> list[Recovery]:
    """Return one for each run that a worker lost, and for each job after a fault of the others."""
    found = []
    for line in history.of("killed", "stopped"):
        found += _of_worker(history, line) if line["role"] == "worker" else []
    for line in history.of("killed"):
        found += _of_jobs(history, line["at"], "sched") if line["role"] == "sched" else []
    for line in history.of("mended"):
        found += _of_jobs(history, line["at"], "store")
    return found


def _of_worker(history: History, fault: Line) -> list[Recovery]:
    """Return, for each run that the worker had in hand, the time to its next start, if any."""
    at = fault["at"]
    found = []
    for attempt in history.attempts:
        cut_off = attempt.start <= at <= attempt.end and attempt.owner == fault["pid"]
        if cut_off:
            again = [
                later.start
                for later in history.by_run[attempt.job_id]
                if later.fence > attempt.fence and later.start >= at
            ]
            found += [Recovery("worker", attempt.job_id, at, min(again) - at)] if again else []
    return found


def _of_jobs(history: History, at: float, kind: str) -> list[Recovery]:
    """Return how much later than by its schedule each job began again.

    It may rest for a period after the fault or after the run that outlived the fault. What another
    fault came in between of is left out.
    """
    until = history.moment("draining")
    if at >= until:
        return []
    next_fault = min((f["at"] for f in history.of("fault") if f["at"] > at), default=FOREVER)
    found = []
    for line in history.of("job"):
        attempts = history.by_job.get(line["job"], [])
        begun = min((a.start for a in attempts if a.start >= at), default=until)
        if line["kind"] != "manual" and begun <= next_fault:
            free = max([at, *(a.end for a in attempts if a.start < at)])
            late = begun - free - line["period_ms"] / 1000
            found.append(Recovery(kind, line["job"], at, max(0.0, late)))
    return found
