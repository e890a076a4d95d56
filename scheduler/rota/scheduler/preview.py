"""The coming fire times of a job, for people: in the job's zone and in UTC."""

from zoneinfo import ZoneInfo

import msgspec

from rota.common import clock, duration
from rota.common.job import Job
from rota.scheduler import schedule


class FireTime(msgspec.Struct, frozen=True, kw_only=True):
    """One coming occurrence."""

    local: str  # in the job's zone, with its offset
    utc: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The coming occurrences of one job."""

    job: str  # TENANT/JOB
    schedule: str  # as people write it
    timezone: str
    times: list[FireTime]
    note: str = ""  # what can't be said with times


def describe(job: Job) -> str:
    """Return the schedule of `job` as one writes it: `every 15m`."""
    when = job.schedule
    return (
        f"cron {when.cron}"
        if when.kind == "cron"
        else f"{when.kind} {duration.text(when.period_ms)}"
    )


def preview(job: Job, from_ms: int, count: int) -> Preview:
    """Return the next `count` occurrences of `job` after `from_ms`."""
    zone = ZoneInfo(job.schedule.timezone)
    times = [
        FireTime(
            local=clock.utc(ms).astimezone(zone).isoformat(timespec=_precision(ms)),
            utc=clock.iso(ms),
        )
        for ms in schedule.upcoming(job, from_ms, count)
    ]
    note = ""
    if job.schedule.kind == "after":
        rest = duration.text(job.schedule.period_ms)
        note = f"due {rest} after its last run has ended, so no times can be foretold"
    elif not times:
        note = "never due again"
    return Preview(
        job=job.ref,
        schedule=describe(job),
        timezone=job.schedule.timezone,
        times=times,
        note=note,
    )


def _precision(ms: int) -> str:
    return "milliseconds" if ms % 1000 else "seconds"
