"""The ledger: what became of each occurrence of a job, in the store one list for each job.

Every occurrence that is due ends in exactly one outcome, or its run is still in flight. What is
kept is bounded, by the last entries and by days: see `rota.common.retention`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from rota.common import job_ids, keys, progress
from rota.common.job import job_id
from rota.common.link import Link
from rota.common.progress import Sum
from rota.common.retention import DAY_MS, USUAL, Retention
from rota.common.state import IN_FLIGHT, State


class Outcome(StrEnum):
    """How an occurrence ended. The first three are of runs that were carried out, or could be."""

    SUCCEEDED = "succeeded"
    DEAD = "dead"  # every attempt failed
    CANCELLED = "cancelled"  # somebody cancelled the run, or a later one with `overlap: cancel`
    LOST = "lost"  # the store has lost the run; whether it was carried out is unknown
    SKIPPED = "skipped"  # the job's last run was not over
    BLACKOUT = "blackout"
    MISSED = "missed"  # no scheduler was there
    LATE = "late"  # it was too late to make up for
    SHED = "shed"  # too many runs of its tenant were queued
    PAUSED = "paused"
    BREAKER = "breaker"  # the job kept failing
    EXPIRED = "expired"  # of a call: its time was over before it could begin


class Missed(StrEnum):
    """Why an occurrence was missed."""

    DOWN = "down"  # no scheduler led the group
    STALLED = "stalled"  # the scheduler was held up
    PAUSE = "pause"  # it was paused before it could be made up for


class Note(NamedTuple):
    """Occurrences of a job that were not run, all for the same reason, as they are recorded."""

    ref: str  # TENANT/JOB
    outcome: str  # one of `Outcome`
    detail: str  # more on that: a word of `Missed`, or for people
    from_ms: int  # when the first was due; 0 for a run that may be lost, `way`
    to_ms: int  # when the last was due; of a run that was triggered 0
    times: int  # how many these are; 0 if they are too many to be counted
    way: str = ""  # the run that was in the way, or made up for them, or is lost


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended, or that is gone."""

    job_id: str
    outcome: str
    due_ms: int  # 0 if somebody triggered it; of a backfill's run that of what it runs again
    ended_ms: int  # by the store's clock, as all times but `due_ms`
    queued_ms: int = 0  # 0 here and below: it is not known, or did not happen
    ahead: int = 0  # runs of its tenant that were queued before it
    others: int = 0  # other tenants that had queued runs then
    first_ms: int = 0  # when it was claimed for its first attempt
    claimed_ms: int = 0  # and for its last one
    attempts: int = 0
    worker: str = ""  # of the last attempt
    errors: list[tuple[str, str]] = []  # of the last three failed attempts: kind, and a short text
    replays: int = 0  # how often it was a dead letter, and was replayed
    way: str = ""  # job_id of the run in favour of which it is gone
    units: list[Sum] = []  # of its work, all attempts together; of at most four kinds
    phase: int = 0  # in which it is, was cancelled or has failed; 0: in its only one, or unknown
    mending: bool = False  # whether the handler for failures is at it

    @property
    def is_backfill(self) -> bool:
        """Tell whether it is a backfill's: it stands for no occurrence, and may be one of many."""
        return job_ids.backfilled_ms(self.job_id) > 0

    @property
    def at_ms(self) -> int:
        """Return when it was due, or triggered."""
        return self.due_ms or self.queued_ms or self.ended_ms

    @property
    def took_ms(self) -> int | None:
        """Return how long it took, from first start to end, with all rests between attempts.

        None of one that has not ended, or was never claimed.
        """
        return max(0, self.ended_ms - self.first_ms) if self.ended_ms and self.first_ms else None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Occurrences that were not run, all for the same reason."""

    outcome: str
    detail: str
    from_ms: int  # when the first was due
    to_ms: int  # when the last was due
    times: int  # how many these are; 0 if nobody has counted them
    noted_ms: int  # by the store's clock
    way: str = ""  # job_id of the run that was in the way, or that made up for them

    @property
    def at_ms(self) -> int:
        """Return when the last was due."""
        return self.to_ms


Entry = Attempts | Stretch


class _Run(msgspec.Struct, array_like=True, tag=1):
    """As `ledger.lua` writes it, in few bytes: what may be missing is at the end."""

    outcome: str  # empty if it succeeded
    due_ms: int  # 0 if it was triggered, or is gone
    queued: str  # ms after it was due; if any, runs of its tenant ahead, and tenants that waited
    claimed_ms: int  # after it was due; when it ended if it was not claimed
    took_ms: int  # -1 if it was not claimed, or that is not known
    attempts: int
    worker: str
    name: str = ""  # the job_id behind TENANT/JOB; empty if it follows from `due_ms`
    first_ms: int = 0
    errors: list[tuple[str, str]] = []
    replays: int = 0
    way: str = ""
    units: list[Sum] = []
    phase: int = 0


class _Stretch(msgspec.Struct, array_like=True, tag=2):
    outcome: str
    from_ms: int
    length_ms: int
    times: int
    detail: str
    way: str
    noted_after_ms: int


_FIELDS = ("state", "due", "queued", "at", "attempt", "worker", "past", "units", "phase", "failed")
_decoder = msgspec.msgpack.Decoder(_Run | _Stretch)
_failed = msgspec.msgpack.Decoder(tuple[int, str, Any])  # phase, handler, attempts
_past = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, str]], int])


class Ledger:
    """Reads what became of the occurrences of jobs."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def of(self, group: str, ref: str, now_ms: int) -> list[Entry]:
        """Return what is kept of TENANT/JOB, by the time it was due, the latest first."""
        kept = await self.retention(group)
        rows = await self._link.command("LRANGE", keys.ledger(group, ref), 0, kept.runs - 1)
        found = entries(ref, rows, now_ms, kept)
        return sorted(found, key=lambda entry: entry.at_ms, reverse=True)

    async def retention(self, group: str) -> Retention:
        """Return how much is kept of each job of `group`."""
        runs, ms = await self._link.command("HMGET", keys.root(group), "ledger_runs", "ledger_ms")
        return Retention(runs=int(runs), days=int(ms) // DAY_MS) if runs and ms else USUAL

    async def current(self, group: str, run_id: str) -> Attempts | None:
        """Return a run that is in flight; its outcome is its state so far."""
        return next(iter(await self.in_flight(group, [run_id])), None)

    async def in_flight(self, group: str, run_ids: Sequence[str]) -> list[Attempts]:
        """Return those of these runs that are in flight; their outcomes are their states so far."""
        rows = await self._link.many([("HMGET", keys.run(group, i), *_FIELDS) for i in run_ids])
        return [
            _in_flight(run_id, row)
            for run_id, row in zip(run_ids, rows, strict=True)
            if row[0] and State(row[0].decode()) in IN_FLIGHT
        ]

    async def group(self, ref: str, groups: Sequence[str]) -> str | None:
        """Return the one of `groups` that knows TENANT/JOB, also if it is configured no more."""
        known = await self._link.pipeline(
            [("EXISTS", keys.ledger(group, ref)) for group in groups]
            + [("EXISTS", keys.slot(group, ref)) for group in groups]
        )
        return next((g for g, found in zip([*groups, *groups], known, strict=True) if found), None)


def _in_flight(run_id: str, row: list[bytes | None]) -> Attempts:
    state, due, queued, at, attempt, worker, past, units, phase, failed = (
        value or b"" for value in row
    )
    first_ms, errors, replays = _past.decode(past) if past else (0, [], 0)
    queued_ms, ahead, others = _queued(queued.decode(), int(due or 0))
    return Attempts(
        job_id=run_id,
        outcome=state.decode(),
        due_ms=int(due or 0) or job_ids.backfilled_ms(run_id),
        ended_ms=0,
        queued_ms=queued_ms,
        ahead=ahead,
        others=others,
        first_ms=first_ms or int(at or 0),
        claimed_ms=int(at or 0),
        attempts=int(attempt or 0),
        worker=worker.decode(),
        errors=errors,
        replays=replays,
        units=progress.sums(units),
        phase=_failed.decode(failed)[0] if failed else int(phase or 0),
        mending=bool(failed),
    )


def _queued(text: str, due_ms: int) -> tuple[int, int, int]:
    """Return when a run was queued, and behind how many runs and other tenants."""
    if not text:
        return 0, 0, 0
    after_ms, ahead, others, *_ = map(int, f"{text} 0 0".split())
    return due_ms + after_ms, ahead, others


def entries(ref: str, rows: list[bytes], now_ms: int = 0, kept: Retention = USUAL) -> list[Entry]:
    """Return the entries in a job's list, without those that are too old at `now_ms`.

    One that a later version wrote is left out.
    """
    found: list[Entry] = []
    for row in rows:
        try:
            raw = _decoder.decode(row)
        except msgspec.ValidationError:
            continue
        entry = _attempts(ref, raw) if isinstance(raw, _Run) else _stretch(ref, raw)
        written = entry.ended_ms if isinstance(entry, Attempts) else entry.noted_ms
        if written > now_ms - kept.ms:
            found.append(entry)
    return found


def _attempts(ref: str, raw: _Run) -> Attempts:
    claimed_ms = raw.due_ms + raw.claimed_ms
    due_ms = raw.due_ms or job_ids.due_of(raw.name) or job_ids.backfilled_ms(f"{ref}:{raw.name}")
    queued_ms, ahead, others = _queued(raw.queued, raw.due_ms)
    was_claimed = raw.took_ms >= 0
    return Attempts(
        job_id=f"{ref}:{raw.name}" if raw.name else job_id(ref, due_ms),
        outcome=raw.outcome or Outcome.SUCCEEDED,
        due_ms=due_ms,
        ended_ms=claimed_ms + max(0, raw.took_ms),
        queued_ms=queued_ms,
        ahead=ahead,
        others=others,
        first_ms=raw.first_ms or (claimed_ms if was_claimed else 0),
        claimed_ms=claimed_ms if was_claimed else 0,
        attempts=raw.attempts,
        worker=raw.worker,
        errors=raw.errors,
        replays=raw.replays,
        way=f"{ref}:{raw.way}" if raw.way else "",
        units=raw.units,
        phase=raw.phase,
    )


def _stretch(ref: str, raw: _Stretch) -> Stretch:
    to_ms = raw.from_ms + raw.length_ms
    return Stretch(
        outcome=raw.outcome,
        detail=raw.detail,
        from_ms=raw.from_ms,
        to_ms=to_ms,
        times=raw.times,
        noted_ms=to_ms + raw.noted_after_ms,
        way=f"{ref}:{raw.way}" if raw.way else "",
    )
