"""Reads what a run has fanned out into: how far its tasks are, which take long, which are dead."""

from typing import NamedTuple

import msgspec

from rota.common import clock, keys
from rota.common.link import Link

_COUNTS = ("phase", "planned", "succeeded", "dead", "cancelled", "whole")
_FIELDS = ("state", "size", "attempt", "worker", "at")


class LiveTask(NamedTuple):
    """A task that has begun, or is next to."""

    job_id: str  # RUN#PHASE.NUMBER
    state: str  # queued, held, retrying or running
    size: float  # in the unit of its planner
    attempt: int  # 0 before the first
    worker: str  # of the last attempt
    started_ms: int  # when that began, by the store's clock; 0 before the first


class DeadTask(NamedTuple):
    """A task whose attempts are spent."""

    job_id: str
    kind: str  # of its last error
    message: str
    attempt: int
    worker: str
    died_ms: int
    key: str = ""  # the shard that it belongs to


class Counts(NamedTuple):
    """How far the tasks of a run are."""

    phase: int
    planned: int  # so far
    succeeded: int
    dead: int
    cancelled: int
    whole: bool  # whether `planned` is all of them

    @property
    def over(self) -> int:
        """Return how many have ended."""
        return self.succeeded + self.dead + self.cancelled


async def counts(group: str, job_id: str, link: Link) -> Counts | None:
    """Return how far the tasks of a run are; None if it has none."""
    row = await link.command("HMGET", keys.fan(group, job_id), *_COUNTS)
    return _counts(row) if row[0] else None


def _counts(row: list[bytes | None]) -> Counts:
    phase, planned, succeeded, dead, cancelled, whole = (int(value or 0) for value in row)
    return Counts(phase, planned, succeeded, dead, cancelled, bool(whole))


class FanOut(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of a run in its present phase, or of the one that failed."""

    job_id: str
    phase: int
    planned: int  # so far
    whole: bool  # whether that is all of them
    succeeded: int
    dead: int
    cancelled: int
    live: list[LiveTask]  # the running ones first, of those the one that began first
    failures: list[DeadTask]  # the first 100, by number
    now_ms: int  # by the store's clock

    @property
    def running(self) -> int:
        """Return how many are being executed."""
        return sum(task.state == "running" for task in self.live)

    @property
    def waiting(self) -> int:
        """Return how many have not begun, or are to be tried again."""
        ended = self.succeeded + self.dead + self.cancelled
        return max(0, self.planned - ended - self.running)


async def read(group: str, job_id: str, link: Link) -> FanOut | None:
    """Return what a run has fanned out into; None if it has no tasks."""
    row, live, bad, time = await link.pipeline(
        [
            ("HMGET", keys.fan(group, job_id), *_COUNTS),
            ("SMEMBERS", keys.live(group, job_id)),
            ("HGETALL", keys.bad(group, job_id)),
            ("TIME",),
        ]
    )
    if row[0] is None:
        return None
    found = _counts(row)
    prefix = f"{job_id}#{found.phase}."
    return FanOut(
        job_id=job_id,
        **found._asdict(),
        live=await _live(group, [f"{prefix}{number.decode()}" for number in live], link),
        failures=[
            DeadTask(f"{prefix}{number}", *msgspec.msgpack.decode(packed))
            for number, packed in sorted((int(n), packed) for n, packed in bad.items())
        ],
        now_ms=clock.of_store(time),
    )


async def _live(group: str, ids: list[str], link: Link) -> list[LiveTask]:
    rows = await link.many([("HMGET", keys.run(group, each), *_FIELDS) for each in ids])
    found = [
        LiveTask(
            each, state.decode(), float(size or 0), int(attempt or 0), (worker or b"").decode(),
            int(at or 0),
        )
        for each, (state, size, attempt, worker, at) in zip(ids, rows, strict=True)
        if state
    ]  # fmt: skip
    return sorted(found, key=lambda task: (task.state != "running", task.started_ms, task.job_id))
