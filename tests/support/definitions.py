"""Jobs and configurations as the scheduler gets them, without the YAML they come from."""

from typing import Any

from rota.common import duration
from rota.common.job import Job, Schedule
from rota.common.limits import GroupLimits
from rota.scheduler.config import Config
from rota.scheduler.schedule import Due, due_of
from tests.support.builders import GROUP, HANDLER


def job(
    ref: str = "acme/import",
    *,
    cron: str = "",
    every: str = "",
    after: str = "",
    at: str = "",
    between: str = "",
    completed: str = "",
    timezone: str = "UTC",
    **over: Any,
) -> Job:
    """Return the job TENANT/JOB, due as one of `cron`, `every`, `after`, `at` and `between` says.

    `over` names other fields of the job or of its schedule.
    """
    tenant, _, name = ref.partition("/")
    written = {"cron": cron, "every": every, "after": after, "at": at, "between": between}
    if completed:
        schedule = Schedule(kind="on", completed=completed)
        named: dict[str, Any] = {"group": GROUP, "handler": HANDLER, "schedule": schedule} | over
        return Job(tenant=tenant, name=name, **named)
    (kind,) = (kind for kind, text in written.items() if text)
    timing: dict[str, Any] = {"kind": kind, "timezone": timezone}
    if kind in ("every", "after"):
        timing["period_ms"] = duration.parse(written[kind])
    else:
        timing[kind] = written[kind]
    for field in ("phase_ms", "jitter_ms", "gap", "fold"):
        if field in over:
            timing[field] = over.pop(field)
    fields = {"group": GROUP, "handler": HANDLER} | over
    return Job(tenant=tenant, name=name, schedule=Schedule(**timing), **fields)


def cron_due(expression: str, timezone: str) -> Due:
    """Return the due times of a crontab expression."""
    return due_of(job(cron=expression, timezone=timezone))


def config(
    *jobs: Job, groups: tuple[str, ...] = (), limits: dict[str, GroupLimits] | None = None
) -> Config:
    """Return the configuration of these jobs; `groups` names those that have none."""
    return Config(
        groups=sorted({job.group for job in jobs} | set(groups)),
        jobs=sorted(jobs, key=lambda job: (job.tenant, job.name)),
        tenants={job.tenant: job.group for job in jobs},
        files=[],
        limits=limits or {},
    )
