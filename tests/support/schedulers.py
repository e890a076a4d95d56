"""Schedulers that run in the test's own process, and what the store knows of their jobs."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock
from rota.common.job import Job
from rota.common.message import Completion
from rota.common.run import Claimed
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler.daemon import SchedulerDaemon
from rota.scheduler.led_group import LedGroup
from tests.support import builders, probe, workers
from tests.support.builders import GROUP
from tests.support.definitions import config
from tests.support.logbook import Logbook

REF = "acme/import"
RARE = "366d"  # a period so long that nothing is due by itself while a test lasts
GATE_MS = 500  # how long a store that was restarted stays closed


class Rig:
    """A running scheduler, what it logged and what it heard."""

    def __init__(
        self,
        url: str,
        jobs: Sequence[Job],
        groups: tuple[str, ...] = (),
        gate_ms: int = GATE_MS,
        clock: Clock | None = None,
    ) -> None:
        self.book = Logbook()
        self.heard: list[Completion] = []
        self.daemon = SchedulerDaemon(
            url,
            config(*jobs, groups=groups),
            log=self.book.log,
            heard=lambda group, completion, at_ms: self.heard.append(completion),
            gate_ms=gate_ms,
            clock=clock,
        )

    async def leads(self) -> None:
        """Return when it leads all its groups."""
        count = self.book.events("scheduler_started")[0]["groups"]
        await probe.until(lambda: len(self.book.events("group_led")) == count, workers.PROMPTLY)

    @property
    def led(self) -> set[str]:
        """Return the groups that it leads."""
        return {group for group, leader in self.daemon._leaders.items() if leader.term}

    async def stall(self) -> None:
        """Let it no longer look after its lead, while it goes on to fire."""
        await _cancel(self.daemon._leaders.values())

    async def crash(self) -> None:
        """End it as SIGKILL does: it sends nothing any more, and gives nothing up."""
        self.daemon.engine.stop()
        led = [leader._led for leader in self.daemon._leaders.values()]
        of_groups = [
            loop for each in led if isinstance(each, LedGroup) for loop in each._care or ()
        ]
        await _cancel([*self.daemon._loops, *self.daemon._leaders.values(), *of_groups])

    def enqueued(self, ref: str = REF) -> list[str]:
        """Return the job_ids that it enqueued for TENANT/JOB."""
        ids = [entry["job_id"] for entry in self.book.events("run_enqueued")]
        return [job_id for job_id in ids if job_id.startswith(f"{ref}:")]


async def _cancel(loops: Iterable[Loop]) -> None:
    for loop in loops:
        task, loop._task = loop._task, None
        loop._stopping = True
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def running(url: str, *jobs: Job, groups: tuple[str, ...] = ()) -> AsyncIterator[Rig]:
    """Run a scheduler that leads all its groups; it is stopped at the end."""
    async with beside(url, *jobs, groups=groups) as rig:
        await rig.leads()
        yield rig


@asynccontextmanager
async def beside(
    url: str, *jobs: Job, groups: tuple[str, ...] = (), clock: Clock | None = None
) -> AsyncIterator[Rig]:
    """Run a scheduler that need not lead at once, as another one does; it is stopped at the end."""
    rig = Rig(url, jobs, groups, clock=clock)
    await rig.daemon.start()
    try:
        yield rig
    finally:
        await rig.daemon.stop()


async def slot(store: Store, ref: str = REF, group: str = GROUP) -> Slot:
    """Return what the store remembers of a job."""
    return (await Catalog(store.link).slots(group, [ref]))[0]


async def claimed(store: Store, group: str = GROUP) -> Claimed:
    """Return a run for the worker `w1`, as soon as one is there."""
    await builders.register(store, groups=(group,))

    async def claim() -> list[Claimed]:
        return (await builders.claim(store, group=group)).runs

    return (await probe.found(claim))[0]
