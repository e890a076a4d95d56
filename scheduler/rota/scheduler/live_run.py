"""One run as it is now: its state, how far its handler is, and what its units have come to."""

from typing import Any

import msgspec

from rota.common import clock, fan_out, keys, progress
from rota.common.catalog import Catalog
from rota.common.errors import NotFound
from rota.common.fan_out import Counts
from rota.common.ledger import Attempts, Entry
from rota.common.link import Link
from rota.common.progress import Mark, Sum, Tally
from rota.scheduler import history

OVER = ("succeeded", "dead", "cancelled", "lost", "skipped")
_STALLED_MS = 30_000  # the shortest silence that is called a stall
_STEP = 0.05  # of a whole, after which a handler's progress is written
_PATIENCE = 3  # times as long as a step should take: then it has stalled


class LiveRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of one run. Times are in ms since 1970, by the store's clock."""

    job_id: str
    group: str
    entry: Attempts  # its outcome is the run's state, as long as it is in flight
    attempts: int = 0  # how many there may be; 0 if nobody knows any more
    phase: str = ""  # which one it is in, of several
    tasks: Counts | None = None  # of its phase, if it was planned
    mark: Mark | None = None  # what a handler told last of its progress
    tallies: list[Tally] = []  # of units; none if only the sums are left
    noted_ms: int = 0  # when one of both was written
    now_ms: int

    @property
    def over(self) -> bool:
        """Tell whether it has ended, or is gone."""
        return self.entry.outcome in OVER

    @property
    def sums(self) -> list[Sum]:
        """Return what became of its units."""
        return [*self.tallies] or self.entry.units

    @property
    def done(self) -> int:
        """Return how much is done; of units each checkpoint tells that, and the mark seldom."""
        if self.mark is None:
            return 0
        phase = self.mark.phase
        return max(self.mark.done, *(t.position for t in self.tallies if t.name == phase), 0)

    @property
    def silent_ms(self) -> int:
        """Return for how long its handler has told nothing; 0 if it is not running."""
        if self.entry.outcome != "running":
            return 0
        return max(0, self.now_ms - max(self.noted_ms, self.entry.claimed_ms))

    @property
    def stalled(self) -> bool:
        """Tell whether its handler tells nothing for much longer than the work should take.

        One that has told nothing yet is not judged.
        """
        if self.mark is None or self.over:
            return False
        steps = [tally.took_ms / tally.units for tally in self.tallies if tally.units]
        if self.mark.total and self.mark.rate > 0:
            steps.append(1000 * _STEP * self.mark.total / self.mark.rate)
        usual_ms = min(steps, default=2 * _STALLED_MS / _PATIENCE)
        return self.silent_ms > max(_STALLED_MS, _PATIENCE * usual_ms)

    @property
    def rest_s(self) -> float | None:
        """Return how many seconds it will still take at the present rate; None if unknown."""
        if self.mark is None or self.entry.outcome != "running" or self.stalled:
            return None
        if not self.mark.total or self.mark.rate <= 0:
            return None
        return max(0, (self.mark.total - self.done) / self.mark.rate - self.silent_ms / 1000)

    @property
    def task_rate(self) -> float:
        """Return how many tasks ended each second, since their planner began; 0 if unknown."""
        since_ms = self.now_ms - self.entry.claimed_ms
        if self.tasks is None or self.entry.outcome != "fanned" or self.entry.replays:
            return 0.0
        return 1000 * self.tasks.over / since_ms if since_ms > 0 else 0.0


async def read(job_id: str, link: Link) -> LiveRun:
    """Return what the store knows of a run; raises `NotFound` if that is nothing."""
    found = await history.read(job_id.partition(":")[0], link, clock.SystemClock().now_ms())
    found = await history.with_run(found, job_id, link)
    known: list[Entry | None] = [found.current, *found.beside, *found.entries]
    entries = [e for e in known if isinstance(e, Attempts) and e.job_id == job_id]
    if not entries:
        raise NotFound(
            f"no run {job_id} is known to the store; its job's last runs: `sched runs {found.ref}`"
        )
    record = await Catalog(link).run(found.group, job_id)
    packed = record.get("units", b"")
    return LiveRun(
        job_id=job_id,
        group=found.group,
        entry=entries[0],
        attempts=_most(record, entries[0]),
        phase=history.phase_of(found.job, entries[0]),
        tasks=await fan_out.counts(found.group, job_id, link),
        mark=progress.mark(record.get("progress", b"")),
        tallies=_tallies(packed),
        noted_ms=int(record.get("noted", 0)),
        now_ms=await link.now_ms(keys.root(found.group)),
    )


def _most(record: dict[str, bytes], entry: Attempts) -> int:
    """Return how many attempts there may be: of a dead run in the phase that failed."""
    if entry.ended_ms and "failed" in record:
        return int(msgspec.msgpack.decode(record["failed"])[2])
    return int(record.get("attempts", 0))


def _tallies(packed: bytes) -> list[Tally]:
    try:
        return progress.tallies(packed)
    except msgspec.MsgspecError:
        return []  # a later version's; the sums are those of every version


def as_data(run: LiveRun) -> dict[str, Any]:
    """Return a run for programs: times are in UTC, null where there is none."""
    told = None
    if run.mark:
        told = {
            "done": run.done,
            **{name: getattr(run.mark, name) for name in ("total", "phase", "attempt")},
            "rate": round(run.mark.rate, 3),
            "rest_s": None if run.rest_s is None else round(run.rest_s, 1),
            "at": clock.iso_known(run.noted_ms),
            "silent_ms": run.silent_ms,
            "stalled": run.stalled,
        }
    units = [msgspec.to_builtins(_named(each)) for each in run.sums]
    data = history.data_of(run.entry)
    tasks = run.tasks and run.tasks._asdict()
    return {
        **data,
        "group": run.group,
        "tasks": tasks,
        "of": run.attempts,
        "progress": told,
        "units": units,
    }


def _named(each: Sum) -> dict[str, Any]:
    data = msgspec.structs.asdict(each)
    skips = [msgspec.structs.asdict(skip) for skip in data.pop("skips", [])]
    return {**data, "skips": skips}
