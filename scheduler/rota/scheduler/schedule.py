"""When a job is due: plain reckoning from instant to instant, without a clock and without state.

All times are milliseconds since 1970, UTC.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from rota.common.job import Job, Schedule
from rota.scheduler import between, crontab, local, once, zone
from rota.scheduler.between import Place
from rota.scheduler.local import Local, Rule, Series
from rota.scheduler.once import Once


class Due(Protocol):
    """The due times of one job."""

    def next_after(self, ms: int) -> int | None:
        """Return the first due time strictly after `ms`, or None if there is none."""
        ...

    def last_until(self, ms: int) -> int | None:
        """Return the last due time at or before `ms`, or None if there is none."""
        ...


class Every:
    """A fixed rate: due whenever the time is `phase_ms` modulo `period_ms`."""

    __slots__ = ("_period", "_phase")

    def __init__(self, period_ms: int, phase_ms: int) -> None:
        if not 0 <= phase_ms < period_ms:
            raise ValueError(f"phase {phase_ms} ms lies outside of the period, {period_ms} ms")
        self._period = period_ms
        self._phase = phase_ms

    def next_after(self, ms: int) -> int:
        """Return the first due time strictly after `ms`."""
        return self.last_until(ms) + self._period

    def last_until(self, ms: int) -> int:
        """Return the last due time at or before `ms`."""
        return ms - (ms - self._phase) % self._period


class After:
    """A fixed delay: due a period after the last run ended, so it depends on completions."""

    __slots__ = ("_period",)

    def __init__(self, period_ms: int) -> None:
        self._period = _positive(period_ms)

    def next_after(self, ms: int) -> int:
        """Return when the job is due, if its last run ended at `ms`."""
        return ms + self._period

    def last_until(self, ms: int) -> None:
        """Return None: no due time is known before a run has ended."""


class Never:
    """No time of its own: due when another job has succeeded."""

    __slots__ = ()

    def next_after(self, ms: int) -> None:
        """Return None: nobody can tell."""

    def last_until(self, ms: int) -> None:
        """Return None: nobody can tell."""


class Shifted:
    """Due times that are all later by the same length: distances stay as they are."""

    __slots__ = ("_due", "_shift")

    def __init__(self, due: Due, shift_ms: int) -> None:
        self._due = due
        self._shift = shift_ms

    def next_after(self, ms: int) -> int | None:
        """Return the first due time strictly after `ms`, or None if there is none."""
        found = self._due.next_after(ms - self._shift)
        return None if found is None else found + self._shift

    def last_until(self, ms: int) -> int | None:
        """Return the last due time at or before `ms`, or None if there is none."""
        found = self._due.last_until(ms - self._shift)
        return None if found is None else found + self._shift


def check_cron(expression: str) -> None:
    """Check a crontab expression: five fields, or a shorthand such as `@daily`.

    Raises `ValueError` with a sentence that names the field, its value and what is allowed; also
    for an expression that can never fire.
    """
    crontab.read(expression)


def phase(ref: str, period_ms: int) -> int:
    """Return a job's place in its period, in milliseconds: spread evenly over jobs, and lasting.

    It depends on nothing but `ref` and the period, so that restarts and reloads keep it.
    """
    digest = blake2b(ref.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _positive(period_ms)


def due_of(job: Job) -> Due:
    """Return the due times of `job`.

    Raises `ValueError` for a bad expression, an unknown zone or a period below 1 ms.
    """
    due = _due(job.ref, job.schedule)
    jitter_ms = job.schedule.jitter_ms
    # Not the share that `phase` takes: places in a period and shifts are to be independent.
    return Shifted(due, phase(f"{job.ref} jitter", jitter_ms)) if jitter_ms else due


def _due(ref: str, schedule: Schedule) -> Due:
    match schedule.kind:
        case "cron" | "at":
            return _shared(schedule)
        case "between":
            window = between.read(schedule.between)
            place_ms = phase(ref, window.length_ms // 1000) * 1000  # to the second
            return _local(Place(window, place_ms), schedule, local.ONCE)
        case "every":
            own = schedule.phase_ms
            period_ms = schedule.period_ms
            return Every(period_ms, phase(ref, period_ms) if own is None else own)
        case "after":
            return After(schedule.period_ms)
        case "on":
            return Never()


@lru_cache(maxsize=4096)
def _shared(schedule: Schedule) -> Local:
    """Return what all jobs with the same schedule have in common."""
    if schedule.kind == "at":
        return _local(Once(once.read(schedule.at)), schedule, local.ONCE)
    table = crontab.read(schedule.cron)
    return _local(table, schedule, local.ONCE if table.fixed else local.AS_SHOWN)


def _local(series: Series, schedule: Schedule, usual: Rule) -> Local:
    rule = usual
    if schedule.gap or schedule.fold:
        rule = Rule(schedule.gap or usual.gap, schedule.fold or usual.fold)
    return Local(series, zone.load(schedule.timezone), rule)


def upcoming(job: Job, from_ms: int, count: int) -> list[int]:
    """Return the next due times of `job` strictly after `from_ms`, at most `count`.

    A job with a fixed delay has none to tell, since they depend on its completions.
    """
    if job.schedule.kind == "after":
        return []
    due = due_of(job)
    times: list[int] = []
    moment = due.next_after(from_ms)
    while moment is not None and len(times) < count:
        times.append(moment)
        moment = due.next_after(moment)
    return times


def _positive(period_ms: int) -> int:
    if period_ms < 1:
        raise ValueError(f"a period of {period_ms} ms is too short; at least 1 ms is needed")
    return period_ms
