"""What the store says about groups, tenants, jobs, runs and workers, for `sched status`."""

from datetime import datetime
from typing import Any

import msgspec

from rota.common import clock
from rota.common.catalog import Catalog, GroupCounts
from rota.common.clock import Clock
from rota.common.errors import NotFound
from rota.common.job import Job
from rota.common.worker_info import WorkerInfo
from rota.scheduler import output
from rota.scheduler.preview import describe


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group."""

    group: str
    tenants: int
    jobs: int
    queued: int
    held: dict[str, int]  # runs that wait for a handler that no worker serves
    running: int
    retrying: int
    dead: int
    workers: int
    unserved: list[str]  # handlers that jobs name and no worker serves
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
    served: bool  # whether a worker serves its handler
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
    running: int
    concurrency: int
    started: str
    handlers: list[str]


class Status(msgspec.Struct, kw_only=True):
    """Everything; `-o json` prints just this."""

    groups: list[GroupRow] = []
    tenants: list[TenantRow] = []
    jobs: list[JobRow] = []
    runs: list[RunRow] = []
    workers: list[WorkerRow] = []


async def gather(catalog: Catalog, tenant: str | None = None) -> Status:
    """Return the status, of one tenant or of all.

    Raises `NotFound` when there is no such tenant.
    """
    status = Status()
    workers: dict[str, WorkerInfo] = {}
    for group in await catalog.groups():
        here = await catalog.workers(group)
        workers.update({worker.id: worker for worker in here})
        await _add_group(status, catalog, group, here)
    if tenant is not None:
        _narrow(status, tenant)
    status.workers = [_worker_row(worker) for _, worker in sorted(workers.items())]
    return status


async def _add_group(
    status: Status, catalog: Catalog, group: str, workers: list[WorkerInfo]
) -> None:
    jobs = await catalog.jobs(group)
    slots = await catalog.slots(group, [job.ref for job in jobs])
    served = {handler.name for worker in workers for handler in worker.handlers}
    counts = await catalog.counts(group)
    running = await catalog.running(group)
    queued = await catalog.queued(group)
    status.groups.append(_group_row(group, jobs, counts, workers, served))
    status.tenants += _tenant_rows(group, jobs, queued, [run[0] for run in running])
    status.runs += [
        RunRow(job_id=i, group=group, worker=w, attempt=a, started=clock.iso(at))
        for i, w, a, at in running
    ]
    status.jobs += [
        JobRow(
            job=job.ref,
            group=group,
            handler=job.handler,
            schedule=describe(job),
            served=job.handler in served,
            in_flight=slot.run,
            last=slot.last,
            outcome=slot.outcome,
            ended=clock.iso(slot.ended_ms) if slot.ended_ms else None,
        )
        for job, slot in zip(jobs, slots, strict=True)
    ]


def _group_row(
    group: str, jobs: list[Job], counts: GroupCounts, workers: list[WorkerInfo], served: set[str]
) -> GroupRow:
    return GroupRow(
        group=group,
        tenants=len({job.tenant for job in jobs}),
        jobs=len(jobs),
        queued=counts.queued,
        held=counts.held,
        running=counts.running,
        retrying=counts.retrying,
        dead=counts.dead,
        workers=len(workers),
        unserved=sorted({job.handler for job in jobs} - served),
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


def _worker_row(worker: WorkerInfo) -> WorkerRow:
    return WorkerRow(
        worker=worker.id,
        groups=worker.groups,
        running=worker.running,
        concurrency=worker.concurrency,
        started=clock.iso(worker.started_ms // 1000 * 1000),
        handlers=sorted(handler.name for handler in worker.handlers),
    )


def _narrow(status: Status, tenant: str) -> None:
    status.tenants = [row for row in status.tenants if row.tenant == tenant]
    if not status.tenants:
        raise NotFound(f"no tenant {tenant!r} is known to the store")
    status.jobs = [row for row in status.jobs if row.job.startswith(f"{tenant}/")]
    status.runs = [row for row in status.runs if row.job_id.startswith(f"{tenant}/")]


_SHOWN = 30  # rows of a long table; the rest is counted


def show(status: Status, *, tenant: str | None, now: Clock) -> None:
    """Print the status for people: groups, workers, the busiest tenants, runs under way."""
    if not status.groups:
        output.write_line("nothing here yet: no scheduler has published jobs (`sched run CONFIG`)")
    output.write_table(
        "GROUPS",
        ("GROUP", "TENANTS", "JOBS", "QUEUED", "RUNNING", "RETRYING", "DEAD", "HELD", "WORKERS"),
        [
            (g.group, g.tenants, g.jobs, g.queued, g.running, g.retrying, g.dead,
             sum(g.held.values()), g.workers)
            for g in status.groups
        ],
    )  # fmt: skip
    _show_notes(status.groups)
    output.write_table(
        "WORKERS",
        ("WORKER", "GROUPS", "RUNNING", "CONCURRENCY", "STARTED"),
        [
            (w.worker, ",".join(w.groups), w.running, w.concurrency, w.started)
            for w in status.workers
        ],
    )
    busiest = sorted(status.tenants, key=lambda row: (-row.running - row.queued, row.tenant))
    _show_some(
        "TENANTS",
        ("TENANT", "GROUP", "JOBS", "QUEUED", "RUNNING"),
        [(t.tenant, t.group, t.jobs, t.queued, t.running) for t in busiest],
    )
    if tenant is not None:
        _show_jobs(status.jobs)
    _show_some(
        "RUNS",
        ("JOB_ID", "ATTEMPT", "FOR", "WORKER"),
        [(r.job_id, r.attempt, _age(r.started, now), r.worker) for r in status.runs],
    )


def _show_notes(groups: list[GroupRow]) -> None:
    for row in groups:
        for handler in row.unserved:
            held = row.held.get(handler, 0)
            output.write_line(
                f"! group {row.group}: no worker serves handler {handler} ({held} runs wait)"
            )
        if row.repairs:
            kinds = ", ".join(f"{count} {kind}" for kind, count in row.repairs.items())
            output.write_line(f"! group {row.group}: repaired what can't happen: {kinds}")


def _show_jobs(jobs: list[JobRow]) -> None:
    output.write_table(
        "JOBS",
        ("JOB", "SCHEDULE", "HANDLER", "SERVED", "IN FLIGHT", "LAST", "ENDED"),
        [
            (j.job, j.schedule, j.handler, "yes" if j.served else "NO",
             "yes" if j.in_flight else "no", j.outcome, j.ended)
            for j in jobs
        ],
    )  # fmt: skip


def _show_some(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    output.write_table(title, columns, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        output.write_line(f"  ... and {len(rows) - _SHOWN} more {title.lower()}\n")


def _age(started: str, now: Clock) -> str:
    began = clock.epoch_ms(datetime.fromisoformat(started))
    return f"{max(0, now.now_ms() - began) / 1000:.1f}s"
