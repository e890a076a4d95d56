"""Which occurrences of a job lie in a span of time, and which of them are withheld."""

from functools import lru_cache
from typing import NamedTuple

from rota.common.job import Job
from rota.scheduler.schedule import due_of
from rota.scheduler.withheld import Withhold, by_blackout

_MOST = 10_000  # occurrences that are looked at one by one


class Span(NamedTuple):
    """Occurrences that follow each other, all withheld for the same reason, or all not."""

    from_ms: int  # when the first is due
    to_ms: int  # when the last is due
    times: int  # how many these are; 0 if they are too many to be counted
    outcome: str = ""  # as which they are told if they are withheld
    detail: str = ""


def spans(job: Job, after_ms: int, until_ms: int, withhold: Withhold | None = None) -> list[Span]:
    """Return what `job` is due for after `after_ms` and until `until_ms`, the first span first.

    Without `withhold` its blackouts alone may withhold it.
    Of more than 10,000 the first are told as one span, as withheld only if all of them are.
    A job with a fixed delay is due for nothing: that depends on its completions.
    """
    due = due_of(job)
    first = due.next_after(after_ms)
    if job.schedule.kind == "after" or first is None or first > until_ms:
        return []
    last = due.last_until(until_ms)
    if last is None:
        return []
    if job.schedule.kind == "every" and not job.blackouts and not withhold:
        return [_first_part(job, first, last)]
    # What many tenants have in common is reckoned once; what is their own depends on `ref`.
    own = withhold or job.schedule.jitter_ms or job.schedule.kind in ("every", "between")
    found = (
        _walk(job, first, last, withhold or by_blackout)
        if own
        else _shared(_Alike(job), first, last)
    )
    return list(found)


def count(job: Job, from_ms: int, to_ms: int) -> int:
    """Return how many occurrences `job` has from one due time to another; 0 if too many to count.

    That is more than 10,000, where it takes to look at them one by one.
    """
    if job.schedule.kind == "every":
        return (to_ms - from_ms) // job.schedule.period_ms + 1
    due = due_of(job)
    moment: int | None = from_ms
    for number in range(_MOST):
        if moment is None or moment > to_ms:
            return number
        moment = due.next_after(moment)
    return 0


def _first_part(job: Job, first: int, last: int) -> Span:
    period_ms = job.schedule.period_ms
    return Span(first, last, (last - first) // period_ms + 1 if period_ms else 0)


def _walk(job: Job, first: int, last: int, withhold: Withhold) -> tuple[Span, ...]:
    due, found = due_of(job), list[Span]()
    moment: int | None = last
    for _ in range(_MOST):
        if moment is None or moment < first:
            break
        withheld = withhold(job, moment)
        why = withheld[:2] if withheld else ("", "")
        if found and found[-1][3:] == why:
            found[-1] = found[-1]._replace(from_ms=moment, times=found[-1].times + 1)
        else:
            found.append(Span(moment, moment, 1, *why))
        moment = due.last_until(moment - 1)
    if moment is not None and moment >= first:
        withheld = withhold(job, moment)
        why = withheld[:2] if withheld and withheld.start_ms <= first else ("", "")
        found.append(Span(*_first_part(job, first, moment)[:3], *why))
    return tuple(reversed(found))


class _Alike:
    """A job that equals every other one with the same schedule and blackouts."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._what = (job.schedule, job.blackouts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and self._what == other._what

    def __hash__(self) -> int:
        return hash(self._what)


@lru_cache(maxsize=256)
def _shared(alike: _Alike, first: int, last: int) -> tuple[Span, ...]:
    return _walk(alike.job, first, last, by_blackout)
