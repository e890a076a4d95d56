"""The only module that knows APScheduler, which keeps the timers and decides what is due.

It is used through its own extension points. Our trigger asks a schedule for its next due time. Our
executor *is* the awaiting run: to submit is to hand the occurrence on to be enqueued, and the
instance counts as running until the run's completion has arrived. So APScheduler's
`max_instances=1` is our no-overlap rule, and no thread is held while a run is under way.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from rota.common.clock import epoch_ms, utc
from rota.common.job import Job
from rota.scheduler.schedule import After, due_of
from rota.scheduler.withheld import Withheld, Withhold, by_blackout, opening

_PARKED = utc(253_370_764_800_000)  # the year 9999: due when the run in flight is over

Fire = Callable[[Job, int], None]  # a job and the time in ms at which it is due
KeptBack = Callable[[Job, int, Withheld], None]  # the same, and what withholds it


class Engine:
    """Calls `fire` for each occurrence, and `skipped` where the job's last run is not over.

    For one that `withhold` withholds it calls `kept_back`, and neither of the others.
    """

    def __init__(
        self,
        *,
        fire: Fire,
        skipped: Fire,
        kept_back: KeptBack,
        withhold: Withhold = by_blackout,
    ) -> None:
        self._jobs: dict[str, Job] = {}
        self._fire = fire
        self._late: dict[str, int] = {}  # TENANT/JOB and due time of what waits for a run to end
        self._skipped = skipped
        self._kept_back = kept_back
        self._withhold = withhold
        self._delays: set[str] = set()  # TENANT/JOB of fixed delays that are kept back
        self._executor = _Awaiting(
            lambda ref, due_ms: fire(self._jobs[ref], due_ms), keep_back=self._keep_back
        )
        self._store = MemoryJobStore()
        self._scheduler = AsyncIOScheduler(
            timezone="UTC",
            executors={"default": self._executor},
            jobstores={"default": self._store},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._on_skipped, EVENT_JOB_MAX_INSTANCES)

    def add(self, job: Job, *, next_ms: int | None, running: bool) -> None:
        """Begin to fire `job`, first at `next_ms`; None if that waits for a run's completion.

        `running` tells that a run of it is in flight already.
        """
        self._jobs[job.ref] = job
        if running:
            self._executor.adopt(job.ref)
        self._schedule(job, next_ms)

    def change(self, job: Job) -> None:
        """Fire `job` as it is now, when it was to be fired anyway: its timing is what it was."""
        if job.ref in self._jobs:
            self._jobs[job.ref] = job

    def retime(self, job: Job, *, next_ms: int | None) -> None:
        """Fire `job` by another timing, first at `next_ms`; None if that waits for a completion.

        A run of it that is under way stays so.
        """
        self._late.pop(job.ref, None)
        self._delays.discard(job.ref)
        self._jobs[job.ref] = job
        self._schedule(job, next_ms)

    def running(self, ref: str) -> bool:
        """Tell whether a run of TENANT/JOB is under way, or fired and not yet enqueued."""
        return self._executor.running(ref)

    def remove(self, ref: str) -> None:
        """Fire TENANT/JOB no more; harmless if it is unknown."""
        self._late.pop(ref, None)
        self._delays.discard(ref)
        if self._jobs.pop(ref, None) is not None:
            self._executor.finished(ref)
            with suppress(JobLookupError):  # stopped
                self._scheduler.remove_job(ref)

    def start(self) -> None:
        """Begin to fire, in the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Fire no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def finished(self, ref: str, ended_ms: int) -> None:
        """Note that a run of the job TENANT/JOB is over; a fixed delay starts to count from now."""
        job = self._jobs.get(ref)
        if job is None:
            return
        self._executor.finished(ref)
        late = self._late.pop(ref, None)
        if late is not None and not self._keep_back(ref, late):
            self._executor.adopt(ref)
            self._fire(job, late)
        if job.schedule.kind == "after":
            due = utc(ended_ms + job.schedule.period_ms)
            with suppress(JobLookupError):  # stopped: runs still end, and nothing is due any more
                self._scheduler.modify_job(ref, next_run_time=due)

    def postpone(self, ref: str, due_ms: int) -> None:
        """Fire this occurrence of TENANT/JOB as soon as its run is over; a later one replaces it.

        A fixed delay is due anyway when its run is over.
        """
        job = self._jobs.get(ref)
        if job is not None and job.schedule.kind != "after":
            self._late[ref] = due_ms

    def look_again(self, now_ms: int) -> None:
        """Fire now the fixed delays that were kept back, and are so no more."""
        for ref in [r for r in self._delays if self._withhold(self._jobs[r], now_ms) is None]:
            self._delays.discard(ref)
            with suppress(JobLookupError):  # stopped
                self._scheduler.modify_job(ref, next_run_time=utc(now_ms))

    def next_ms(self, ref: str) -> int | None:
        """Return when TENANT/JOB is due next; None if that waits for its run to end."""
        job = self._scheduler.get_job(ref)
        if job is None or job.next_run_time is None or job.next_run_time == _PARKED:
            return None
        return epoch_ms(job.next_run_time)

    def _schedule(self, job: Job, next_ms: int | None) -> None:
        self._scheduler.add_job(
            _never_called,
            trigger=_Trigger(job, lambda ms: self._withheld(job.ref, ms)),
            id=job.ref,
            next_run_time=_PARKED if next_ms is None else utc(next_ms),
            replace_existing=True,
        )

    def _withheld(self, ref: str, due_ms: int) -> Withheld | None:
        return self._withhold(self._jobs[ref], due_ms)

    def _keep_back(self, ref: str, due_ms: int) -> bool:
        job, withheld = self._jobs[ref], self._withheld(ref, due_ms)
        self._delays.discard(ref)
        if withheld is not None:
            self._kept_back(job, due_ms, withheld)
            if job.schedule.kind == "after":
                self._delays.add(ref)
        return withheld is not None

    def _on_skipped(self, event: JobSubmissionEvent) -> None:
        for moment in event.scheduled_run_times:
            self._skipped(self._jobs[event.job_id], epoch_ms(moment))


class _Trigger(BaseTrigger):  # type: ignore[misc]  # APScheduler ships without types
    """Asks a schedule when it is due."""

    __slots__ = ("_due", "_parks", "_withheld")

    def __init__(self, job: Job, withheld: Callable[[int], Withheld | None]) -> None:
        self._due = due_of(job)
        self._withheld = withheld
        self._parks = isinstance(self._due, After)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """Return the due time after `previous`; a fixed delay is parked until its run ends.

        Of what is late the last is fired, for all of them: those that are withheld are passed over.
        """
        if self._parks:
            return self._reopened(previous)
        now_ms = epoch_ms(now)
        due_ms = self._due.next_after(epoch_ms(previous or now))
        while due_ms is not None and due_ms <= now_ms:
            withheld = self._withheld(due_ms)
            if withheld is None:
                break
            due_ms = self._due.next_after(min(withheld.end_ms - 1, now_ms))
        return None if due_ms is None else utc(due_ms)

    def _reopened(self, previous: datetime | None) -> datetime:
        """Return until when a fixed delay is kept back, if it is: no run of it will end."""
        if previous is None or self._withheld(epoch_ms(previous)) is None:
            return _PARKED
        opens = opening(self._withheld, epoch_ms(previous))
        return _PARKED if opens is None else utc(opens)


class _Awaiting(BaseExecutor):  # type: ignore[misc]  # APScheduler ships without types
    """Counts a job as running from its submission until `finished` is called."""

    def __init__(
        self, fire: Callable[[str, int], None], *, keep_back: Callable[[str, int], bool]
    ) -> None:
        super().__init__()
        self._fire = fire
        self._keep_back = keep_back

    def submit_job(self, job: Any, run_times: list[datetime]) -> None:
        """Fire the job, unless that is kept back: then it neither runs nor overlaps."""
        if not self._keep_back(job.id, epoch_ms(run_times[-1])):
            super().submit_job(job, run_times)

    def adopt(self, ref: str) -> None:
        """Count a run that is in flight already."""
        self._instances[ref] = 1

    def running(self, ref: str) -> bool:
        """Tell whether the job counts as running."""
        return bool(self._instances.get(ref))

    def finished(self, ref: str) -> None:
        """Count the job as idle; harmless if it is."""
        if ref in self._instances:
            self._run_job_success(ref, [])

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self._fire(job.id, epoch_ms(run_times[-1]))


def _never_called() -> None:
    raise AssertionError("the executor enqueues the job instead of calling this")
