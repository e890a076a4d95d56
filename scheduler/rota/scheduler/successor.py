"""Starts jobs on the success of others: `on: {completed: other-job}`."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from rota.common import clock, message
from rota.common.catalog import Catalog, Slot
from rota.common.intervention import Intervention
from rota.common.job import Job, job_id
from rota.common.ledger import Note, Outcome
from rota.common.message import JobRequest
from rota.common.recording import Recording
from rota.common.run import Occurrence
from rota.common.service import Loop
from rota.common.store import GATED, Store
from rota.scheduler.applied import UNKNOWN, Since
from rota.scheduler.withheld import Withhold

_PERIOD = 30.0  # seconds between two looks, if no success is heard of meanwhile
_SOON = 0.5  # seconds until what could not be done is tried again
_CHUNK = 200  # jobs that are looked at in one go


class _Due(NamedTuple):
    job: Job
    due_ms: int  # when the other job succeeded
    run: str | None  # of the job, in flight


class Successor(Loop):
    """Looks which jobs have succeeded since those that wait for it ran, and starts these.

    The jobs' slots in the store tell, so nothing is lost with a scheduler: the next one sees the
    same. A start is the occurrence that was due when the other run ended; so none happens twice.
    """

    def __init__(
        self,
        group: str,
        *,
        store: Store,
        catalog: Catalog,
        withhold: Withhold,
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._withhold = withhold
        self._group = group
        self._catalog = catalog
        self._recording = Recording(store)
        self._intervention = Intervention(store)
        self._jobs: list[Job] = []
        self._since: Mapping[str, Since] = {}

    def follow(self, jobs: Iterable[Job], since: Mapping[str, Since]) -> None:
        """Start these jobs from now on, those of them that wait for others."""
        self._jobs = [job for job in jobs if job.schedule.kind == "on"]
        self._since = since
        self.wake()

    async def turn(self) -> float | None:
        """Look once at all that wait."""
        jobs, done = self._jobs, True
        for start in range(0, len(jobs), _CHUNK):
            due = await self._look(jobs[start : start + _CHUNK])
            done = await self._start_all(due) and done
        if not done:
            return _SOON
        return _PERIOD if jobs else None

    async def _look(self, jobs: list[Job]) -> list[_Due]:
        """Return those of `jobs` that are due now."""
        refs = [job.ref for job in jobs] + [awaited(job) for job in jobs]
        slots = await self._catalog.slots(self._group, refs)
        pairs = zip(jobs, slots[: len(jobs)], slots[len(jobs) :], strict=True)
        return [
            _Due(job, other.ended_ms, own.run)
            for job, own, other in pairs
            if other.ended_ms
            and other.outcome == Outcome.SUCCEEDED
            and other.ended_ms > self._floor(job, own)
        ]

    def _floor(self, job: Job, slot: Slot) -> int:
        """Return up to when successes count no more: they led to a run, or came before the job."""
        since = self._since.get(job.ref, UNKNOWN)
        return max(slot.due_ms or 0, since.changed_ms, 0 if slot.due_ms else since.known_ms)

    async def _start_all(self, due: list[_Due]) -> bool:
        """Start what is due, or note why not; tell whether nothing is left to do."""
        runs: list[Occurrence] = []
        notes: list[Note] = []
        cancelled = [(self._group, d.run) for d in due if d.run and d.job.overlap == "cancel"]
        for each in due:
            if why := self._withhold(each.job, each.due_ms):
                notes.append(_note(each, why.outcome, why.detail))
            elif each.run and each.job.overlap == "cancel":
                continue  # it is started when that one is over
            elif each.run:
                notes.append(_note(each, Outcome.SKIPPED, "overlap", each.run))
            else:
                runs.append(_run(each))
        if cancelled:
            await self._intervention.cancel(cancelled)
        return await self._send(runs, notes) and not cancelled

    async def _send(self, runs: list[Occurrence], notes: list[Note]) -> bool:
        sent = await self._recording.send(
            {self._group: runs} if runs else {}, {self._group: notes} if notes else {}, {}
        )
        words = [*sent.runs.get(self._group, []), *sent.notes.get(self._group, [])]
        for run, (word, _) in zip(runs, sent.runs.get(self._group, []), strict=False):
            if word == "queued":
                self.log.info("run_follows", job_id=run.job_id, due=clock.iso(run.due_ms))
        again = {GATED, "busy", "partly"}
        return len(words) == len(runs) + len(notes) and again.isdisjoint(w for w, _ in words)


def awaited(job: Job) -> str:
    """Return TENANT/JOB of the job whose success starts `job`."""
    return f"{job.tenant}/{job.schedule.completed}"


def _note(due: _Due, outcome: Outcome, detail: str, way: str = "") -> Note:
    return Note(due.job.ref, outcome, detail, due.due_ms, due.due_ms, 1, way)


def _run(due: _Due) -> Occurrence:
    request: JobRequest = message.request_for(due.job)
    run_id = job_id(due.job.ref, due.due_ms)
    return Occurrence.of(
        due.job, run_id, due_ms=due.due_ms, keep_ms=0, body=message.encode(request)
    )
