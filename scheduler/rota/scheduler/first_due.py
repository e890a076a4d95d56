"""When a job is due first after a scheduler has taken it over, or it was changed."""

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.scheduler.applied import UNKNOWN, Since
from rota.scheduler.schedule import Due, due_of, phase
from rota.scheduler.withheld import Withhold, by_blackout


def first_due(
    job: Job,
    slot: Slot,
    now_ms: int,
    since: Since = UNKNOWN,
    withhold: Withhold = by_blackout,
) -> int | None:
    """Return when `job` is due first after a start of the scheduler, ms; None: after its run.

    What was missed while no scheduler ran is made up for once, at once: the last missed occurrence
    that is not withheld. What its schedule was not yet due for, when it was applied, was not
    missed.
    A job that never ran starts at its own place within its period, so that thousands of tenants
    that were set up together do not run together.
    """
    due = due_of(job)
    if job.schedule.kind == "after":
        return None if slot.run else _after(job, slot, now_ms, since)
    floor = _floor(slot, since)
    if floor and not slot.run:
        missed = _missed(job, due, (floor, now_ms), withhold)
        if missed is not None:
            return missed
    return due.next_after(now_ms)


def accounted_ms(slot: Slot, since: Since, now_ms: int) -> int:
    """Return until when a job that is taken up now is accounted for, ms; what is later was missed.

    A change is by the clock of whoever applied it; one that is ahead of ours hides nothing.
    """
    return max(slot.due_ms or 0, min(_floor(slot, since) or now_ms, now_ms))


def _floor(slot: Slot, since: Since) -> int:
    return since.known_ms if slot.due_ms is None else max(slot.due_ms, since.changed_ms)


def _after(job: Job, slot: Slot, now_ms: int, since: Since) -> int:
    period = job.schedule.period_ms
    place = phase(job.ref, period)
    if not slot.ended_ms:
        return (since.known_ms or now_ms) + place
    # The end is by the store's clock; one that is ahead of ours must not delay the job.
    due_ms = min(slot.ended_ms, now_ms) + period
    # A shorter delay for many tenants must not make them all due at the moment of the change.
    return due_ms if due_ms > since.changed_ms else since.changed_ms + place


def _missed(job: Job, due: Due, between: tuple[int, int], withhold: Withhold) -> int | None:
    since_ms, now_ms = between
    missed = due.last_until(now_ms)
    while missed is not None and missed > since_ms:
        withheld = withhold(job, missed)
        if withheld is None:
            return missed
        missed = due.last_until(max(withheld.start_ms - 1, since_ms))
    return None
