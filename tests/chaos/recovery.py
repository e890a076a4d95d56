"""How long it took until work went on after each fault."""

from typing import NamedTuple

from tests.chaos.history import FOREVER, History, Line


class Recovery(NamedTuple):
    """From a fault to the next start of what it hit."""

    kind: str  # worker, sched or store
    what: str  # the run or the group
    at: float  # the fault, monotonic seconds
    seconds: float


def recoveries(history: History) -> list[Recovery]:
    """Return one for each run that a fault cut off, and for each group that stood still."""
    found = []
    for line in history.of("killed", "stopped"):
        found += _of_worker(history, line) if line["role"] == "worker" else []
    for line in history.of("killed"):
        found += _of_groups(history, line["at"], "sched") if line["role"] == "sched" else []
    for line in history.of("mended"):
        found += _of_groups(history, line["at"], "store")
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


def _of_groups(history: History, at: float, kind: str) -> list[Recovery]:
    """Return the time to the first start in each group, unless another fault came before it."""
    if at >= history.moment("draining"):
        return []
    next_fault = min((f["at"] for f in history.of("fault") if f["at"] > at), default=FOREVER)
    found = []
    for group in sorted(set(history.group.values())):
        starts = (a.start for a in history.attempts if history.group.get(a.job) == group)
        after = min((start for start in starts if start >= at), default=history.over)
        if after <= next_fault:
            found.append(Recovery(kind, group, at, after - at))
    return found
