"""Freshness: a job that promises to succeed every so often raises an alert when it has not.

Nobody has to fail for that: a run that hangs, a worker that is missing, or a schedule that never
comes is found all the same.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from rota.common import clock as clocks
from rota.common import duration
from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock
from rota.common.job import Job
from rota.common.pauses import PauseSet
from rota.common.service import Loop
from rota.scheduler.applied import UNKNOWN, Applied, Since
from rota.scheduler.pause_watch import PauseWatch

_PERIOD = 5.0  # seconds
_CHUNK = 1_000  # slots that are read in one go


class Success(NamedTuple):
    """From when on the age of a job's data counts, ms."""

    ok_ms: int  # its last success; 0 if there was none
    known_ms: int  # when it was applied; counts for one that never succeeded
    resumed_ms: int = 0  # when it was resumed last; while it is paused nobody expects anything

    @classmethod
    def of(cls, job: Job, slot: Slot, pauses: PauseSet, since: Since, opened_ms: int) -> "Success":
        """Return it, of what is known of `job`; its group's gate opened last at `opened_ms`."""
        # A store that may have lost writes may have forgotten the last success.
        known_ms = max(since.known_ms, opened_ms)
        return cls(slot.ok_ms, known_ms, pauses.resumed_ms(job.ref))

    def stale_ms(self, job: Job) -> int:
        """Return from when on `job` is stale, unless it succeeds before."""
        return max(self.ok_ms or self.known_ms, self.resumed_ms) + job.fresh_within_ms


class Freshness(Loop):
    """Looks at the slot of a job when it would be stale, not before; and at stale ones each 5 s."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        pauses: PauseWatch,
        led: Callable[[], Collection[str]],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._catalog = catalog
        self._pauses = pauses
        self._led = led  # the groups that we lead
        self._clock = clock
        self._jobs: dict[str, list[Job]] = {}  # those that promise anything, by group
        self._since: dict[str, Since] = {}
        self._look_ms: dict[str, int] = {}  # when to look at TENANT/JOB; at once if it is missing
        self._stale: set[str] = set()

    @property
    def stale(self) -> int:
        """Return how many are stale of the jobs that we lead."""
        return len(self._stale)

    def follow(self, applied: Applied) -> None:
        """Hold these jobs to what they promise."""
        self._since = applied.since
        self._jobs = {
            group: promising
            for group, jobs in applied.jobs.items()
            if (promising := [job for job in jobs if job.fresh_within_ms])
        }
        self._look_ms = {}
        self._stale &= {job.ref for jobs in self._jobs.values() for job in jobs}
        self.wake()

    async def turn(self) -> float:
        """Look at the jobs that may have become stale, or fresh again."""
        led = set(self._led())
        for group, jobs in list(self._jobs.items()):
            if group in led:
                await self._look(group, jobs)
            else:
                self._forget(jobs)
        return _PERIOD

    async def _look(self, group: str, jobs: list[Job]) -> None:
        now_ms = self._clock.now_ms()
        due = [job for job in jobs if self._look_ms.get(job.ref, 0) <= now_ms]
        for job in due:
            if self._pauses.known.over(job.ref):
                self._freshen(job, "paused")
        due = [job for job in due if not self._pauses.known.over(job.ref)]
        opened_ms = await self._catalog.opened_ms(group) if due else 0
        for start in range(0, len(due), _CHUNK):
            chunk = due[start : start + _CHUNK]
            slots = await self._catalog.slots(group, [job.ref for job in chunk])
            if self._jobs.get(group) is not jobs:
                return  # others were applied meanwhile
            for job, slot in zip(chunk, slots, strict=True):
                self._judge(job, slot, opened_ms)

    def _judge(self, job: Job, slot: Slot, opened_ms: int) -> None:
        since = self._since.get(job.ref, UNKNOWN)
        success = Success.of(job, slot, self._pauses.known, since, opened_ms)
        self._look_ms[job.ref] = success.stale_ms(job)
        if self._clock.now_ms() < success.stale_ms(job):
            self._freshen(job, "succeeded")
        elif job.ref not in self._stale:
            self._stale.add(job.ref)
            self.log.warning(
                "job_stale",
                tenant=job.tenant,
                job=job.name,
                fresh_within=duration.text(job.fresh_within_ms),
                last_success=clocks.iso_known(slot.ok_ms),
            )

    def _freshen(self, job: Job, reason: str) -> None:
        if job.ref in self._stale:
            self._stale.discard(job.ref)
            self.log.info("job_fresh", tenant=job.tenant, job=job.name, reason=reason)

    def _forget(self, jobs: list[Job]) -> None:
        """Leave these jobs to whoever leads them."""
        for job in jobs:
            self._stale.discard(job.ref)
            self._look_ms.pop(job.ref, None)
