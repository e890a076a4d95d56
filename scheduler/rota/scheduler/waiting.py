"""What of a job is due and not told of yet, and what it waits for: for people who ask."""

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.common.ledger import Stretch
from rota.scheduler import policy
from rota.scheduler.calendar import spans
from rota.scheduler.finding import Ground
from rota.scheduler.line import Kind, Turn, merged
from rota.scheduler.schedule import due_of
from rota.scheduler.standing import without_backfill

WAITING = "waiting"  # the outcome of what has none yet
TURN = "its turn to catch up"


def waiting(job: Job, slot: Slot, now_ms: int) -> list[Stretch]:
    """Return what is behind the job's cursor, in order, as whoever leads its group reckons it.

    `detail` tells what those wait for that may still be run; what will not be run has its outcome.
    """
    slot = without_backfill(slot)
    if slot.due_ms is None or job.schedule.kind == "after":
        return []
    due, way = due_of(job), slot.run or slot.last or ""
    ended_ms = None if slot.run else slot.ended_ms or 0
    ground = Ground(job, due, way, slot.at_ms or 0, ended_ms, 0)
    line = merged(ground.find(spans(job, slot.due_ms, now_ms)))
    return [
        Stretch(
            outcome=WAITING if item.waits else item.outcome,
            detail=_what_for(item.kind, slot) if item.waits else item.detail,
            from_ms=item.from_ms,
            to_ms=item.to_ms,
            times=item.times,
            noted_ms=0,
            way="" if item.waits else item.way,
        )
        for item in policy.settled(job, due, line, now_ms)
        if not isinstance(item, Turn)
    ]


def _what_for(kind: Kind, slot: Slot) -> str:
    if kind is Kind.OVERLAPS:
        return f"{slot.run} to end" if slot.run else "its turn"
    return TURN
