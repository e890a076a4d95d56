"""Builds a scheduler from its parts, and starts and stops them in order."""

import asyncio

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock, SystemClock
from rota.common.job import Job
from rota.common.link import Link
from rota.common.message import Completion
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler.auditor import Auditor
from rota.scheduler.awaited import Awaited
from rota.scheduler.config import Config
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.listener import Heard, Listener
from rota.scheduler.publisher import Publisher
from rota.scheduler.schedule import due_of, phase
from rota.scheduler.sweeper import Sweeper
from rota.scheduler.watcher import Watcher


class SchedulerDaemon:
    """One scheduler over one configuration."""

    def __init__(
        self,
        url: str,
        config: Config,
        *,
        log: FilteringBoundLogger,
        clock: Clock | None = None,
        heard: Heard | None = None,
    ) -> None:
        self._config = config
        self._jobs: dict[str, list[Job]] = {group: [] for group in config.groups}
        for job in config.jobs:
            self._jobs[job.group].append(job)
        self._log = log
        self._clock = clock or SystemClock()
        self._also_heard = heard
        self._link = Link(url)
        self._store = Store(self._link)
        self._catalog = Catalog(self._link)
        self._awaited = Awaited()
        self._dispatcher = Dispatcher(
            store=self._store,
            awaited=self._awaited,
            finished=lambda ref, at_ms: self.engine.finished(ref, at_ms),  # noqa: PLW0108 - built next
            clock=self._clock,
            log=log,
        )
        self.engine = Engine(fire=self._dispatcher.fire, skipped=self._dispatcher.skipped)
        self._sweepers = {
            group: Sweeper(group, store=self._store, log=log) for group in config.groups
        }
        self._publisher = Publisher(jobs=self._jobs, catalog=self._catalog, log=log)
        self._loops: list[Loop] = [
            self._dispatcher,
            self._publisher,
            *self._sweepers.values(),
            Auditor(
                catalog=self._catalog,
                awaited=self._awaited,
                finished=self.engine.finished,
                clock=self._clock,
                log=log,
            ),
            Watcher(jobs=config.jobs, catalog=self._catalog, log=log),
        ]

    async def start(self) -> None:
        """Publish the jobs, take up where the store says we were, begin to fire.

        Raises `StoreUnavailable` if the store can't be reached.
        """
        await self._store.ping()
        await self._publisher.publish()
        for group, jobs in self._jobs.items():
            # Before the slots are read: a run that ends in between is then heard of.
            after = await self._store.last_completion(group)
            slots = await self._catalog.slots(group, [job.ref for job in jobs])
            for job, slot in zip(jobs, slots, strict=True):
                self._take_up(job, slot)
            self._loops.append(
                Listener(group, after=after, store=self._store, heard=self._heard, log=self._log)
            )
        for loop in self._loops:
            await loop.start()
        self.engine.start()
        self._log.info(
            "scheduler_started",
            store=self._link.address,
            groups=len(self._jobs),
            tenants=len(self._config.tenants),
            jobs=len(self._config.jobs),
            in_flight=len(self._awaited),
        )

    async def failed(self) -> None:
        """Return when a part has failed for good."""
        waits = [asyncio.create_task(loop.failed.wait()) for loop in self._loops]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self) -> None:
        """Fire no more, send what was fired, stop listening. Runs in flight go on without us.

        The link closes last, because the others speak through it.
        """
        self.engine.stop()
        for loop in self._loops:
            await loop.stop()
        await self._link.close()
        self._log.info("scheduler_stopped", in_flight=len(self._awaited))

    def _take_up(self, job: Job, slot: Slot) -> None:
        if slot.run:
            self._awaited.add(job.group, job.ref, slot.run, self._clock.monotonic())
        next_ms = first_due(job, slot, self._clock.now_ms())
        self.engine.add(job, next_ms=next_ms, running=slot.run is not None)

    def _heard(self, group: str, completion: Completion, at_ms: int) -> None:
        if completion.outcome == "retrying":
            self._sweepers[group].wake()
        elif self._awaited.remove(completion.ref, completion.job_id):
            self._finished(completion.ref)
        elif not self._awaited.job_id(completion.ref):
            # Somebody triggered it, or it is ours and its enqueueing is not answered yet.
            self._dispatcher.over(completion.job_id)
            self._finished(completion.ref)
        if self._also_heard:
            self._also_heard(group, completion, at_ms)

    def _finished(self, ref: str) -> None:
        # By our own clock, which the fixed delays are counted with; the store's may differ.
        self.engine.finished(ref, self._clock.now_ms())


def first_due(job: Job, slot: Slot, now_ms: int) -> int | None:
    """Return when `job` is due first after a start of the scheduler, ms; None: after its run.

    What was missed while no scheduler ran is made up for once, at once: the last missed occurrence.
    A job that never ran starts at its own place within its period, so that thousands of tenants
    that were set up together do not run together.
    """
    due = due_of(job)
    if job.schedule.kind == "after":
        if slot.run:
            return None
        period = job.schedule.period_ms
        # The end is by the store's clock; one that is ahead of ours must not delay the job.
        ended = min(slot.ended_ms, now_ms) if slot.ended_ms else None
        return ended + period if ended else now_ms + phase(job.ref, period)
    if slot.due_ms is not None and not slot.run:
        missed = due.last_until(now_ms)
        if missed is not None and missed > slot.due_ms:
            return missed
    return due.next_after(now_ms)
