"""The status as people read it."""

from datetime import datetime
from typing import Any

from rota.common import clock
from rota.common.clock import Clock
from rota.scheduler import output
from rota.scheduler.status import JobRow, Status, WorkerRow

_SHOWN = 30  # rows of a long table; the rest is counted


def show(status: Status, *, now: Clock) -> None:
    """Print the status: groups, workers, the busiest tenants, jobs if asked for, runs under way."""
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
    _show_notes(status)
    output.write_table(
        "WORKERS",
        ("WORKER", "GROUPS", "RUNNING", "CONCURRENCY", "STARTED", "SEEN"),
        [
            (w.worker, ",".join(w.groups), w.running, w.concurrency, w.started, _seen(w))
            for w in status.workers
        ],
    )
    busiest = sorted(status.tenants, key=lambda row: (-row.running - row.queued, row.tenant))
    _show_some(
        "TENANTS",
        ("TENANT", "GROUP", "JOBS", "QUEUED", "RUNNING"),
        [(t.tenant, t.group, t.jobs, t.queued, t.running) for t in busiest],
    )
    _show_jobs(status.jobs or [])
    _show_some(
        "RUNS",
        ("JOB_ID", "ATTEMPT", "FOR", "WORKER"),
        [(r.job_id, r.attempt, _age(r.started, now), r.worker) for r in status.runs],
    )


def _show_notes(status: Status) -> None:
    if status.groups and not status.workers:
        waiting = sum(row.queued + sum(row.held.values()) for row in status.groups)
        output.write_line(
            f"! no worker is running; {waiting} runs wait (`worker run --app MODULE` starts one)"
        )
    for row in status.groups:
        for handler in row.unserved if status.workers else []:
            held = row.held.get(handler, 0)
            output.write_line(
                f"! group {row.group}: no worker serves handler {handler} ({held} runs wait)"
            )
        if row.repairs:
            kinds = ", ".join(f"{count} {kind}" for kind, count in row.repairs.items())
            output.write_line(f"! group {row.group}: repaired what can't happen: {kinds}")


def _seen(worker: WorkerRow) -> str:
    return f"{worker.seen_ms_ago // 1000}s ago{', silent' if worker.silent else ''}"


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
