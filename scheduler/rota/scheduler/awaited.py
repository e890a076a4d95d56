"""The runs whose completion the scheduler awaits: one entry each, no thread, no task."""

from typing import NamedTuple

from rota.common.catalog import Slot
from rota.common.job import Job, job_id


class InFlight(NamedTuple):
    """One run under way."""

    job: Job
    job_id: str
    due_ms: int  # the occurrence that it stands for; 0 for one that somebody triggered
    since: float  # monotonic seconds

    @classmethod
    def of(cls, job: Job, slot: Slot, now: float) -> "InFlight | None":
        """Return the run of `job` that its slot tells of, awaited since `now`; None if none is."""
        if slot.run is None:
            return None
        due_ms = slot.due_ms or 0
        scheduled = due_ms and slot.run == job_id(job.ref, due_ms)
        return cls(job, slot.run, due_ms if scheduled else 0, now)

    def unknown_to(self, slot: Slot) -> bool:
        """Tell whether the store knows nothing of it: it lost it, or never got it."""
        known = self.job_id in (slot.run, slot.last) or (slot.due_ms or 0) >= self.due_ms
        return self.due_ms > 0 and not known


class Awaited:
    """Runs in flight. A job has several only with `overlap: allow`."""

    def __init__(self) -> None:
        self._runs: dict[str, InFlight] = {}  # by job_id
        self._last: dict[str, str] = {}  # job_id of the last run by TENANT/JOB

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: InFlight) -> None:
        """Await the completion of `run`; unless runs of its job overlap, instead of another one."""
        last = self._last.get(run.job.ref)
        if run.job.overlap != "allow" and last is not None:
            self._runs.pop(last, None)
        self._runs[run.job_id] = run
        self._last[run.job.ref] = run.job_id

    def run(self, ref: str) -> InFlight | None:
        """Return the last run in flight of TENANT/JOB, if there is one."""
        return self._runs.get(self._last.get(ref, ""))

    def job_id(self, ref: str) -> str | None:
        """Return the job_id of the last run in flight of TENANT/JOB, if there is one."""
        run = self.run(ref)
        return run.job_id if run else None

    def remove(self, ref: str, job_id: str) -> bool:
        """Await it no longer; tell whether it was awaited."""
        if self._last.get(ref) == job_id:
            del self._last[ref]
        return self._runs.pop(job_id, None) is not None

    def forget(self, group: str) -> list[InFlight]:
        """Await no run of `group` any longer; return those that were awaited."""
        left = [run for run in self._runs.values() if run.job.group == group]
        for run in left:
            self.remove(run.job.ref, run.job_id)
        return left

    def of(self, group: str, *, before: float) -> list[InFlight]:
        """Return the runs of `group` awaited since before `before`, monotonic seconds."""
        return [
            run for run in self._runs.values() if run.job.group == group and run.since <= before
        ]
