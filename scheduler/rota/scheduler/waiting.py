"""What of a job is due and not told of yet, and what it waits for: for people who ask."""

from rota.common.catalog import Slot
from rota.common.job import Job
from rota.common.ledger import Outcome, Stretch
from rota.scheduler import policy
from rota.scheduler.calendar import spans
from rota.scheduler.finding import Ground
from rota.scheduler.line import Kind, Turn, merged
from rota.scheduler.line import Stretch as Item
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
    line = policy.settled(job, due, line, now_ms)
    if policy.next_run(job, line) is not None and job.misfire == "once":
        line = policy.released(job, due, line, now_ms)  # one run is for all that was missed
    return [_told(item, slot) for item in line]


def _told(item: Item | Turn, slot: Slot) -> Stretch:
    if isinstance(item, Turn):
        return _stretch((item.due_ms, item.due_ms, 1), WAITING, TURN)
    times = (item.from_ms, item.to_ms, item.times)
    if item.kind is Kind.MISSED:
        return _stretch(times, WAITING, TURN)
    if item.waits:
        return _stretch(times, WAITING, f"{slot.run} to end" if slot.run else "its turn")
    detail = "" if item.outcome == Outcome.MISSED else item.detail  # who leads the group knows why
    return _stretch(times, item.outcome, detail, item.way)


def _stretch(times: tuple[int, int, int], outcome: str, detail: str, way: str = "") -> Stretch:
    return Stretch(
        outcome=outcome,
        detail=detail,
        from_ms=times[0],
        to_ms=times[1],
        times=times[2],
        noted_ms=0,
        way=way,
    )
