"""The coming fire times of a job, for people: in the job's zone and in UTC."""

from zoneinfo import ZoneInfo

import msgspec

from rota.common import clock, duration
from rota.common.job import Job
from rota.scheduler import schedule
from rota.scheduler.blackout import blackout_at


class FireTime(msgspec.Struct, frozen=True, kw_only=True):
    """One coming occurrence."""

    local: str  # in the job's zone, with its offset
    utc: str
    blackout: str = ""  # when it is and why, if one keeps this occurrence back


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
    if when.completed:
        return f"on {when.completed}'s success"
    text = when.cron or when.at or when.between or duration.text(when.period_ms)
    parts = [when.kind, text]
    if when.phase_ms is not None:
        parts.append(f"phase {duration.text(when.phase_ms) if when.phase_ms else '0s'}")
    if when.jitter_ms:
        parts.append(f"jitter {duration.text(when.jitter_ms)}")
    return " ".join(parts)


def preview(job: Job, from_ms: int, count: int) -> Preview:
    """Return the next `count` occurrences of `job` after `from_ms`, also those in a blackout."""
    moments = schedule.upcoming(job, from_ms, count)
    return Preview(
        job=job.ref,
        schedule=describe(job),
        timezone=job.schedule.timezone,
        times=[fire_time(job, ms) for ms in moments],
        note=_note(job, moments, from_ms),
    )


def table(shown: Preview) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and rows to show; one on blackouts only where there are any."""
    rows: list[tuple[str, ...]] = [(time.local, time.utc, time.blackout) for time in shown.times]
    columns = (shown.timezone.upper(), "UTC", "BLACKOUT")
    if any(time.blackout for time in shown.times):
        return columns, rows
    return columns[:2], [row[:2] for row in rows]


def fire_time(job: Job, ms: int) -> FireTime:
    """Return when that is, for people."""
    zone = ZoneInfo(job.schedule.timezone)
    window = blackout_at(job, ms)
    return FireTime(
        local=clock.utc(ms).astimezone(zone).isoformat(timespec=_precision(ms)),
        utc=clock.iso(ms),
        blackout="" if window is None else window.blackout.text,
    )


def _note(job: Job, moments: list[int], from_ms: int) -> str:
    if job.schedule.kind == "after":
        rest = duration.text(job.schedule.period_ms)
        return f"due {rest} after its last run has ended, so no times can be foretold"
    if job.schedule.kind == "on":
        return f"due when {job.schedule.completed} has succeeded, so no times can be foretold"
    if moments:
        return ""
    if job.schedule.kind != "at":
        return "never due again"
    if schedule.due_of(job).last_until(from_ms) is None:
        return "never due: the clock of its zone skips its time"
    return "never due again: its time has passed"


def _precision(ms: int) -> str:
    return "milliseconds" if ms % 1000 else "seconds"
