"""Which past occurrences a backfill runs, and how somebody asks for one. See `backfiller`."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec

from rota.common import clock
from rota.common.backfills import Backfill, Backfills
from rota.common.catalog import Catalog
from rota.common.errors import NotFound, Refused, UsageError
from rota.common.job import Job
from rota.common.link import Link
from rota.scheduler import why
from rota.scheduler.applier import user
from rota.scheduler.schedule import due_of
from rota.scheduler.withheld import by_blackout

MOST = 10_000  # runs of one backfill


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill as it was asked for, or as it stands."""

    job: str  # TENANT/JOB
    number: int  # part of the job_id of its runs
    first: str  # when its first occurrence was due, and its last
    last: str
    runs: int
    enqueued: int  # of these
    by: str
    since: str
    already: bool = False  # whether it was under way before somebody asked for it


def asked(ref: str, fill: Backfill, *, already: bool = False) -> Asked:
    """Return a backfill as commands show it."""
    return Asked(
        job=ref,
        number=fill.number,
        first=clock.iso(fill.from_ms),
        last=clock.iso(fill.to_ms),
        runs=fill.total,
        enqueued=fill.sent,
        by=fill.by,
        since=clock.iso_seconds(fill.at_ms),
        already=already,
    )


def dues(job: Job, after_ms: int, to_ms: int) -> Iterator[int]:
    """Return when `job` was due after `after_ms` and until `to_ms`, without its blackouts."""
    due = due_of(job)
    moment = due.next_after(after_ms)
    while moment is not None and moment <= to_ms:
        withheld = by_blackout(job, moment)
        if withheld is None:
            yield moment
        moment = due.next_after(withheld.end_ms - 1 if withheld else moment)


def wanted(job: Job, from_text: str, to_text: str, now_ms: int) -> list[int]:
    """Return the due times that somebody means, ms: both ends are included, and none is to come.

    Raises `UsageError` for what is no time, or a job without a calendar, `Refused` if these are
    more than 10,000, `NotFound` if there are none.
    """
    if job.schedule.kind == "after":
        raise UsageError(
            f"{job.ref} is due when its last run has ended for a while, so there are no past times"
            f" to run it for; `sched trigger {job.ref}` runs it now"
        )
    from_ms = _moment(job, from_text, now_ms, "--from")[0]
    to_ms = min(_moment(job, to_text, now_ms, "--to")[1], now_ms)
    found = list(islice(dues(job, from_ms - 1, to_ms), MOST + 1))
    if len(found) > MOST:
        raise Refused(
            f"not begun: {job.ref} was due more than {MOST:,} times between these; ask for less,"
            " and for the rest when that is done"
        )
    if not found:
        raise NotFound(
            f"{job.ref} was not due between these, or in a blackout each time"
            f" (`sched next {job.ref}` shows its schedule and its zone)"
        )
    return found


def _moment(job: Job, text: str, now_ms: int, option: str) -> tuple[int, int]:
    """Return the first and the last ms that `text` means; a day alone means all of it."""
    zone = ZoneInfo(job.schedule.timezone)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            found = why.moment(text, zone, now_ms)
        except UsageError as error:
            raise UsageError(f"{option}: {error}; 2026-11-23 is all of that day") from None
        return found.from_ms, found.to_ms
    starts = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    first, end = map(clock.epoch_ms, starts)
    return first, end - 1


async def begin(job: Job, times: list[int], link: Link) -> Asked:
    """Have `job` run again what it was due for at these times, by whoever leads its group.

    The same that is under way already is not begun again; raises `Refused` if another one is.
    """
    fill, is_new = await Backfills(link).begin(
        job.group, job.ref, from_ms=times[0], to_ms=times[-1], total=len(times), by=user()
    )
    if not is_new and (fill.from_ms, fill.to_ms) != (times[0], times[-1]):
        raise Refused(
            f"not begun: another backfill of {job.ref} is under way, by {fill.by}, with"
            f" {fill.sent} of {fill.total} runs enqueued; wait for its end, or end it:"
            f" `sched backfill {job.ref} --stop`"
        )
    return asked(job.ref, fill, already=not is_new)


async def stop(ref: str, link: Link) -> Asked:
    """Enqueue no more runs of the backfill of TENANT/JOB; raises `NotFound` if it has none."""
    for group in await Catalog(link).groups():
        fill = (await Backfills(link).of(group)).get(ref)
        if fill is not None and await Backfills(link).end(group, ref, fill.number):
            return asked(ref, fill)
    raise NotFound(f"no backfill of {ref} is under way (`sched backfills` lists them)")


async def under_way(link: Link) -> list[Asked]:
    """Return all backfills, by group, the first that was asked for first."""
    return [
        asked(ref, fill)
        for group in await Catalog(link).groups()
        for ref, fill in (await Backfills(link).of(group)).items()
    ]
