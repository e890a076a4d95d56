"""What a scheduler does for one group while it leads it."""

from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock
from rota.common.job import Job
from rota.common.message import Completion
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler.auditor import Auditor
from rota.scheduler.awaited import Awaited, InFlight
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.first_due import first_due
from rota.scheduler.listener import Heard, Listener
from rota.scheduler.reconciler import Reconciler
from rota.scheduler.sweeper import Sweeper


class LedGroup:
    """The jobs of one group in the engine, and the loops that look after their runs."""

    def __init__(
        self,
        group: str,
        jobs: Sequence[Job],
        *,
        store: Store,
        catalog: Catalog,
        engine: Engine,
        dispatcher: Dispatcher,
        awaited: Awaited,
        clock: Clock,
        log: FilteringBoundLogger,
        also: Heard | None,
        broken: Callable[[Loop], None],
    ) -> None:
        self._group = group
        self._jobs = jobs
        self._store = store
        self._catalog = catalog
        self._engine = engine
        self._dispatcher = dispatcher
        self._awaited = awaited
        self._clock = clock
        self._log = log
        self._also = also
        self._broken = broken
        self._loops: list[Loop] = []
        self._sweeper: Sweeper | None = None
        self._auditor: Auditor | None = None
        store.epochs.reopened.append(self._reopened)

    async def begin(self) -> None:
        """Take up where the store says the last leader was: runs in flight are adopted."""
        # Before the slots are read: a run that ends in between is then heard of.
        after = await self._store.last_completion(self._group)
        slots = await self._catalog.slots(self._group, [job.ref for job in self._jobs])
        for job, slot in zip(self._jobs, slots, strict=True):
            self._take_up(job, slot)
        self._sweeper = Sweeper(self._group, store=self._store, log=self._log)
        self._auditor = Auditor(
            self._group,
            catalog=self._catalog,
            awaited=self._awaited,
            finished=self._engine.finished,
            again=self._dispatcher.fire,
            clock=self._clock,
            log=self._log,
        )
        listener = Listener(
            self._group, after=after, store=self._store, heard=self._heard, log=self._log
        )
        reconciler = Reconciler(self._group, store=self._store, clock=self._clock, log=self._log)
        self._loops = [self._sweeper, self._auditor, listener, reconciler]
        for loop in self._loops:
            self._broken(loop)
            await loop.start()

    async def end(self) -> None:
        """Fire no more in this group. Its runs in flight go on; the next leader adopts them."""
        for job in self._jobs:
            self._engine.remove(job.ref)
        self._dispatcher.forget(self._group)
        self._awaited.forget(self._group)
        for loop in self._loops:
            await loop.stop()
        self._loops = []

    def _take_up(self, job: Job, slot: Slot) -> None:
        if slot.run:
            self._awaited.add(InFlight(job, slot.run, 0, self._clock.monotonic()))
        next_ms = first_due(job, slot, self._clock.now_ms())
        self._engine.add(job, next_ms=next_ms, running=slot.run is not None)

    def _reopened(self, group: str, wait_s: float) -> None:
        if group == self._group and self._auditor is not None:
            self._log.warning("store_reopened", group=group, gate_s=wait_s)
            self._auditor.reopened(wait_s)

    def _heard(self, group: str, completion: Completion, at_ms: int) -> None:
        if completion.outcome == "retrying":
            assert self._sweeper is not None
            self._sweeper.wake()
        elif self._awaited.remove(completion.ref, completion.job_id):
            self._finished(completion.ref)
        elif not self._awaited.job_id(completion.ref):
            # Somebody triggered it, or it is ours and its enqueueing is not answered yet.
            self._dispatcher.over(completion.job_id)
            self._finished(completion.ref)
        if self._also:
            self._also(group, completion, at_ms)

    def _finished(self, ref: str) -> None:
        # By our own clock, which the fixed delays are counted with; the store's may differ.
        self._engine.finished(ref, self._clock.now_ms())
