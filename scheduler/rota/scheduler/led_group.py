"""What a scheduler does for one group while it leads it."""

import asyncio
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common import service
from rota.common.catalog import Catalog, Slot
from rota.common.clock import Clock
from rota.common.job import Job, job_id
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

_CHUNK = 200  # jobs whose slots are read, and compared, at once
_AT_A_TIME = 20  # jobs that are taken up before others have their turn


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
        watch: Callable[[Loop], asyncio.Task[None]],
        lease_ms: int,
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
        self._watch = watch
        self._lease_ms = lease_ms
        self._loops: list[Loop] = []
        self._watching: list[asyncio.Task[None]] = []
        self._sweeper: Sweeper | None = None
        self._auditor: Auditor | None = None
        self._left: dict[str, InFlight] = {}  # what was under way when we ceased to lead
        self._closed_at = 0.0  # monotonic seconds at which the gate is closed
        self._closing: asyncio.TimerHandle | None = None  # tells so
        store.epochs.reopened.append(self._reopened)

    async def begin(self) -> int:
        """Take up where the store says the last leader was; return how many runs are adopted.

        What we had sent ourselves and the store does not know is awaited, too: when the gate has
        closed the auditor finds out what became of it.
        """
        # Before the slots are read: a run that ends in between is then heard of.
        after = await self._store.last_completion(self._group)
        slots = await self._catalog.slots(self._group, [job.ref for job in self._jobs])
        self._sweeper = Sweeper(self._group, store=self._store, log=self._log)
        self._auditor = self._build_auditor()
        adopted = await self._take_up_all(slots)
        if self._left:
            self._auditor.reopened(max(0.0, self._closed_at - self._clock.monotonic()))
        self._left = {}
        listener = Listener(
            self._group, after=after, store=self._store, heard=self._heard, log=self._log
        )
        reconciler = Reconciler(
            self._group,
            store=self._store,
            clock=self._clock,
            log=self._log,
            lease_ms=self._lease_ms,
        )
        self._loops = [self._sweeper, self._auditor, listener, reconciler]
        for loop in self._loops:
            self._watching.append(self._watch(loop))
            await loop.start()
        return adopted

    async def end(self) -> None:
        """Fire no more in this group. Its runs in flight go on; the next leader adopts them.

        That may be us, on a store that has forgotten them: we keep in mind what they were.
        """
        for job in self._jobs:
            self._engine.remove(job.ref)
            self._dispatcher.leave(job.ref)
        left = [*self._dispatcher.forget(self._group), *self._awaited.forget(self._group)]
        self._left |= {run.job.ref: run for run in left}
        self._auditor = None
        self._dispatcher.go_on(self._group)
        for task in self._watching:
            task.cancel()
        self._watching = []
        loops, self._loops = self._loops, []
        await asyncio.gather(*(loop.stop() for loop in loops))

    def forget(self) -> None:
        """Keep nothing in mind: another scheduler looks after the runs now."""
        self._left = {}

    def _build_auditor(self) -> Auditor:
        return Auditor(
            self._group,
            catalog=self._catalog,
            awaited=self._awaited,
            finished=self._engine.finished,
            again=self._dispatcher.fire,
            lost=self._dispatcher.lost,
            look_back=self._look_back,
            clock=self._clock,
            log=self._log,
        )

    async def _take_up_all(self, slots: Sequence[Slot]) -> int:
        adopted = 0
        for number, (job, slot) in enumerate(zip(self._jobs, slots, strict=True), start=1):
            adopted += self._take_up(job, slot)
            if number % _AT_A_TIME == 0:
                await service.give_way()  # leases are to be renewed, this group's and others'
        return adopted

    def _take_up(self, job: Job, slot: Slot) -> bool:
        """Add the job to the engine; tell whether a run of it is in flight."""
        run, now_ms = self._left.get(job.ref), self._clock.now_ms()
        unknown = run is not None and run.unknown_to(slot)
        if not unknown:
            run = _in_flight(job, slot, self._clock.monotonic())
        if run is not None:
            self._awaited.add(run)
            slot = slot._replace(run=run.job_id)
        next_ms = first_due(job, slot, now_ms)
        self._dispatcher.take_up(
            job,
            until_ms=slot.due_ms or now_ms,
            now_ms=now_ms,
            # What is to be fired, or sent again, comes with what fell due before it.
            caught_up=not unknown and (next_ms is None or next_ms > now_ms),
        )
        self._engine.add(job, next_ms=next_ms, running=run is not None)
        return run is not None

    def _reopened(self, group: str, wait_s: float) -> None:
        if group != self._group:
            return
        self._closed_at = self._clock.monotonic() + wait_s
        if self._closing is not None:
            self._closing.cancel()
        self._closing = asyncio.get_running_loop().call_later(wait_s, self._closed)
        if self._auditor is not None:
            self._log.warning("store_reopened", group=group, gate_s=wait_s)
            self._dispatcher.hold(group)
            self._auditor.reopened(wait_s)

    async def _look_back(self) -> None:
        """See what the store has lost of the ledger, as far as we know that we told it."""
        for start in range(0, len(self._jobs), _CHUNK):
            jobs = self._jobs[start : start + _CHUNK]
            slots = await self._catalog.slots(self._group, [job.ref for job in jobs])
            for job, slot in zip(jobs, slots, strict=True):
                run = self._awaited.run(job.ref)
                # One that is awaited, and lost, is sent again when another one is over.
                if slot.due_ms and (run is None or not run.unknown_to(slot)):
                    self._dispatcher.fell_back(job, slot.due_ms)
        self._dispatcher.go_on(self._group)

    def _closed(self) -> None:
        if self._auditor is not None:
            self._log.info("gate_closed", group=self._group)

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


def _in_flight(job: Job, slot: Slot, now: float) -> InFlight | None:
    if slot.run is None:
        return None
    due_ms = slot.due_ms or 0
    scheduled = due_ms and slot.run == job_id(job.ref, due_ms)
    return InFlight(job, slot.run, due_ms if scheduled else 0, now)
