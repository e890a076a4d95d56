"""Tells in plain words what became of one occurrence of a job, step by step."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rota.common import clock
from rota.common.errors import UsageError
from rota.common.job import job_id
from rota.common.ledger import Attempts, Entry, Stretch
from rota.scheduler.history import History, phase_of, reason, span
from rota.scheduler.preview import describe
from rota.scheduler.schedule import due_of
from rota.scheduler.waiting import WAITING

_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
_STATES = {
    "held": "held, as no worker serves its handler",
    "retrying": "resting until it is tried again",
    "fanned": "waiting for its tasks",
}
_MINUTE, _SECOND = 60_000, 1_000


class Moment:
    """A time that somebody asks for, as exact as it was written."""

    def __init__(self, from_ms: int, length_ms: int) -> None:
        self.from_ms = from_ms
        self.to_ms = from_ms + length_ms - 1

    def has(self, ms: int) -> bool:
        """Tell whether `ms` may be meant."""
        return self.from_ms <= ms <= self.to_ms


def moment(text: str, zone: ZoneInfo, now_ms: int) -> Moment:
    """Return the time that `text` means: ISO, in `zone` if it names none; or today's time.

    Raises `UsageError` for anything else.
    """
    try:
        found = (
            _today(text, zone, now_ms) if _TIME.fullmatch(text) else datetime.fromisoformat(text)
        )
    except ValueError:
        raise UsageError(
            f"{text!r} is no time; write for example 2026-11-23T02:00, with an offset such as"
            " +01:00 or Z if it is not in the job's zone, or 02:00"
        ) from None
    at = found if found.tzinfo else found.replace(tzinfo=zone)
    colons = len(re.findall(":", re.sub(r"[+-][0-9:]+$", "", text.partition("T")[2] or text)))
    length_ms = 1 if "." in text else _SECOND if colons > 1 else _MINUTE
    return Moment(clock.epoch_ms(at), length_ms)


def _today(text: str, zone: ZoneInfo, now_ms: int) -> datetime:
    """Return the last time that a clock in `zone` showed `text`."""
    hour, minute, second = map(int, f"{text}:00".split(":")[:3])
    now = clock.utc(now_ms).astimezone(zone)
    found = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return found if found <= now else found - timedelta(days=1)


def find(history: History, at: Moment | None) -> list[Entry]:
    """Return what is known of the occurrence at that time, or of the last one; the first first.

    A dead letter that was replayed has an entry for each time that it came to its end, and what a
    backfill ran again one for each.
    """
    known = history.known
    if at is None:
        return known[:1]
    found = [entry for entry in known if _is_meant(entry, at, history)]
    return sorted(found, key=lambda entry: _told_ms(entry) or history.now_ms)


def _told_ms(entry: Entry) -> int:
    """Return when what became of it was certain; 0 if it is not yet."""
    return entry.noted_ms if isinstance(entry, Stretch) else entry.ended_ms


def tell(history: History, at: Moment | None) -> list[str]:
    """Return what became of the occurrence at that time, or of the last one, in lines."""
    head = history.ref
    if history.job:
        head += f"  {describe(history.job)}  ({history.job.schedule.timezone})"
    due_ms = _due_at(history, at) if at else None
    told = [
        line
        for entry in find(history, at)
        for line in (
            _stretch(history, entry, due_ms or entry.to_ms)
            if isinstance(entry, Stretch)
            else _run(history, entry)
        )
    ]
    return [head, *history.trouble, "", *(told or _nothing(history, at))]


def run_at(history: History, at: Moment) -> str | None:
    """Return the job_id of the run that somebody may mean, if it could be one of several."""
    due_ms = _due_at(history, at)
    if due_ms is None or history.job is None or history.job.overlap != "allow":
        return None
    return job_id(history.ref, due_ms)


def _is_meant(entry: Entry, at: Moment, history: History) -> bool:
    if isinstance(entry, Attempts):
        return at.has(entry.at_ms)
    due_ms = _due_at(history, at)
    return due_ms is not None and entry.from_ms <= due_ms <= entry.to_ms


def _due_at(history: History, at: Moment) -> int | None:
    if history.job is None or history.job.schedule.kind in ("after", "on"):
        return at.from_ms if history.job is None else None
    due_ms = due_of(history.job).next_after(at.from_ms - 1)
    return due_ms if due_ms is not None and at.has(due_ms) else None


def _nothing(history: History, at: Moment | None) -> list[str]:
    """Say why nothing is known of that time."""
    if at is None:
        return ["nothing is known of it: it was not due yet, or that is long ago"]
    due_ms = _due_at(history, at)
    if due_ms is None or history.job is None:
        return _not_due(history, at)
    shown = history.shown(due_ms)
    if due_ms > history.now_ms:
        return [f"{shown}  due then, which is still to come"]
    if not history.entries or due_ms > history.entries[0].at_ms:
        text = (
            f"{shown}  due, and not enqueued yet: no scheduler leads group {history.group}, or"
            " the store was restarted, or it was not configured then (`sched status`)"
        )
        return [text]
    text = (
        f"{shown}  due; the ledger does not hold it, or no longer: it keeps what became of the"
        f" last {history.kept.runs} runs of a job, for {history.kept.days} days"
    )
    return [text]


def _not_due(history: History, at: Moment) -> list[str]:
    if history.job is None:
        return [f"nothing is known of {history.shown(at.from_ms)}; it is configured no more"]
    if history.job.schedule.kind in ("after", "on"):
        before = next((e for e in history.entries if e.at_ms <= at.to_ms), None)
        last = f"; the last run before was due {history.shown(before.at_ms)}" if before else ""
        when = "its last run has ended for a while"
        if history.job.schedule.completed:
            when = f"{history.job.schedule.completed} has succeeded"
        return [f"not due then: it is due when {when}{last}"]
    due = due_of(history.job)
    times = due.last_until(at.from_ms - 1), due.next_after(at.to_ms)
    last, following = ("none" if ms is None else history.shown(ms) for ms in times)
    return [f"not due then: the last due time before is {last}, the next is {following}"]


def _stretch(history: History, entry: Stretch, due_ms: int) -> list[str]:
    due = history.shown(due_ms)
    lines = [f"{due}  due", _told(history, entry)]
    if entry.times != 1:
        many = str(entry.times) if entry.times else "many"
        first, last = history.shown(entry.from_ms), history.shown(entry.to_ms)
        lines.append(f"  as were {many} occurrences from {first} to {last}")
    if entry.way:
        lines.append(f"  {_way(history, entry)}")
    return lines


def _told(history: History, entry: Stretch) -> str:
    now = history.shown(history.now_ms)
    if entry.outcome == WAITING:
        return f"{now}  waiting {reason(entry)}"
    if not entry.noted_ms:  # it is noted when what is before it has run
        return f"{now}  to be noted as {entry.outcome}: {reason(entry)}"
    return f"{history.shown(entry.noted_ms)}  {entry.outcome}: {reason(entry)}"


def _way(history: History, entry: Stretch) -> str:
    if entry.outcome == "missed":
        return f"made up for by {entry.way}"
    if history.current and history.current.job_id == entry.way:
        return f"in the way was {entry.way}, which is {history.current.outcome}"
    ends = [e for e in history.entries if isinstance(e, Attempts) and e.job_id == entry.way]
    ended = f", which {_ended(ends[0])} {history.shown(ends[0].ended_ms)}" if ends else ""
    return f"in the way was {entry.way}{ended}"


def _run(history: History, entry: Attempts) -> list[str]:
    shown = history.shown
    lines = [f"{shown(entry.due_ms)}  due"] if entry.due_ms else []
    if entry.queued_ms:
        verb = "replayed" if entry.replays else "enqueued" if entry.due_ms else "triggered"
        verb = "backfilled" if entry.is_backfill and not entry.replays else verb
        lines.append(f"{shown(entry.queued_ms)}  {verb} as {entry.job_id}{_ahead(entry)}")
    else:
        lines.append(f"  run as {entry.job_id}; when it was enqueued is not known")
    if entry.first_ms:
        waited_ms = max(0, entry.first_ms - entry.queued_ms)
        after = f", after it had waited {span(waited_ms)}" if entry.queued_ms else ""
        by = f" by {entry.worker}" if entry.first_ms == entry.claimed_ms else ""
        lines.append(f"{shown(entry.first_ms)}  claimed{by}{after}")
    final = entry.errors[-1:] if entry.outcome == "dead" else []
    before = entry.errors[: len(entry.errors) - len(final)]
    lines += [f"  an attempt failed: {': '.join(filter(None, each))}" for each in before]
    if entry.claimed_ms > entry.first_ms:
        lines.append(
            f"{shown(entry.claimed_ms)}  claimed by {entry.worker}, for {_purpose(history, entry)}"
        )
    lines += [f"  the last attempt failed: {': '.join(filter(None, each))}" for each in final]
    return [*lines, _end(history, entry)]


def _mended(history: History, entry: Attempts) -> str:
    """Return which handler for failures was called last; empty if none was."""
    phase = history.job.on_failure if history.job else None
    return phase.handler if phase and (entry.outcome == "dead" or entry.mending) else ""


def _purpose(history: History, entry: Attempts) -> str:
    """Return what a run was claimed for last."""
    if not entry.ended_ms and not entry.attempts:
        return "an earlier phase"
    if handler := _mended(history, entry):
        return f"on_failure, {handler}"
    job = history.job
    if job is None or not job.phases:
        return f"attempt {entry.attempts}"
    number = entry.phase or (0 if entry.ended_ms else 1)
    number = len(job.phases) + 1 if entry.outcome == "succeeded" else number
    if not 0 < number <= len(job.phases) + 1:
        return f"attempt {entry.attempts}"
    return f"phase {number}, {job.calls[number - 1][0]}, attempt {entry.attempts}"


def _ahead(entry: Attempts) -> str:
    tenant = entry.job_id.partition("/")[0]
    parts = []
    if entry.ahead:
        were = "run was" if entry.ahead == 1 else "runs were"
        parts.append(f"{entry.ahead} {were} ahead of it in the queue of {tenant}")
    if entry.others:
        had = "tenant" if entry.others == 1 else "tenants"
        parts.append(f"{entry.others} other {had} had runs queued")
    return f"; {', '.join(parts)}" if parts else ""


def _end(history: History, entry: Attempts) -> str:
    if not entry.ended_ms:
        return _so_far(history, entry)
    text = _ended(entry)
    if where := phase_of(history.job, entry):
        text += f" in {where},"
    if entry.attempts:
        text += f" with attempt {entry.attempts}"
        if entry.claimed_ms and not _mended(history, entry):
            text += f", which took {span(max(0, entry.ended_ms - entry.claimed_ms))}"
        if entry.took_ms and entry.first_ms < entry.claimed_ms:
            text += f"; the run took {span(entry.took_ms)}"
    if why := reason(entry) if entry.outcome in ("lost", "skipped") else "":
        text += f": {why}" + (f" ({entry.way})" if entry.way else "")
    return f"{history.shown(entry.ended_ms)}  {text}"


def _so_far(history: History, entry: Attempts) -> str:
    state = _STATES.get(entry.outcome, entry.outcome)
    since_ms = entry.claimed_ms if entry.outcome == "running" else entry.queued_ms
    where = phase_of(history.job, entry)
    state += f"{';' if entry.mending else ' in'} {where}" if where else ""
    since = f", for {span(history.now_ms - since_ms)} so far" if since_ms else ""
    return f"{history.shown(history.now_ms)}  {state}{since}"


def _ended(entry: Attempts) -> str:
    return {"dead": "died", "cancelled": "was cancelled", "lost": "is lost"}.get(
        entry.outcome, entry.outcome
    )
