"""The status as people read it."""

import math
from datetime import datetime
from typing import Any

from rota.common import clock
from rota.common.clock import Clock
from rota.scheduler import output
from rota.scheduler.status import GroupRow, JobRow, Status, WorkerRow

_SHOWN = 30  # rows of a long table; the rest is counted


def show(status: Status, *, now: Clock) -> None:
    """Print the status: groups, workers, the busiest tenants, jobs if asked for, runs under way."""
    if not status.groups:
        output.write_line("nothing here yet: no scheduler has published jobs (`sched run CONFIG`)")
    output.write_table(
        "GROUPS",
        ("GROUP", "TENANTS", "JOBS", "QUEUED", "RUNNING", "RETRYING", "FANNED", "DEAD", "HELD",
         "WORKERS", "LEADER"),
        [
            (g.group, g.tenants, g.jobs, g.queued, g.running, g.retrying, g.fanned,
             g.dead, sum(g.held.values()), g.workers, g.leader)
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
    anybody = any(not worker.silent for worker in status.workers)
    if status.groups and not anybody:
        waiting = _waiting(sum(row.queued + sum(row.held.values()) for row in status.groups))
        output.write_line(
            f"! no worker is running; {waiting} (`worker run --app MODULE` starts one)"
        )
    for row in status.groups:
        _show_lead(row)
        for handler in row.unserved if anybody else []:
            waiting = _waiting(row.held.get(handler, 0))
            output.write_line(
                f"! group {row.group}: no worker serves handler {handler} ({waiting})"
            )
        if row.repairs:
            kinds = ", ".join(f"{count} {kind}" for kind, count in row.repairs.items())
            output.write_line(f"! group {row.group}: repaired what can't happen: {kinds}")


def _show_lead(row: GroupRow) -> None:
    if row.gate_ms:
        output.write_line(
            f"! group {row.group}: the store was reopened and claims nothing for"
            f" {math.ceil(row.gate_ms / 1000)} s more"
        )
        if row.schedulers:
            return  # they may lead only when the gate has closed
    if row.leader is None:
        hint = "is a scheduler running?"
        if row.schedulers:
            stand = "stands" if row.schedulers == 1 else "stand"
            hint = f"{output.counted(row.schedulers, 'scheduler')} {stand} by"
        output.write_line(f"! nobody leads group {row.group}: only its queue goes on ({hint})")


def _waiting(runs: int) -> str:
    return "no run waits" if not runs else f"{runs} run{' waits' if runs == 1 else 's wait'}"


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
        more = output.counted(len(rows) - _SHOWN, f"more {title.lower().removesuffix('s')}")
        output.write_line(f"  ... and {more}\n")


def _age(started: str, now: Clock) -> str:
    began = clock.epoch_ms(datetime.fromisoformat(started))
    return f"{max(0, now.now_ms() - began) / 1000:.1f}s"
