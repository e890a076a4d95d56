"""What a handler is told about its run, and how it hears that the run is to end."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar, overload

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common import clock, message
from rota.common.clock import Clock, SystemClock
from rota.common.message import JobRequest
from rota.worker.checkpoint import Checkpoint
from rota.worker.chunks import Source
from rota.worker.failure import Cancelled
from rota.worker.line import Deaf, Line
from rota.worker.progress import Progress
from rota.worker.units import Attempt, Rules, Units

_T = TypeVar("_T")
_X = TypeVar("_X")


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
        "_checkpoint",
        "_clock",
        "_log",
        "_progress",
        "_root_log",
        "attempt",
        "attempts",
        "cancelled",
        "deadline_ms",
        "due_ms",
        "failure",
        "fence",
        "group",
        "handler",
        "job",
        "job_id",
        "line",
        "missed_ms",
        "phase",
        "task",
        "tenant",
    )

    def __init__(
        self,
        claimed: Held,
        request: JobRequest,
        log: FilteringBoundLogger,
        *,
        line: Line | None = None,
        clock: Clock | None = None,
        deadline_ms: int | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.job_id = claimed.job_id  # the run: the same for all its attempts
        self.tenant = request.tenant
        self.job = request.job  # the job's name within the tenant
        self.group = claimed.group
        self.handler = request.handler
        self.attempt = claimed.attempt  # 1 for the first
        self.attempts = request.retry.attempts  # how many there are at most
        self.fence = claimed.fence  # rises with every claim: of two writers the higher is right
        # Since 1970, UTC.
        self.due_ms = claimed.due_ms or request.called_ms or _triggered_ms(claimed.job_id)
        self.missed_ms = request.missed  # due times that this run makes up for, too; in order
        self.phase = request.phase  # which of the job's phases this is, from 1 on
        self.failure = request.failure  # what failed, in the handler that is called for it
        self.task = request.task  # key and size, if this is a task that a planner has planned
        # When the attempt must have ended, since 1970, UTC: it may take no longer than its timeout.
        self.deadline_ms = deadline_ms or self._clock.now_ms() + request.timeout_ms
        self.cancelled = False  # whether the run is to end; long sync handlers look at it
        self._root_log = log
        self._log: FilteringBoundLogger | None = None
        self.line = line or Deaf()  # to the store; for the worker, not for the handler
        self._progress = Progress(self._clock, claimed.attempt)
        self._checkpoint = Checkpoint(self.line, self._progress)

    @property
    def due(self) -> datetime:
        """Return the aware UTC time the run was due, or triggered, or called.

        A run may start much later; what is computed "as of" a time should use this one.
        """
        return clock.utc(self.due_ms)

    @property
    def deadline(self) -> datetime:
        """Return the aware UTC time by which the attempt must have ended.

        By then its timeout is over; or, of a call that somebody waits for, its caller's. What a
        handler calls in turn, a service or a database, should get no more than `time_left`.
        """
        return clock.utc(self.deadline_ms)

    @property
    def time_left(self) -> float:
        """Return the seconds until the deadline, 0 when it is over."""
        return max(0.0, (self.deadline_ms - self._clock.now_ms()) / 1000)

    @property
    def backfill(self) -> bool:
        """Return whether somebody had a past occurrence run again: `due` is when that was due."""
        return self.job_id.rpartition(":")[2].startswith("backfill-")

    @property
    def missed(self) -> list[datetime]:
        """Return the aware UTC times the job was due and not run, and that this run makes up for.

        The last 1,000, in order, without `due`. Empty unless nobody ran the job for a while.
        """
        return [clock.utc(ms) for ms in self.missed_ms]

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

    def progress(self, done: int, total: int | None = None, *, phase: str = "") -> None:
        """Tell how far the handler is: `done` of `total` of whatever it counts.

        Call it for each item: it costs less than a microsecond and writes seldom, when 5 % more
        are done, at most once a second, and at the end. Without a total there is no percentage.
        `phase` names what is being done; each has its own rate. Never waits for the store. Safe
        from any thread, and in a child process. `sched runs show JOB_ID` shows it.
        """
        if mark := self._progress.due(done, total or 0, phase):
            self.line.send(progress=message.encode(mark))

    @overload
    def units(
        self,
        items: Source[_T],
        size: int = 100,
        *,
        transaction: None = None,
        name: str = "",
        done: int = 0,
        total: int = 0,
        retries: int = 1,
        split: bool = True,
        skip_invalid: type[Exception] | tuple[type[Exception], ...] = (),
        max_skipped: int = 100,
    ) -> Units[_T, None]: ...

    @overload
    def units(
        self,
        items: Source[_T],
        size: int = 100,
        *,
        transaction: Callable[[], AbstractAsyncContextManager[_X] | AbstractContextManager[_X]],
        name: str = "",
        done: int = 0,
        total: int = 0,
        retries: int = 1,
        split: bool = True,
        skip_invalid: type[Exception] | tuple[type[Exception], ...] = (),
        max_skipped: int = 100,
    ) -> Units[_T, _X]: ...

    def units(
        self,
        items: Source[_T],
        size: int = 100,
        *,
        transaction: Callable[[], Any] | None = None,
        skip_invalid: type[Exception] | tuple[type[Exception], ...] = (),
        **rules: Any,
    ) -> Units[_T, Any]:
        """Cut items into units of work, each of which is committed as a whole; see `Units`.

            async for unit in ctx.units(orders, size=100, transaction=session.begin):
                async with unit as tx:
                    for order in unit:
                        await bill(tx, order)

        items: a sequence, an iterable, an async iterable, or a function that returns one from a
            position on; in the same order at each attempt
        size: items in a unit; no more than these are held in memory
        transaction: opens a context manager that commits, or rolls back when an error passes
        name: tells apart several loops of one handler; the phase of the progress
        done: how many items are committed for sure, by what the handler itself has written
        total: how many there are, if they have no `len()`
        retries: how often a unit is tried again as it is, within this attempt
        split: whether to look for the item at fault for any error, not only for invalid items
        skip_invalid: errors that mean that an item can't be processed: it is skipped and told
        max_skipped: one more gives the run up, by `TooManySkipped`
        """
        invalid = skip_invalid if isinstance(skip_invalid, tuple) else (skip_invalid,)
        defaults = {"name": "", "done": 0, "total": 0, "retries": 1, "split": True}
        chosen = Rules(**{**defaults, "max_skipped": 100, **rules}, size=size, skip_invalid=invalid)
        if self.phase > 1:  # each phase has checkpoints of its own
            name = f"phase {self.phase} {chosen.name}".rstrip()
            chosen = msgspec.structs.replace(chosen, name=name)
        attempt = Attempt(
            job_id=self.job_id, checkpoint=self._checkpoint, clock=self._clock, log=self.log
        )
        return Units(items, transaction, chosen, attempt, self.check_cancelled)

    def finish(self) -> None:
        """Send what the handler told last. The worker calls it, when the handler has ended."""
        if mark := self._progress.rest():
            self.line.send(progress=message.encode(mark))

    def request_cancel(self) -> None:
        """Ask the handler to end. Safe from any thread; the worker calls it, not the handler."""
        self.cancelled = True


def _triggered_ms(job_id: str) -> int:
    """Return the time in the id of a run that stands for no occurrence, 0 if there is none."""
    stamp = job_id.rpartition(":")[2].rpartition("-")[2]
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return 0
    return clock.epoch_ms(moment) if moment.tzinfo else 0
