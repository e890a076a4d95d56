"""Blackouts: whether an occurrence falls due in a time in which its job is kept from running.

What counts is what the clock on the wall of the job's zone shows at the due time. Moments are
milliseconds since 1970, UTC.
"""

from collections.abc import Iterable
from typing import NamedTuple

from rota.common.job import Blackout, Job
from rota.scheduler import between, once, zone

_DAY_MS = 86_400_000


class Window(NamedTuple):
    """A stretch of time in a blackout; a change of the clock cuts it, and another one follows."""

    blackout: Blackout
    start_ms: int
    end_ms: int  # not included


def blackout_at(job: Job, due_ms: int) -> Window | None:
    """Return the window that keeps back the occurrence of `job` at `due_ms`; None if none does."""
    if not job.blackouts:
        return None
    span = zone.load(job.schedule.timezone).at(due_ms)
    for blackout in job.blackouts:
        if found := _around(blackout, due_ms + span.offset):
            start, end = (wall - span.offset for wall in found)
            return Window(blackout, max(start, span.start), min(end, span.end))
    return None


def leave_time(blackouts: Iterable[Blackout]) -> bool:
    """Tell whether a week has a moment in none of the recurring ones of `blackouts`."""
    windows = [between.read(each.between) for each in blackouts if each.between]
    wall, end = 0, 8 * _DAY_MS
    while wall < end:
        found = next(filter(None, (window.around(wall) for window in windows)), None)
        if found is None:
            return True
        wall = found[1]
    return False


def _around(blackout: Blackout, wall: int) -> tuple[int, int] | None:
    if blackout.between:
        return between.read(blackout.between).around(wall)
    start, end = once.read(blackout.start), once.read(blackout.end)
    return (start, end) if start <= wall < end else None
