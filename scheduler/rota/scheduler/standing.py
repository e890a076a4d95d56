"""Where a job is when a scheduler takes it up, or it was changed."""

from typing import NamedTuple

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.common.job_ids import backfilled_ms
from rota.scheduler.applied import UNKNOWN, Since
from rota.scheduler.policy import ON_TIME_MS
from rota.scheduler.schedule import phase


class Standing(NamedTuple):
    """Where a job is when it is taken up; ms."""

    until_ms: int  # what was due until then is accounted for
    run: str = ""  # job_id of the run in flight
    busy_ms: int = 0  # since when the job was busy with its last run, without a break
    ended_ms: int = 0  # when that ended
    last: str = ""  # its job_id
    late: bool = False  # whether it makes up for what was missed
    next_ms: int | None = None  # of a fixed delay: when it is due; None when its run is over


def standing(job: Job, slot: Slot, now_ms: int, since: Since = UNKNOWN) -> Standing:
    """Return up to where a job that is taken up now is accounted for, and what its last run was.

    What its schedule was not yet due for, when it was applied, was not missed.
    A fixed delay that never ran starts at its own place within its period, so that thousands of
    tenants that were set up together do not run together.
    """
    run, busy_ms = slot.run or "", slot.at_ms or 0
    return Standing(
        until_ms=accounted_ms(slot, since, now_ms),
        run=run,
        busy_ms=busy_ms,
        ended_ms=slot.ended_ms or 0,
        last=slot.last or "",
        late=bool(run and slot.due_ms) and busy_ms > (slot.due_ms or 0) + ON_TIME_MS,
        next_ms=None if job.schedule.kind != "after" or run else _after(job, slot, now_ms, since),
    )


def without_backfill(slot: Slot) -> Slot:
    """Return a slot as if no backfill ever was: what is live is not skipped for one."""
    if slot.run:
        return slot._replace(run=None, at_ms=None) if backfilled_ms(slot.run) else slot
    return slot._replace(at_ms=None) if slot.last and backfilled_ms(slot.last) else slot


def accounted_ms(slot: Slot, since: Since, now_ms: int) -> int:
    """Return until when a job that is taken up now is accounted for, ms; what is later was missed.

    A change is by the clock of whoever applied it; one that is ahead of ours hides nothing.
    """
    floor = since.known_ms if slot.due_ms is None else max(slot.due_ms, since.changed_ms)
    return max(slot.due_ms or 0, min(floor or now_ms, now_ms))


def _after(job: Job, slot: Slot, now_ms: int, since: Since) -> int:
    period = job.schedule.period_ms
    place = phase(job.ref, period)
    if not slot.ended_ms:
        return (since.known_ms or now_ms) + place
    # The end is by the store's clock; one that is ahead of ours must not delay the job.
    due_ms = min(slot.ended_ms, now_ms) + period
    # A shorter delay for many tenants must not make them all due at the moment of the change.
    return due_ms if due_ms > since.changed_ms else since.changed_ms + place
