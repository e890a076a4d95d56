"""The runs whose completion the scheduler awaits: one entry each, no thread, no task."""


class Awaited:
    """Runs in flight by job. At most one for each job, as overlaps are skipped."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[str, str, float]] = {}  # TENANT/JOB -> group, job_id, since

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, group: str, ref: str, job_id: str, since: float) -> None:
        """Await the completion of `job_id` since `since`, monotonic seconds."""
        self._runs[ref] = (group, job_id, since)

    def job_id(self, ref: str) -> str | None:
        """Return the run in flight of TENANT/JOB, if there is one."""
        run = self._runs.get(ref)
        return run[1] if run else None

    def remove(self, ref: str, job_id: str) -> bool:
        """Await it no longer; tell whether it was awaited."""
        if self.job_id(ref) != job_id:
            return False
        del self._runs[ref]
        return True

    def older_than(self, since: float) -> dict[str, list[tuple[str, str]]]:
        """Return TENANT/JOB and job_id of the runs awaited since before `since`, by group."""
        old: dict[str, list[tuple[str, str]]] = {}
        for ref, (group, job_id, started) in self._runs.items():
            if started <= since:
                old.setdefault(group, []).append((ref, job_id))
        return old
