"""When a job is due first after a scheduler has taken it over."""

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.scheduler.blackout import blackout_at
from rota.scheduler.schedule import Due, due_of, phase


def first_due(job: Job, slot: Slot, now_ms: int) -> int | None:
    """Return when `job` is due first after a start of the scheduler, ms; None: after its run.

    What was missed while no scheduler ran is made up for once, at once: the last missed occurrence
    that lies in no blackout.
    A job that never ran starts at its own place within its period, so that thousands of tenants
    that were set up together do not run together.
    """
    due = due_of(job)
    if job.schedule.kind == "after":
        if slot.run:
            return None
        period = job.schedule.period_ms
        # The end is by the store's clock; one that is ahead of ours must not delay the job.
        ended = min(slot.ended_ms, now_ms) if slot.ended_ms else None
        return ended + period if ended else now_ms + phase(job.ref, period)
    if slot.due_ms is not None and not slot.run:
        missed = _missed(job, due, slot.due_ms, now_ms)
        if missed is not None:
            return missed
    return due.next_after(now_ms)


def _missed(job: Job, due: Due, since_ms: int, now_ms: int) -> int | None:
    missed = due.last_until(now_ms)
    while missed is not None and missed > since_ms:
        window = blackout_at(job, missed)
        if window is None:
            return missed
        missed = due.last_until(window.start_ms - 1)
    return None
