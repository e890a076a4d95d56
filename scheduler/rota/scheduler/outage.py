"""A group that no scheduler leads: since when, and what of a job is overdue, for people who ask."""

from rota.common import clock, keys
from rota.common.catalog import Catalog, Slot
from rota.common.job import Job
from rota.common.link import Link
from rota.common.revisions import Unreadable
from rota.scheduler.applied import UNKNOWN, Since
from rota.scheduler.applier import Applier
from rota.scheduler.calendar import Span, spans
from rota.scheduler.output import counted
from rota.scheduler.standing import accounted_ms


async def tell(job: Job, link: Link, now_ms: int) -> str:
    """Return in words that nobody leads the group of `job`; empty if somebody does, or may soon.

    A store that was reopened may be led only when its gate has closed, by those who stand by.
    """
    catalog = Catalog(link)
    lead = await catalog.leadership(job.group)
    if lead.leader is not None or (lead.gate_ms and lead.schedulers):
        return ""
    led_until = await link.command("HGET", keys.root(job.group), "led_until")
    led_ms = min(now_ms, int(led_until or 0))
    since = f" since {clock.iso_seconds(led_ms)}" if led_ms else ""
    (slot,) = await catalog.slots(job.group, [job.ref])
    overdue = _overdue(job, slot, await _since(job.ref, link), now_ms)
    told = (
        f"no scheduler leads group {job.group}{since}: its queue goes on, and nothing is enqueued"
    )
    return f"{told}; {overdue}"


def _overdue(job: Job, slot: Slot, since: Since, now_ms: int) -> str:
    """Return what the job was due for that nobody has told of."""
    kind = job.schedule.kind
    if kind == "after" and not slot.run and slot.ended_ms:
        due_ms = slot.ended_ms + job.schedule.period_ms
        if due_ms <= now_ms:
            return f"{job.ref} is overdue since {clock.iso_seconds(due_ms)}"
    found = _due(job, accounted_ms(slot, since, now_ms), now_ms)
    if not found:
        return f"nothing of {job.ref} is overdue, as far as is known"
    times = sum(span.times for span in found) if all(span.times for span in found) else 0
    what = counted(times, "occurrence") if times else "many occurrences"
    verb = "is" if times == 1 else "are"
    first = clock.iso_seconds(found[0].from_ms)
    return f"{what} of {job.ref} {verb} overdue, {'' if times == 1 else 'the first '}since {first}"


def _due(job: Job, after_ms: int, now_ms: int) -> list[Span]:
    return [span for span in spans(job, after_ms, now_ms) if not span.outcome]


async def _since(ref: str, link: Link) -> Since:
    try:
        standing = await Applier(link, command="").current()
    except Unreadable:
        return UNKNOWN
    return standing.applied.since.get(ref, UNKNOWN) if standing else UNKNOWN
