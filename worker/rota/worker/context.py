"""What a handler is told about its run, and how it hears that the run is to end."""

from datetime import datetime
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rota.common import clock
from rota.common.message import JobRequest
from rota.worker.failure import Cancelled


class Held(Protocol):
    """What identifies one attempt; `rota.common.run.Claimed` is one."""

    @property
    def group(self) -> str:
        """Return the tenant's group."""
        ...

    @property
    def job_id(self) -> str:
        """Return the run's id."""
        ...

    @property
    def fence(self) -> int:
        """Return the number of the claim."""
        ...

    @property
    def attempt(self) -> int:
        """Return the number of this attempt, from 1."""
        ...

    @property
    def due_ms(self) -> int:
        """Return the occurrence's due time, 0 if the run stands for none."""
        ...


class Context:
    """One attempt of one run, as its handler sees it: the first argument of every handler."""

    __slots__ = (
        "_log",
        "_root_log",
        "attempt",
        "attempts",
        "cancelled",
        "due_ms",
        "fence",
        "group",
        "handler",
        "job",
        "job_id",
        "phase",
        "task",
        "tenant",
    )

    def __init__(self, claimed: Held, request: JobRequest, log: FilteringBoundLogger) -> None:
        self.job_id = claimed.job_id  # the run: the same for all its attempts
        self.tenant = request.tenant
        self.job = request.job  # the job's name within the tenant
        self.group = claimed.group
        self.handler = request.handler
        self.attempt = claimed.attempt  # 1 for the first
        self.attempts = request.retry.attempts  # how many there are at most
        self.fence = claimed.fence  # rises with every claim: of two writers the higher is right
        self.due_ms = claimed.due_ms or _triggered_ms(claimed.job_id)  # since 1970, UTC
        self.phase = request.phase  # which of the job's phases this is, from 1 on
        self.task = request.task  # key and size, if this is a task that a planner has planned
        self.cancelled = False  # whether the run is to end; long sync handlers look at it
        self._root_log = log
        self._log: FilteringBoundLogger | None = None

    @property
    def due(self) -> datetime:
        """Return the aware UTC time the run was due, or triggered if it stands for no occurrence.

        A run may start much later; what is computed "as of" a time should use this one.
        """
        return clock.utc(self.due_ms)

    @property
    def log(self) -> FilteringBoundLogger:
        """Return a logger whose events carry tenant, job, job_id and attempt."""
        if self._log is None:
            self._log = self._root_log.bind(
                tenant=self.tenant, job=self.job, job_id=self.job_id, attempt=self.attempt
            )
        return self._log

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the run is to end; cheap enough for every turn of a loop."""
        if self.cancelled:
            raise Cancelled(f"{self.job_id} is to end")

    def request_cancel(self) -> None:
        """Ask the handler to end. Safe from any thread; the worker calls it, not the handler."""
        self.cancelled = True


def _triggered_ms(job_id: str) -> int:
    """Return the time in the id of a run that somebody triggered, 0 if there is none."""
    stamp = job_id.rpartition(":")[2].removeprefix("manual-")
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return 0
    return clock.epoch_ms(moment) if moment.tzinfo else 0
