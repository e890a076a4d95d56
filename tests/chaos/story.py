"""A chaos run told line by line, for the tests of the checker."""

from typing import Any

from tests.chaos import checker
from tests.chaos.checker import Limits, Verdict
from tests.chaos.history import History, Line

LIMITS = Limits(worker=5.0, sched=5.0, store=5.0)
ONE, TWO = 11, 12  # the workers' processes
JOB, RATE, HAND = "acme/sync", "acme/poll", "acme/hand"


def run_id(number: int, job: str = JOB) -> str:
    """Return the id of a job's run that is due at second `number`."""
    return f"{job}:20261123T0000{number:02}Z"


class Story:
    """A run of the driver, told line by line: two workers, three jobs and no fault."""

    def __init__(self) -> None:
        self.audit: list[Line] = []
        self.ledger: list[Line] = []
        self.note("job", 0, job=JOB, group="gold", kind="after", period_ms=1_000)
        self.note("job", 0, job=RATE, group="gold", kind="every", period_ms=2_000)
        self.note("job", 0, job=HAND, group="gold", kind="manual", period_ms=0)
        self.note("started", 0, pid=ONE, role="worker", name="one")
        self.note("started", 0, pid=TWO, role="worker", name="two")
        self.fence = 0
        self.dead: list[str] = []

    def note(self, event: str, at: float, **fields: Any) -> None:
        """Add a line of the driver."""
        self.ledger.append({"event": event, "at": at, **fields})

    def call(
        self,
        number: int,
        start: float,
        end: float | None,
        pid: int = ONE,
        outcome: str = "done",
        **over: Any,
    ) -> None:
        """Add an attempt of the run `number`; without an end line if `end` is None."""
        self.fence += 1
        job = over.get("job", JOB)
        line = {"job": job, "job_id": run_id(number, job), "attempt": 1, "fence": self.fence}
        line |= {"pid": pid, "parent": 1} | over
        self.audit.append({"event": "start", "at": start, **line})
        if end is not None:
            self.audit.append({"event": "end", "at": end, "outcome": outcome, **line})

    def kill(self, pid: int, at: float, successor: int | None = None) -> None:
        """Kill a worker; a successor starts at once."""
        self.note("fault", at, kind="kill-worker")
        self.note("killed", at, pid=pid, role="worker")
        if successor is not None:
            self.note("started", at, pid=successor, role="worker", name=str(successor))

    def stop(self, pid: int, at: float, until: float) -> None:
        """Stop a worker for a while."""
        self.note("fault", at, kind="stop-worker")
        self.note("stopped", at, pid=pid, role="worker")
        self.note("continued", until, pid=pid, role="worker")

    def verdict(self, **final: Any) -> Verdict:
        """Let every job and worker take part after the faults; return what the checker says."""
        self.note("faults_over", 50)
        self.call(50, 51.0, 51.5, pid=ONE)
        self.call(53, 53.0, 53.5, pid=TWO)
        self.call(50, 50.0, 50.5, pid=TWO, job=RATE)
        self.note("draining", 55)
        whole = {
            "counts": {},
            "drained": True,
            "leaked": [],
            "foreign": [],
            "permits": {},
            "dead": self.dead,
        }
        self.note("final", 56, **(whole | final))
        return checker.check(History(self.audit, self.ledger), LIMITS)
