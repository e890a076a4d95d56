"""What the store says about groups, tenants, jobs, runs and workers, for `sched status`."""

from collections import Counter

import msgspec

from rota.common import clock, worker_info
from rota.common.catalog import Catalog, GroupCounts, Leadership, Seen
from rota.common.errors import NotFound
from rota.common.job import Job
from rota.common.worker_info import WorkerInfo
from rota.scheduler.preview import describe


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group."""

    group: str
    leader: str | None  # the scheduler that leads it; null if nobody does
    schedulers: int  # how many lead it or stand by
    gate_ms: int  # so long nothing is enqueued or claimed: the store was reopened; 0 if it goes on
    tenants: int
    jobs: int
    queued: int
    held: dict[str, int]  # runs that wait for a handler that no worker serves
    running: int
    retrying: int
    fanned: int  # runs that wait for their tasks
    dead: int
    workers: int  # without silent ones
    unserved: list[str]  # handlers that jobs name and no worker serves that is not silent
    repairs: dict[str, int]  # how often what can't happen was repaired, by kind


class TenantRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant."""

    tenant: str
    group: str
    jobs: int
    queued: int
    running: int


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    job: str  # TENANT/JOB
    group: str
    handler: str
    schedule: str
    served: bool  # whether a worker that is not silent serves its handler
    in_flight: str | None  # job_id
    last: str | None  # job_id of the last run
    outcome: str | None  # how it ended
    ended: str | None  # when, by the store's clock


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run under way."""

    job_id: str
    group: str
    worker: str
    attempt: int
    started: str


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    worker: str
    groups: list[str]
    running: int  # runs that the store has given to it and not heard the end of
    concurrency: int
    started: str
    seen: str  # when it registered last, by the store's clock
    seen_ms_ago: int  # how long ago that was
    silent: bool  # whether it has missed registrations: it hangs, is cut off or dead
    handlers: list[str]


class Status(msgspec.Struct, kw_only=True):
    """What was asked for; `-o json` prints just this."""

    groups: list[GroupRow] = []
    tenants: list[TenantRow] = []
    jobs: list[JobRow] | None = None  # null if they were not asked for: there may be very many
    runs: list[RunRow] = []
    workers: list[WorkerRow] = []


async def gather(catalog: Catalog, tenant: str | None = None, *, jobs: bool = False) -> Status:
    """Return the status, of one tenant with its jobs, or of all, with theirs if `jobs`.

    Raises `NotFound` when there is no such tenant.
    """
    status = Status(jobs=[] if jobs or tenant is not None else None)
    workers: dict[str, WorkerInfo] = {}
    seen: dict[str, Seen] = {}
    for group in await catalog.groups():
        here = await catalog.workers(group)
        workers.update({worker.id: worker for worker in here})
        last_seen = await catalog.seen(group)
        for worker, last in last_seen.items():
            seen[worker] = max(last, seen.get(worker, last))
        live = [w for w in here if w.id in last_seen and not last_seen[w.id].silent]
        await _add_group(status, catalog, group, live)
    running = Counter(run.worker for run in status.runs)
    if tenant is not None:
        _narrow(status, tenant)
    status.workers = [
        _worker_row(worker, running[name], seen[name])
        for name, worker in sorted(workers.items())
        if name in seen  # or it has left meanwhile
    ]
    return status


async def _add_group(
    status: Status, catalog: Catalog, group: str, workers: list[WorkerInfo]
) -> None:
    leadership = await catalog.leadership(group)
    jobs = await catalog.jobs(group)
    counts = await catalog.counts(group)
    running = await catalog.running(group)
    queued = await catalog.queued(group)
    status.groups.append(_group_row(group, jobs, workers, leadership=leadership, counts=counts))
    status.tenants += _tenant_rows(group, jobs, queued, [run[0] for run in running])
    status.runs += [
        RunRow(job_id=i, group=group, worker=w, attempt=a, started=clock.iso(at))
        for i, w, a, at in running
    ]
    if status.jobs is not None:
        status.jobs += await _job_rows(catalog, group, jobs, worker_info.served(workers))


async def _job_rows(
    catalog: Catalog, group: str, jobs: list[Job], served: set[str]
) -> list[JobRow]:
    slots = await catalog.slots(group, [job.ref for job in jobs])
    return [
        JobRow(
            job=job.ref,
            group=group,
            handler=job.handler,
            schedule=describe(job),
            served=served.issuperset(job.handlers),
            in_flight=slot.run,
            last=slot.last,
            outcome=slot.outcome,
            ended=clock.iso_known(slot.ended_ms or 0),
        )
        for job, slot in zip(jobs, slots, strict=True)
    ]


def _group_row(
    group: str,
    jobs: list[Job],
    workers: list[WorkerInfo],
    *,
    leadership: Leadership,
    counts: GroupCounts,
) -> GroupRow:
    return GroupRow(
        group=group,
        leader=leadership.leader,
        schedulers=leadership.schedulers,
        gate_ms=leadership.gate_ms,
        tenants=len({job.tenant for job in jobs}),
        jobs=len(jobs),
        queued=counts.queued,
        held=counts.held,
        running=counts.running,
        retrying=counts.retrying,
        fanned=counts.fanned,
        dead=counts.dead,
        workers=len(workers),
        unserved=sorted(
            {name for job in jobs for name in job.handlers} - worker_info.served(workers)
        ),
        repairs=counts.repairs,
    )


def _tenant_rows(
    group: str, jobs: list[Job], queued: dict[str, int], running: list[str]
) -> list[TenantRow]:
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.tenant] = counts.get(job.tenant, 0) + 1
    busy: dict[str, int] = {}
    for job_id in running:
        name = job_id.partition("/")[0]
        busy[name] = busy.get(name, 0) + 1
    return [
        TenantRow(
            tenant=name,
            group=group,
            jobs=count,
            queued=queued.get(name, 0),
            running=busy.get(name, 0),
        )
        for name, count in sorted(counts.items())
    ]


def _worker_row(worker: WorkerInfo, running: int, seen: Seen) -> WorkerRow:
    return WorkerRow(
        worker=worker.id,
        groups=worker.groups,
        running=running,
        concurrency=worker.concurrency,
        started=clock.iso_seconds(worker.started_ms),
        seen=clock.iso_seconds(seen.at_ms),
        seen_ms_ago=seen.ms_ago,
        silent=seen.silent,
        handlers=sorted(handler.name for handler in worker.handlers),
    )


def _narrow(status: Status, tenant: str) -> None:
    status.tenants = [row for row in status.tenants if row.tenant == tenant]
    if not status.tenants:
        raise NotFound(f"no tenant {tenant!r} is known to the store")
    status.jobs = [row for row in status.jobs or [] if row.job.startswith(f"{tenant}/")]
    status.runs = [row for row in status.runs if row.job_id.startswith(f"{tenant}/")]
