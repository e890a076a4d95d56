"""Settings that are right by themselves, and have no effect on the job that has them, or a bad one.

Pure: what a job comes to is known, and which of its settings were written.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType

from rota.common import duration
from rota.common.job import Job
from rota.scheduler.config.model import KINDS, JobSpec
from rota.scheduler.schedule import due_of

_BEGIN_MS: Final = 1_767_225_600_000  # 2026-01-01: from then on a calendar's gaps are looked for
_SPAN_MS: Final = 400 * 86_400_000  # a year and more
_LOOKS: Final = 2_000  # at a calendar
_CACHED: Final = 4_096  # different schedules
_DELETE: Final = "delete it"
_ATTEMPTS: Final = "write `attempts: 2` or more, or delete it"


class Idle(NamedTuple):
    """A setting, and why it is to be looked at."""

    field: str
    message: str
    advice: str


def idle(spec: JobSpec, job: Job) -> Iterator[Idle]:
    """Yield what `spec`, which comes to `job`, says in vain."""
    for name, (why, advice) in RULES.items():
        if getattr(spec, name) is not UNSET and (reason := why(job)):
            yield Idle(name, f"{name} has no effect: {reason}", advice)
    if not isinstance(spec.retry, UnsetType) and _one_attempt(job):
        rests = (spec.retry.backoff, spec.retry.max_backoff)
        if any(rest is not UNSET for rest in rests):
            yield Idle("retry", f"the backoff has no effect: {_one_attempt(job)}", _ATTEMPTS)
    written = (name for name in ("fresh_within", *KINDS) if getattr(spec, name) is not UNSET)
    place = next(written, None)
    if place and job.fresh_within_ms and (stale := _stale(job)):
        yield Idle(place, *stale)


def _no_calendar(job: Job) -> str:
    kind = job.schedule.kind
    if kind not in ("after", "on"):
        return ""
    return f"with `{kind}` there is no calendar, so nothing is missed or comes too late"


def _catches_nothing_up(job: Job) -> str:
    if job.overlap == "queue_all" or job.misfire == "all":
        return _no_calendar(job)
    return "it bounds what `overlap: queue_all` and `misfire: all` let wait; the job has neither"


def _queues_nothing(job: Job) -> str:
    kind = job.schedule.kind
    idle_ones = {"after": ("queue_one", "queue_all"), "on": ("queue_one", "queue_all", "allow")}
    if job.overlap not in idle_ones.get(kind, ()):
        return ""
    return f"with `{kind}` it is as `skip` for all but what is triggered"


def _never_rests(job: Job) -> str:
    return "" if job.pause_after_failures else "the job has no pause_after_failures"


def _no_clock(job: Job) -> str:
    kind = job.schedule.kind
    return (
        f"`{kind}` does not go by a clock on the wall" if kind in ("every", "after", "on") else ""
    )


def _one_attempt(job: Job) -> str:
    return "there is only one attempt" if job.retry.attempts == 1 and not job.phases else ""


def _splits_nothing(job: Job) -> str:
    return "" if job.tasks.max_size or job.phases else "without max_task_size nothing is split"


RULES: Final[dict[str, tuple[Callable[[Job], str], str]]] = {
    "misfire": (_no_calendar, _DELETE),
    "max_lateness": (_no_calendar, _DELETE),
    "max_catch_up": (_catches_nothing_up, _DELETE),
    "overlap": (_queues_nothing, "write `skip` or `cancel`, or delete it"),
    "probe_after": (_never_rests, "add for example `pause_after_failures: 10`, or delete it"),
    "dst": (_no_clock, _DELETE),
    "retry_on": (_one_attempt, _ATTEMPTS),
    "unsplittable": (_splits_nothing, "add `max_task_size`, or delete it"),
}
"""Setting -> why it has no effect on a job, empty if it has, and what to do."""


def _stale(job: Job) -> tuple[str, str] | None:
    """Return in words that a job becomes stale also if all its runs succeed; None if not."""
    written = duration.text(job.fresh_within_ms)
    if job.schedule.kind == "at":
        told = f"fresh_within, {written}, makes it stale for good: it is due only once"
        return told, "delete it, or write `fresh_within: null`"
    gap_ms = _gap(job)
    if not gap_ms:
        return None
    gap = duration.text(gap_ms)
    told = f"fresh_within, {written}, is too short: from one due time to the next it may be {gap}"
    return told, f"write more than {gap}, or the job becomes stale though it succeeds"


def _gap(job: Job) -> int:
    """Return a time between two due times that is as long as fresh_within or longer; else 0."""
    schedule, fresh_ms = job.schedule, job.fresh_within_ms
    if schedule.kind in ("every", "after"):
        return schedule.period_ms if schedule.period_ms >= fresh_ms else 0
    return _gap_of_calendar(_Alike(job), fresh_ms)


class _Alike:
    """A job that equals every other one that is due by the same schedule, at any place in it."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and self.job.schedule == other.job.schedule

    def __hash__(self) -> int:
        return hash(self.job.schedule)


@lru_cache(_CACHED)
def _gap_of_calendar(alike: _Alike, fresh_ms: int) -> int:
    due = due_of(alike.job)
    moment = due.next_after(_BEGIN_MS)
    for _ in range(_LOOKS):
        if moment is None or moment > _BEGIN_MS + _SPAN_MS:
            return 0
        # Nothing that lies between the two is of interest: no gap there is that long.
        last = due.last_until(moment + fresh_ms - 1)
        following = due.next_after(moment)
        if following is not None and (last is None or last <= moment):
            return following - moment
        moment = last if following is not None else None
    return 0
