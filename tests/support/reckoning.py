"""What becomes of occurrences by a job's policies, reckoned one by one: slow, and simple."""

from typing import NamedTuple

from rota.common.job import Job
from rota.scheduler.blackout import blackout_at
from rota.scheduler.policy import ON_TIME_MS
from rota.scheduler.schedule import due_of


class Past(NamedTuple):
    """When a job was accounted for last, and was busy; ms before now."""

    until: int
    busy: int  # 0: never
    ended: int | None  # None: it still is


class Seen(NamedTuple):
    """What came of all that was due."""

    outcomes: dict[int, str]  # by due time; `run` is one
    missed: dict[int, tuple[int, ...]]  # of each run: what it made up for


def due_times(each: Job, after_ms: int, until_ms: int) -> list[int]:
    """Return all due times in a span of time."""
    found, moment = list[int](), due_of(each).next_after(after_ms)
    while moment is not None and moment <= until_ms:
        found.append(moment)
        moment = due_of(each).next_after(moment)
    return found


def reckoned(each: Job, past: Past, now_ms: int) -> Seen:
    """Return what is to come of all that was due: one after the other, as docs/policies.md says."""
    times = due_times(each, now_ms - past.until, now_ms)
    outcomes = {t: "blackout" for t in times if blackout_at(each, t)}
    start = now_ms - past.busy
    end = now_ms if past.ended is None else now_ms - past.ended
    busy = bool(past.busy) and (past.ended is None or start < end) and each.overlap != "allow"
    overlaps = [t for t in times if t not in outcomes and busy and start <= t <= end]
    missed = [t for t in times if t not in outcomes and t not in overlaps]
    waits = {
        "skip": [],
        "queue_one": overlaps[:1],
        "queue_all": overlaps[: each.max_catch_up],
        "cancel": overlaps[-1:],
        "allow": [],
    }[each.overlap]
    outcomes |= dict.fromkeys(overlaps, "skipped") | dict.fromkeys(waits, "run")
    on_time = [t for t in missed[-1:] if t >= now_ms - ON_TIME_MS]
    if each.misfire == "all":
        outcomes |= dict.fromkeys(missed, "late")
        outcomes |= dict.fromkeys(missed[-each.max_catch_up :], "run")
    elif each.misfire == "skip":
        outcomes |= dict.fromkeys(missed, "missed") | dict.fromkeys(on_time, "run")
    else:
        outcomes |= dict.fromkeys(missed, "run")
    if each.max_lateness_ms:
        old = [t for t in times if t < now_ms - each.max_lateness_ms and outcomes[t] == "run"]
        outcomes |= dict.fromkeys(old, "late")
    made_up: dict[int, tuple[int, ...]] = {t: () for t in times if outcomes[t] == "run"}
    if each.misfire == "once":
        row: list[int] = []
        for t in [*times, now_ms + 1]:
            if t > now_ms or (t in waits and outcomes[t] == "run"):
                outcomes |= dict.fromkeys(row[:-1], "missed")
                made_up = {k: v for k, v in made_up.items() if k not in row[:-1]}
                made_up |= {row[-1]: tuple(row[:-1])} if row else {}
                row = []
            elif t in missed and outcomes[t] == "run":
                row.append(t)
    return Seen(outcomes, made_up)
