"""What became of one job's occurrences: the run in flight, and what the ledger holds."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from rota.common import clock, names
from rota.common.catalog import Catalog
from rota.common.errors import NotFound
from rota.common.job import Job
from rota.common.ledger import Attempts, Entry, Ledger, Missed, Outcome, Stretch
from rota.common.link import Link
from rota.common.progress import Sum
from rota.common.retention import USUAL, Retention
from rota.scheduler import pausing, trouble
from rota.scheduler.waiting import WAITING, waiting

_SECOND, _MINUTE = 1_000, 60_000

WHY: dict[str, str] = {
    Outcome.LOST: "the store has lost the run; whether it was carried out is unknown",
    Outcome.SKIPPED: "the job's last run was not over",
    Outcome.BLACKOUT: "",  # its text says it
    Outcome.LATE: "it was too late to be run",
    "max_lateness": "it was later than its max_lateness",
    "max_catch_up": "it was beyond its max_catch_up",
    Outcome.SHED: "too many runs of the tenant were queued",
    Outcome.PAUSED: "",  # by whom, and why, is its text
    Outcome.BREAKER: "",  # how many runs have died is its text
    Missed.DOWN: "no scheduler led the group",
    Missed.STALLED: "the scheduler was held up",
    Missed.PAUSE: "it was paused before its turn came",
}


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One job, and what is known of its runs."""

    ref: str  # TENANT/JOB
    group: str
    job: Job | None  # None if it is configured no more
    now_ms: int
    current: Attempts | None  # the run in flight
    entries: list[Entry]  # by the time they were due, the latest first
    waits: list[Stretch] = []  # what is due and not told of yet, in order
    beside: list[Attempts] = []  # other runs in flight of which somebody has asked
    kept: Retention = USUAL  # how much is kept
    trouble: list[str] = []  # why it does not run, or not as it should, now; if that was asked

    @property
    def zone(self) -> ZoneInfo:
        """Return the job's zone."""
        return ZoneInfo(self.job.schedule.timezone if self.job else "UTC")

    def local(self, ms: int) -> datetime:
        """Return what the clocks in the job's zone show."""
        return clock.utc(ms).astimezone(self.zone)

    def shown(self, ms: int) -> str:
        """Return a time as people read it, with its offset."""
        precision = "milliseconds" if ms % 1000 else "seconds"
        return self.local(ms).isoformat(timespec=precision)


async def read(ref: str, link: Link, now_ms: int) -> History:
    """Return what is known of TENANT/JOB; raises `NotFound` if that is nothing."""
    catalog, ledger = Catalog(link), Ledger(link)
    job = await catalog.find(ref)
    group = job.group if job else await ledger.group(ref, await catalog.groups())
    if group is None:
        raise NotFound(
            f"no job {ref} is known to the store, and none of that name has run in the last days"
            " (`sched status` lists the groups and tenants)"
        )
    (slot,) = await catalog.slots(group, [ref])
    led = (await catalog.leadership(group)).leader is not None
    return History(
        ref=ref,
        group=group,
        job=job,
        now_ms=now_ms,
        # In this order: a run that ends in between is not left out.
        current=await ledger.current(group, slot.run) if slot.run else None,
        entries=await ledger.of(group, ref, now_ms),
        waits=waiting(job, slot, now_ms) if job and led else [],
        kept=await ledger.retention(group),
    )


async def with_run(history: History, run_id: str, link: Link) -> History:
    """Return the same with a run that may be in flight beside the last one."""
    known = [*([history.current] if history.current else []), *history.entries]
    if any(isinstance(entry, Attempts) and entry.job_id == run_id for entry in known):
        return history
    found = await Ledger(link).current(history.group, run_id)
    return msgspec.structs.replace(history, beside=[found] if found else [])


async def read_all(ref: str, link: Link, now_ms: int) -> History:
    """Return the same, and what keeps the job from running, or succeeding, in words.

    That takes the whole configuration, so it is not for those who look again and again.
    """
    history = await read(ref, link, now_ms)
    lines = [told] if (told := await pausing.tell(ref, link)) else []
    if history.job is not None:
        found = await trouble.find(link, history.job.tenant)
        lines += [trouble.resting(row) for row in found.breakers if row.job == ref]
        lines += [trouble.aged(row) for row in found.stale if row.job == ref]
    return msgspec.structs.replace(history, trouble=lines)


def span(ms: int) -> str:
    """Return how long something took: `12ms 1.8s 41s 12m05s 3h07m`."""
    if ms < _SECOND:
        return f"{ms}ms"
    seconds = ms / _SECOND
    if ms < _MINUTE:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def summary(units: Sum) -> str:
    """Return what became of units of work: `97 items in 3 units, 3 skipped`."""
    items, plural = f"{units.items:,} item", "" if units.items == 1 else "s"
    told = f"{items}{plural} in {units.units:,} unit{'' if units.units == 1 else 's'}"
    return told + (f", {units.skipped:,} skipped" if units.skipped else "")


def rows(history: History, most: int) -> list[tuple[str | None, ...]]:
    """Return what to show of each entry: due, outcome, attempts, waited, took, worker, note."""
    return [_row(history, entry) for entry in _all(history, most)]


def as_data(history: History, most: int) -> list[dict[str, Any]]:
    """Return the same for programs; times are in UTC, empty where there is none."""
    return [data_of(entry) for entry in _all(history, most)]


def reason(entry: Entry) -> str:
    """Return why something was not run, or is gone."""
    if isinstance(entry, Attempts):
        return WHY.get(entry.outcome, "")
    if entry.outcome == Outcome.LOST:
        return "the store has lost what became of it"
    if entry.outcome == WAITING:
        return f"for {entry.detail}"
    text = WHY.get(entry.detail) or WHY.get(entry.outcome, "")
    known = entry.detail in ("", "overlap", "max_lateness", "max_catch_up", *Missed)
    return text if known else ", ".join(filter(None, (text, entry.detail)))


def _all(history: History, most: int) -> list[Entry]:
    current = history.current
    ended = {(e.job_id, e.replays) for e in history.entries if isinstance(e, Attempts)}
    known: list[Entry] = [*reversed(history.waits)]
    if current is not None and (current.job_id, current.replays) not in ended:
        known.append(current)
    return [*known, *history.entries][:most]


def _row(history: History, entry: Entry) -> tuple[str | None, ...]:
    if not isinstance(entry, Attempts):
        made_up = "; made up for by" if entry.outcome == Outcome.MISSED else ":"
        note = reason(entry) + (f"{made_up} {entry.way}" if entry.way else "")
        if entry.times != 1:
            many = f"{entry.times} times" if entry.times else "many times"
            note = f"{many} since {history.shown(entry.from_ms)}: {note}"
        return history.shown(entry.to_ms), entry.outcome, None, None, None, None, note
    until_ms = entry.ended_ms or history.now_ms
    waited = (entry.first_ms or until_ms) - entry.queued_ms if entry.queued_ms else None
    took = until_ms - entry.claimed_ms if entry.claimed_ms else None
    return (
        history.shown(entry.at_ms),
        entry.outcome,
        str(entry.attempts) if entry.attempts else None,
        None if waited is None else span(max(0, waited)),
        None if took is None or entry.outcome in ("queued", "held", "retrying") else span(took),
        entry.worker or None,
        _note(entry),
    )


def _note(entry: Attempts) -> str:
    notes = [asked] if (asked := _asked(entry)) else []
    notes += ["replayed"] if entry.replays else []
    notes += [reason(entry)] if entry.outcome in (Outcome.LOST, Outcome.SKIPPED) else []
    notes += [": ".join(filter(None, error)) for error in entry.errors[-1:]]
    notes += [summary(each) for each in entry.units]
    return "; ".join(notes)


def _asked(entry: Attempts) -> str:
    if entry.is_backfill:
        return "backfill"
    if entry.due_ms:
        return ""
    return "called" if names.is_call(entry.job_id) else "triggered"


def data_of(entry: Entry) -> dict[str, Any]:
    """Return an entry for programs."""
    data: dict[str, Any] = msgspec.to_builtins(entry)
    if isinstance(entry, Attempts):
        data["backfill"] = entry.is_backfill
        data["units"] = [msgspec.structs.asdict(each) for each in entry.units]
    found: dict[str, Any] = {}
    for name, value in data.items():
        if name.endswith("_ms"):
            found[name.removesuffix("_ms")] = clock.iso(value) if value else ""
        else:
            found[name] = value
    return found
