"""One playing of a story: who took part, what was accepted, what was told of it."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.errors import StoreUnavailable
from rota.common.link import Link
from rota.common.message import Completion
from rota.common.store import Store
from tests.chaos import history
from tests.chaos.history import History, Line
from tests.kills.checkpoint import Checkpoint
from tests.kills.victims import Victim
from tests.support import probe
from tests.support.builders import GROUP

PATIENCE = 30.0  # seconds: far more than anything takes, on a busy machine
_CLOCK = SystemClock()


class Lane(NamedTuple):
    """A store in which one trial follows another."""

    url: str
    folder: Path


class Trial:
    """What became of the runs of one tenant."""

    def __init__(self, lane: Lane, tenant: str, audit_file: Path) -> None:
        self.url, self.folder = lane
        self.tenant = tenant
        self.audit_file = audit_file
        self.store = Store(Link(lane.url))
        self.ledger: list[Line] = []
        self.told: list[Completion] = []
        self.ended: set[str] = set()  # job_ids
        self.accepted: set[str] = set()  # job_ids
        self.complaints: list[str] = []
        self.checkpoint: Checkpoint | None = None
        self._victims: list[Victim] = []

    def note(self, event: str, **fields: Any) -> None:
        """Add a line to the log."""
        self.ledger.append({"event": event, "at": _CLOCK.monotonic(), **fields})

    def accept(self, job_ids: Sequence[str]) -> None:
        """Note that these runs are to be done."""
        self.accepted.update(job_ids)
        for job_id in job_ids:
            self.note("accepted", job_id=job_id)

    def began(self, victim: Victim) -> None:
        """Note that a process takes part; it ends with the story at the latest."""
        self._victims.append(victim)
        self.note("started", pid=victim.pid, role=victim.role, name=victim.role)

    def died(self, victim: Victim, *, killed: bool) -> None:
        """Note that a process is dead. One that was not killed has to have ended well."""
        event = "killed" if killed else "ended"
        self.ledger.append(
            {"event": event, "at": victim.died_at, "pid": victim.pid, "role": victim.role}
        )
        if not killed and victim.code != 0:
            self.complaints.append(f"{victim.role} {victim.pid} ended with {victim.code}")

    def count(self, job: str) -> int:
        """Return how many runs of a job have ended."""
        return sum(job_id.startswith(f"{self.tenant}/{job}:") for job_id in self.ended)

    def lines(self) -> list[Line]:
        """Return what the handlers have written."""
        return [
            line
            for line in history.read(self.audit_file)
            if line["job"].startswith(f"{self.tenant}/")
        ]

    def started(self, job: str) -> bool:
        """Tell whether a run of a job has begun."""
        return any(line["job"] == f"{self.tenant}/{job}" for line in self.lines())

    def stalled(self) -> bool:
        """Tell whether a worker lost a lease because it, or we, had to wait for the machine."""
        logs = [self.folder / f"worker-{each.pid}.log" for each in self._victims]
        return any('"lease_lost"' in log.read_text() for log in logs if log.exists())

    def history(self) -> History:
        """Return all that is known."""
        return History(self.lines(), self.ledger)

    async def idle(self) -> None:
        """Return when nothing is in flight any more."""

        async def nothing_left() -> bool:
            counts = await Catalog(self.store.link).counts(GROUP)
            return not (counts.queued or counts.held or counts.running or counts.retrying)

        await probe.found(nothing_left, PATIENCE)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear what is told of the runs; the connections are closed at the end."""
        after = await self.store.last_completion(GROUP)
        try:
            async with _meanwhile(self._listen(after)):
                yield
        finally:
            for victim in self._victims:
                victim.end()
            await self.store.link.close()

    @asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        """Sweep as a scheduler does, only more often."""
        async with _meanwhile(self._sweep()):
            yield

    async def _listen(self, after: str) -> None:
        while True:
            completions: list[tuple[Completion, int]] = []
            with suppress(StoreUnavailable):  # for a moment, on a machine that is too busy
                after, completions = await self.store.completions(GROUP, after)
            for completion, _ in completions:
                if completion.tenant == self.tenant:
                    self.told.append(completion)
                    if completion.outcome != "retrying":
                        self.ended.add(completion.job_id)

    async def _sweep(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self.store.sweep(GROUP)
            await asyncio.sleep(0.03)


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()  # it never ends but by an error
