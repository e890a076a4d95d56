"""A context without a worker behind it, for tests that call one handler alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from rota.common import log as logs
from rota.common import message, progress
from rota.common.clock import Clock
from rota.common.job import Retry, job_id
from rota.common.message import JobRequest, Task
from rota.common.progress import Tally
from rota.common.progress import Told as Answered
from rota.common.run import Claimed
from rota.testing.virtual import VirtualClock, moment_ms
from rota.worker.context import Context
from rota.worker.line import Answer

START = "2026-01-01"  # a Thursday: where the time of a test begins unless it says otherwise


class Told(NamedTuple):
    """One call of `ctx.progress`."""

    done: int
    total: int | None
    phase: str


class FakeContext(Context):
    """A context that keeps what the handler tells; `context` makes one."""

    __slots__ = ("pad", "told")

    def __init__(
        self,
        claimed: Claimed,
        request: JobRequest,
        log: FilteringBoundLogger,
        *,
        pad: "Pad",
        clock: Clock,
    ) -> None:
        super().__init__(claimed, request, log, line=pad, clock=clock)
        self.pad = pad
        self.told: list[Told] = []  # each call of `progress`, in order

    @property
    def tallies(self) -> dict[str, Tally]:
        """Return what became of the units, by the name of their loop; `""` if it has none."""
        return {tally.name: tally for tally in self.pad.tallies}

    def progress(self, done: int, total: int | None = None, *, phase: str = "") -> None:
        """Keep how far the handler is."""
        self.told.append(Told(done, total, phase))
        super().progress(done, total, phase=phase)


class Pad:
    """Where the context writes, instead of to the store."""

    def __init__(self, committed: Mapping[str, int]) -> None:
        self.tallies = [
            Tally(name=name, items=items, units=1, position=items)
            for name, items in committed.items()
        ]

    def send(self, *, asked: bool = False, progress: bytes = b"", units: bytes = b"") -> Answer:
        """Keep the units."""
        if units:
            self.tallies = _tallies(units)
        answer = Answer()
        answer.give(Answered("noted", message.encode(self.tallies) if asked else b""))
        return answer


def context(
    tenant: str = "acme",
    job: str = "job",
    *,
    handler: str = "handler",
    group: str = "test",
    due: str | datetime = START,
    missed: Sequence[str | datetime] = (),
    attempt: int = 1,
    attempts: int = 3,
    fence: int = 1,
    phase: int = 1,
    task: Task | None = None,
    committed: Mapping[str, int] | None = None,
    log: FilteringBoundLogger | None = None,
) -> FakeContext:
    """Return the context of an attempt of the run of TENANT/JOB that was due at `due`.

    `missed` are due times that the run makes up for. `committed` are items that earlier attempts
    have committed, by the name of the loop over them.
    """
    due_ms = moment_ms(due)
    request = JobRequest(
        tenant=tenant,
        job=job,
        handler=handler,
        retry=Retry(attempts=attempts),
        missed=tuple(moment_ms(each) for each in missed),
        phase=phase,
        task=task,
    )
    run_id = job_id(f"{tenant}/{job}", due_ms)
    claimed = Claimed(group, run_id, fence, attempt, due_ms, message.encode(request))
    return FakeContext(
        claimed,
        request,
        log or logs.within("rota.testing"),
        pad=Pad(committed or {}),
        clock=VirtualClock(due_ms),
    )


def _tallies(units: bytes) -> list[Tally]:
    return progress.tallies(units)
