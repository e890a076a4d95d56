"""Jobs and configurations as the scheduler gets them, without the YAML they come from."""

from typing import Any

from rota.common import duration
from rota.common.job import Job, Schedule
from rota.scheduler.config import Config
from tests.support.builders import GROUP, HANDLER


def job(
    ref: str = "acme/import",
    *,
    cron: str = "",
    every: str = "",
    after: str = "",
    timezone: str = "UTC",
    **over: Any,
) -> Job:
    """Return the job TENANT/JOB, due as one of `cron`, `every` and `after` says."""
    tenant, _, name = ref.partition("/")
    if cron:
        schedule = Schedule(kind="cron", cron=cron, timezone=timezone)
    else:
        period_ms = duration.parse(every or after)
        schedule = Schedule(kind="every" if every else "after", period_ms=period_ms)
    fields = {"group": GROUP, "handler": HANDLER} | over
    return Job(tenant=tenant, name=name, schedule=schedule, **fields)


def config(*jobs: Job, groups: tuple[str, ...] = ()) -> Config:
    """Return the configuration of these jobs; `groups` names those that have none."""
    return Config(
        groups=sorted({job.group for job in jobs} | set(groups)),
        jobs=sorted(jobs, key=lambda job: (job.tenant, job.name)),
        tenants={job.tenant: job.group for job in jobs},
        files=[],
    )
